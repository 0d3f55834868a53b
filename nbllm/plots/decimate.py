"""Fewer points that look the same: buckets of rows of which the extremes stay, so that no spike is lost.

`decimate` is for a picture drawn once. `Thinned` follows a growing table and touches each row once between two
doublings of its bucket, so a run of any length is shown at the same price.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Rows(Protocol):
    """What `Thinned` reads: a table of numbers that grows at its end (`nbllm.store.metrics.Table` is one)."""

    steps: list[int]
    columns: dict[str, list[float]]

    def __len__(self) -> int: ...


def decimate(
    x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, n: int = 2000
) -> tuple[np.ndarray, np.ndarray]:
    """At most `n` points of the curve: the smallest and the largest y of each of n/2 buckets, in order of x.

    NaNs are dropped where a bucket has numbers. The first and the last point stay.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    assert x.shape == y.shape == (len(x),), (x.shape, y.shape)
    assert n >= 4, n
    if len(x) <= n:
        return x, y
    edges = np.linspace(0, len(x), (n - 2) // 2 + 1).astype(int)
    keep = {0, len(x) - 1}
    for start, stop in itertools.pairwise(edges):
        keep.update(_extremes(y[start:stop], start))
    rows = sorted(keep)
    return x[rows], y[rows]


def _extremes(values: np.ndarray, start: int) -> list[int]:
    """Rows of the smallest and the largest number; the first row where there is none."""
    if np.isnan(values).all():
        return [start]
    return [start + int(np.nanargmin(values)), start + int(np.nanargmax(values))]


class Thinned:
    """A table seen through buckets of 2^j rows, at most `buckets` of them; each gives up to three rows.

    Kept of a bucket: the rows of the smallest and the largest `loss` and of the largest `grad_norm`, with the bucket's
    mean loss beside them. Whole buckets never change, so that they can be shown once and kept.
    """

    COLUMNS = ("step", "tokens", "seconds", "loss", "mean", "lr", "grad_norm", "memory_mb")

    def __init__(self, table: Rows, buckets: int = 640):
        self._table = table
        self._most = buckets
        self.reset()

    def reset(self) -> None:
        """Begin again: after rows were cut off."""
        self.size = 1
        self._done = 0
        self._whole: list[np.ndarray] = []

    def whole(self) -> np.ndarray:
        """The rows kept of all whole buckets: float64 (row, column), columns as in COLUMNS."""
        rows = len(self._table)
        if rows < self._done:
            self.reset()
        while rows > self.size * self._most:
            self.size *= 2
            self._done = 0
            self._whole = []
        until = rows - rows % self.size
        if until > self._done:
            self._whole.append(self._keep(self._done, until))
            self._done = until
        if len(self._whole) > 1:
            self._whole = [np.concatenate(self._whole)]
        return self._whole[0] if self._whole else np.empty((0, len(self.COLUMNS)))

    def rest(self) -> np.ndarray:
        """The rows kept of the last bucket, which is still filling; as `whole`."""
        return self._keep(self._done, len(self._table))

    def _keep(self, start: int, stop: int) -> np.ndarray:
        columns = {name: self._slice(name, start, stop) for name in self.COLUMNS if name not in ("step", "mean")}
        columns["step"] = np.asarray(self._table.steps[start:stop], dtype=np.float64)
        loss, norm = columns["loss"], columns["grad_norm"]
        count = -(-(stop - start) // self.size)
        bucket = np.arange(stop - start) // self.size
        finite = np.isfinite(loss)
        total = np.bincount(bucket, np.where(finite, loss, 0.0), minlength=count)
        columns["mean"] = (total / np.maximum(np.bincount(bucket, finite, minlength=count), 1))[bucket]
        columns["mean"][~np.bincount(bucket, finite, minlength=count).astype(bool)[bucket]] = np.nan
        rows = np.unique(
            np.concatenate(
                [
                    _first(bucket, np.where(np.isnan(loss), np.inf, loss)),
                    _first(bucket, -np.where(np.isnan(loss), -np.inf, loss)),
                    _first(bucket, -np.where(np.isnan(norm), -np.inf, norm)),
                ]
            )
        )
        return np.stack([columns[name][rows] for name in self.COLUMNS], axis=1)

    def _slice(self, name: str, start: int, stop: int) -> np.ndarray:
        column = self._table.columns.get(name)
        return np.full(stop - start, np.nan) if column is None else np.asarray(column[start:stop], dtype=np.float64)


def _first(bucket: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each bucket the row of its smallest value."""
    if not len(values):
        return np.empty(0, dtype=np.int64)
    order = np.lexsort((values, bucket))
    starts = np.flatnonzero(np.diff(bucket[order], prepend=-1))
    return order[starts]
