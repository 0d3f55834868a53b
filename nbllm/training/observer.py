"""What is said of a run while it trains: its series kept, and the gravest finding at each measurement."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from nbllm.store.metrics import Metrics
from nbllm.training.diagnosis import diagnose
from nbllm.training.history import History
from nbllm.training.loop import Training
from nbllm.training.units import DeadPart, inspect_units

_FEW = 4  # held-out examples that are looked at for dead parts


class Observer:
    """Keeps the series of a run that trains. `past` are the events that stand from before a resume; `fresh` says that
    the weights were not trained before."""

    def __init__(self, past: Iterable[dict[str, Any]] = (), *, fresh: bool = True):
        self._metrics = Metrics()
        self._metrics.update(past)
        self._fresh = fresh
        self._suspects: set[str] = set()

    def hear(self, line: dict[str, Any]) -> None:
        """A line of metrics.jsonl: a step or a measurement."""
        self._metrics.update([line])

    def advice(self, budget: int | None = None, dead: Iterable[DeadPart] = ()) -> str:
        """The gravest finding, or "". `dead` are the parts that look dead now; they count when they did before too."""
        now = {str(part) for part in dead}
        lasting, self._suspects = sorted(now & self._suspects), now
        findings = diagnose(History.of(self._metrics, budget=budget, fresh=self._fresh, dead=lasting))
        return findings[0].text if findings else ""


def dead_parts(training: Training) -> list[DeadPart]:
    """The parts of a training's module that look dead, by a few held-out examples and the last step's gradients."""
    batch = next(iter(training.held_out()), None)
    if batch is None:
        return []
    few = {name: tensor[:_FEW] for name, tensor in batch.items()}
    with training.autocast() if training.autocast is not None else nullcontext():
        return inspect_units(training.module, lambda: training.objective.loss(training.module, few, 0))
