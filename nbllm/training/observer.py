"""What is said of a run while it trains: the series kept, and the gravest finding at each measurement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nbllm.store.metrics import Metrics
from nbllm.training.diagnosis import diagnose
from nbllm.training.history import History


class Observer:
    """Keeps the series of a run that trains, and says at each measurement what is wrong, in a line."""

    def __init__(self, past: Iterable[dict[str, Any]] = (), *, fresh: bool = True):
        self._metrics = Metrics()
        self._metrics.update(past)
        self._fresh = fresh
        self._suspects: set[str] = set()

    def hear(self, event: dict[str, Any]) -> None:
        """A line of metrics.jsonl: a step or a measurement."""
        self._metrics.update([event])

    def advice(self, budget: int | None = None, dead: Iterable[object] = ()) -> str:
        """The gravest finding, or "". `dead` are the parts that look dead now; they count when they did before too."""
        now = {str(part) for part in dead}
        lasting, self._suspects = sorted(now & self._suspects), now
        findings = diagnose(History.of(self._metrics, budget=budget, fresh=self._fresh, dead=lasting))
        return findings[0].text if findings else ""
