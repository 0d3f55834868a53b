"""The recorded series of a run, as its diagnosis reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nbllm.store.metrics import Metrics

_AT_PEAK = 0.9  # share of the peak from which the learning rate counts as at its peak


@dataclass(frozen=True)
class History:
    """The recorded series of a run. Rows of `steps` are logged steps, rows of `held_steps` measurements.

    `measures` are what evaluations tell beside the loss (kl, ...); `budget` is the number of steps where it is known;
    `fresh` says that the weights were not trained before; `dead` names parts found dead at the last two measurements.
    """

    steps: np.ndarray
    losses: np.ndarray
    rates: np.ndarray
    norms: np.ndarray
    held_steps: np.ndarray
    held: np.ndarray
    measures: dict[str, np.ndarray] = field(default_factory=dict)
    budget: int | None = None
    fresh: bool = True
    dead: Sequence[str] = ()

    @classmethod
    def of(
        cls, metrics: Metrics, *, budget: int | None = None, fresh: bool = True, dead: Sequence[str] = ()
    ) -> History:
        """The series of metrics.jsonl."""
        train, evaluation = metrics.train, metrics.evaluation
        measures = {
            name: evaluation.array(name) for name in evaluation.columns if name not in ("t", "val_loss", "seconds")
        }
        return cls(
            train.array("step"), train.array("loss"), train.array("lr"), train.array("grad_norm"),
            evaluation.array("step"), evaluation.array("val_loss"), measures, budget, fresh, dead,
        )  # fmt: skip

    @property
    def peak(self) -> np.ndarray:
        """Rows of the steps at the peak learning rate, the warm-up and the way down left out."""
        if not len(self.rates):
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.rates >= _AT_PEAK * np.nanmax(self.rates))


def smoothed(values: np.ndarray) -> np.ndarray:
    """A trailing mean over a twentieth of the rows, 5 at least; places without a number are bridged."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(len(values))
    rows = np.arange(len(values))
    bridged = np.interp(rows, rows[finite], values[finite])
    width = min(len(values), max(5, len(values) // 20))
    sums = np.cumsum(np.concatenate([[0.0], bridged]))
    starts = np.maximum(0, rows + 1 - width)
    return (sums[1:] - sums[starts]) / (rows + 1 - starts)
