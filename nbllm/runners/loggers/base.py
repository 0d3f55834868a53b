"""What a tracker is told: numbers, samples and the configuration of one stretch of a run's work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from nbllm.config import RunConfig
from nbllm.training.events import Ended, Evaluation, Sampled, SaveCheckpoint, Started, Step


class Logger(ABC):
    """A tracker, open from its making until `close`. Whatever it raises switches it off and nothing else."""

    @abstractmethod
    def __init__(self, folder: Path, config: RunConfig, started: Started):
        """Open for the run in that folder, whose work begins at `started`."""

    def write(self, event: Any) -> None:
        """Take in an event of the loop; those that hold nothing to track are passed over."""
        match event:
            case Step() | Evaluation():
                self.numbers(event.step, numbers(event))
            case Sampled():
                self.text(event.step, event.prompt, event.text)
            case SaveCheckpoint():
                self.flush()

    @abstractmethod
    def numbers(self, step: int, values: dict[str, float]) -> None:
        """Numbers of a step, under the names they have in metrics.jsonl."""

    @abstractmethod
    def text(self, step: int, prompt: str, text: str) -> None:
        """Text written at a step."""

    def flush(self) -> None:  # noqa: B027 - most trackers have nothing to do here
        """What came so far is safe when this returns: a checkpoint is about to be written."""

    @abstractmethod
    def close(self, end: Ended | None) -> None:
        """The run has ended, by itself or asked to; `end` is None where it failed."""


def numbers(event: Step | Evaluation) -> dict[str, float]:
    """The numbers of an event by name, without its step."""
    return {k: v for k, v in event.line().items() if k != "step" and isinstance(v, int | float)}


def settings(config: RunConfig) -> dict[str, str | int | float | bool]:
    """The configuration as flat hyper-parameters, `model.width` and the like; lists in one word, without empty ones."""
    return dict(_flat(config.model_dump(mode="json"), ""))


def _flat(tree: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value:
            found.append((prefix + name, ", ".join(str(each) for each in value)))
        elif isinstance(value, str | int | float) and value != "":
            found.append((prefix + name, value))
    return found
