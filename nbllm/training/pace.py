"""How quick a training is on this machine: a second or two of it, in memory, on weights that are thrown away."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from nbllm.training.events import Step
from nbllm.training.loop import Training, train

_WARM = 2  # steps that are slow: caches, allocations
_FEWEST = 3


@dataclass(frozen=True)
class Pace:
    """Steps and tokens a second, and the seconds and steps they were measured over."""

    steps_per_second: float
    tokens_per_second: float
    seconds: float
    steps: int


def pace(training: Training, seconds: float = 1.5) -> Pace:
    """Train for so long, and at least five steps, and tell the pace. The training is of no use afterwards."""
    settings = training.config.model_copy(
        update={"minutes": None, "patience": None, "evaluate_every": 10**9, "checkpoint_every": 10**9}
    )
    copy = replace(training, config=settings, sampler=None, probe=None, measure=None)
    copy.progress = replace(training.progress, steps=None, timed=False, window=[])
    marks: list[tuple[float, int, int]] = []
    for event in train(copy, _Until(seconds)):
        if isinstance(event, Step):
            marks.append((time.perf_counter(), event.step, event.tokens))
    (began, first, before), (ended, last, after) = marks[_WARM - 1], marks[-1]
    passed = max(ended - began, 1e-9)
    return Pace((last - first) / passed, (after - before) / passed, passed, last - first)


class _Until:
    """The loop's control: a stop when the time is over."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._began: float | None = None

    def take(self, step: int) -> list[dict[str, Any]]:
        now = time.perf_counter()
        if step == _WARM:
            self._began = now
        over = self._began is not None and now - self._began > self._seconds
        return [{"command": "stop"}] if over and step >= _WARM + _FEWEST else []

    def idle(self) -> None:
        raise AssertionError("a measurement is never paused")
