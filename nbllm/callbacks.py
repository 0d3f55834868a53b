"""Callbacks: what is called in the worker with each event of the training, `train.callbacks: [name]`.

A function from a notebook cell, or a class where something is to be remembered between events (one is made a worker):

    from nbllm.callbacks import Ended, Evaluation

    @nbllm.callbacks.register("good_enough")
    def good_enough(event, context):
        if isinstance(event, Evaluation) and event.val_loss < 1.5:
            return {"command": "stop"}                          # as run.stop(): after this step, with a checkpoint

    @nbllm.callbacks.register("diary")
    class Diary:
        def __call__(self, event, context):
            if isinstance(event, Ended):
                (context.folder / "diary.txt").write_text(event.reason)

The first event is `Started`: at step 0, or `resumed` at the step of the checkpoint that the run goes on from. All
others come in order: `Step` (each up to 10,000, then every k-th, as logged), `Evaluation`,
`Sampled`, `Probed`, `SaveCheckpoint` (it is saved), `Applied` (a change of course), `Paused`, `Resumed`, `Ended`.

A callback may return a command, or a list of them: {"command": "stop"}, "pause", "checkpoint", or
{"command": "set", "lr": 1e-3, "steps": 2000}. What is set is written down, and given again at its step when the run is
interrupted and goes on; up to there the callback's own wish is not asked twice.

A callback that fails is switched off, which is said in one line in the run's status and in full in its log; the
training goes on. torch's generators are put back after each call, so that drawing numbers changes nothing in the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import RunConfig
from nbllm.registry import CALLBACKS
from nbllm.training.events import (
    Applied,
    Ended,
    Evaluation,
    Paused,
    Probed,
    Resumed,
    Sampled,
    SaveCheckpoint,
    Started,
    Step,
)

if TYPE_CHECKING:
    import torch

__all__ = [
    "Applied",
    "Context",
    "Ended",
    "Evaluation",
    "Paused",
    "Probed",
    "Resumed",
    "Sampled",
    "SaveCheckpoint",
    "Started",
    "Step",
    "register",
]

register = CALLBACKS.register

_MOST = {"lr": 10.0, "steps": 1e12}


@dataclass(frozen=True)
class Context:
    """What a callback may look at: the run's folder and configuration, and the module as it trains."""

    folder: Path
    config: RunConfig
    module: torch.nn.Module


def commands(returned: Any) -> list[dict[str, Any]]:
    """What a callback returned, as commands for the loop. ValueError where it is none."""
    if returned is None:
        return []
    asked = returned if isinstance(returned, list | tuple) else [returned]
    for command in asked:
        kind = command.get("command") if isinstance(command, dict) else None
        values = {key: value for key, value in command.items() if key != "command"} if kind else {}
        if kind not in ("stop", "pause", "checkpoint", "set") or (values and kind != "set"):
            raise ValueError(f"it returned {returned!r}, not a command such as {{'command': 'stop'}}")
        for name, value in values.items():
            whole = name != "steps" or isinstance(value, int)
            if not isinstance(value, int | float) or not whole or not 0 < value <= _MOST.get(name, 0):
                raise ValueError(f"it set {name} to {value!r}; lr up to 10 and steps can be set")
    return [dict(command) for command in asked]
