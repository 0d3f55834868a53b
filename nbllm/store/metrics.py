"""Metrics: the numbers of metrics.jsonl as columns, grown event by event."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.store.events import Event

if TYPE_CHECKING:
    import pandas as pd

# Events that make a row of numbers; all others are kept whole in `marks`.
_ROWS = ("step", "evaluation")
_SKIP = frozenset({"event", "step"})


class Table:
    """Columns of numbers by step; rows that a resume voids are cut off."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.columns: dict[str, list[float]] = {}

    def __len__(self) -> int:
        return len(self.steps)

    def append(self, event: Event) -> None:
        rows = len(self.steps)
        self.steps.append(event.get("step", 0))
        columns = self.columns
        for name, value in event.items():
            if name in _SKIP:
                continue
            if name not in columns:
                columns[name] = [np.nan] * rows
            columns[name].append(np.nan if value is None else value)
        if len(columns) != len(event) - 2:
            for column in columns.values():
                if len(column) <= rows:
                    column.append(np.nan)

    def cut(self, step: int) -> None:
        """Drop the rows beyond the step."""
        rows = bisect.bisect_right(self.steps, step)
        del self.steps[rows:]
        for column in self.columns.values():
            del column[rows:]

    def array(self, name: str) -> np.ndarray:
        """A column as float64; all NaN where no event had it."""
        if name == "step":
            return np.asarray(self.steps, dtype=np.int64)
        column = self.columns.get(name)
        return np.full(len(self.steps), np.nan) if column is None else np.asarray(column, dtype=np.float64)


class Metrics:
    """Follows the events of a run.

    `train` has a row a logged step (loss, lr, grad_norm, tokens, seconds), `evaluation` one a measurement (val_loss,
    bits_per_byte); `marks` are the other events: checkpoints, commands, budgets, halved batches, resumes.
    """

    def __init__(self) -> None:
        self.train = Table()
        self.evaluation = Table()
        self.marks: list[Event] = []

    def update(self, events: Iterable[Event]) -> None:
        """Take in new events, in order."""
        for event in events:
            kind = event.get("event")
            if kind == "step":
                self.train.append(event)
            elif kind == "evaluation":
                self.evaluation.append(event)
            else:
                if kind == "resume":
                    self._void(event.get("step", 0))
                self.marks.append(event)

    def _void(self, step: int) -> None:
        self.train.cut(step)
        self.evaluation.cut(step)
        self.marks = [m for m in self.marks if m.get("event") == "resume" or m.get("step", 0) <= step]

    def frame(self) -> pd.DataFrame:
        """A DataFrame indexed by step: loss, val_loss, lr, grad_norm, tokens, seconds, ..."""
        train = _frame(self.train)
        evaluation = _frame(self.evaluation).drop(columns=["seconds", "tokens"], errors="ignore")
        # What both measure is told apart as the losses are: `kl` of the batches, `val_kl` of the held-out text.
        evaluation = evaluation.rename(columns={name: f"val_{name}" for name in evaluation if name in train})
        joined = train.join(evaluation, how="outer") if len(evaluation) else train
        always = ("loss", "val_loss", "lr", "grad_norm", "tokens", "seconds")  # also of a run that has no step yet
        order = ("loss", "val_loss", "bits_per_byte", "lr", "grad_norm", "tokens", "seconds")
        first = [name for name in order if name in joined or name in always]
        rest = [c for c in joined.columns if c not in first]
        return joined.reindex(columns=first + rest)


def _frame(table: Table) -> Any:
    import pandas as pd

    index = pd.Index(table.array("step"), name="step")
    frame = pd.DataFrame({name: table.array(name) for name in table.columns if name != "t"}, index=index)
    return frame[~frame.index.duplicated(keep="last")]
