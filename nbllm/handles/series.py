"""Series: runs that belong together and train one after another, each in a worker of its own."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload

import numpy as np

from nbllm.config import Layers
from nbllm.errors import RunError, did_you_mean
from nbllm.handles.readable import plain, readable
from nbllm.handles.record import Record
from nbllm.handles.run import Run, start
from nbllm.handles.train import create
from nbllm.registry import VIEWS
from nbllm.runners import plan
from nbllm.store.folder import RunFolder, check_name, list_runs, runs_root

if TYPE_CHECKING:
    import pandas as pd


class Series(Sequence[Run], ABC):
    """Runs that belong together, in the order in which they train. It shows itself in a notebook, live meanwhile."""

    view: ClassVar[str]
    """The name of its figure among the views."""
    part: ClassVar[str]
    """What its runs are called after: NAME-PART-VALUE."""

    def __init__(self, name: str, runs: Sequence[Run]):
        self.name = name
        self._records = [Record(run) for run in runs]

    @classmethod
    def of(cls, name: str) -> Self:
        """The runs that were trained under this name, in another kernel or on another day. RunError for none."""
        stem = f"{name}-{cls.part}-"
        runs = {}
        for folder in list_runs():
            value = _number(folder.name.removeprefix(stem)) if folder.name.startswith(stem) else None
            if value is not None:
                runs[value] = Run(folder.path)
        if not runs:
            known = {folder.name.rpartition(f"-{cls.part}-")[0] for folder in list_runs()} - {""}
            raise RunError(f"There are no runs '{stem}...'.", did_you_mean(name, known))
        return cls(name, [runs[value] for value in sorted(runs)])

    @overload
    def __getitem__(self, index: int) -> Run: ...

    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...

    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        return self.runs[index]

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        tables = [f"{caption}\n{plain(readable(frame))}" for caption, frame in self.tables()]
        return "\n\n".join([*tables, *self.notices])

    def _repr_html_(self) -> str:
        return VIEWS.get("series_page")(self)

    def _ipython_display_(self) -> None:
        VIEWS.get("series_display")(self)

    @abstractmethod
    def tables(self) -> list[tuple[str, pd.DataFrame]]:
        """What is shown of it: tables with their captions."""

    @property
    def runs(self) -> list[Run]:
        """The runs."""
        return [record.run for record in self._records]

    @property
    def records(self) -> list[Record]:
        """What the folders of the runs say now."""
        return [record.look() for record in self._records]

    @property
    def live(self) -> bool:
        """Whether one of them still trains or waits for its turn."""
        return any(RunFolder(run.folder).status().live for run in self.runs)

    @property
    def notices(self) -> list[str]:
        """What one has to know to read the tables, a line each."""
        records = self.records
        ended = sum(not record.status.live for record in records)
        lines = [
            f"{record.name} {record.status.state}. {record.run.error}"
            for record in records
            if record.status.state in ("failed", "lost")
        ]
        lines += [record.fault for record in records if record.fault]
        if ended < len(records):
            now = next((record for record in records if record.status.live), records[-1])
            lines.append(f"{ended} of {len(records)} runs have ended. Watch one: %llm_attach {now.name}")
        return lines

    def figure(self, y: str = "loss") -> Any:
        """The figure (Plotly); `y` is loss or bits_per_byte."""
        if y not in ("loss", "bits_per_byte"):
            raise RunError(f"There is no y={y!r}.", "Use loss or bits_per_byte.")
        return VIEWS.get(self.view)(self, y)

    def wait(self, timeout: float | None = None) -> Self:
        """Block until all have ended, or for `timeout` seconds. An interrupt ends the waiting, not the runs."""
        until = None if timeout is None else time.monotonic() + timeout
        for run in self.runs:
            run.wait(None if until is None else max(0.0, until - time.monotonic()))
        return self

    def stop(self) -> Self:
        """Stop those that train and those that wait, each with a checkpoint."""
        for run in reversed(self.runs):  # the last first, or each stop would start the next
            run.stop()
        return self


def train_series(
    name: str | None,
    layers: Layers,
    variants: Mapping[str, Mapping[str, Any]],
    *,
    data_object: Any = None,
    runner: str = "process",
    replace: bool = False,
    command: str = "",
) -> tuple[str, list[Run]]:
    """Runs that differ by a few settings, one after another: `variants` maps the end of a name to those settings.

    Returns the stem of the names and the runs. Either all of them are made or none.
    """
    configs = {end: plan.configure([*layers, ("series", values)]) for end, values in variants.items()}
    stem = check_name(name) if name is not None else _free_stem(next(iter(configs.values())).model.kind, list(variants))
    made: list[RunFolder] = []
    try:
        for end, config in configs.items():
            made.append(create(f"{stem}-{end}", config, runner, records=data_object, replace=replace, command=command))
    except BaseException:
        for folder in made:
            folder.delete()
        raise
    for place, (folder, config) in enumerate(zip(made, configs.values(), strict=True)):
        start(folder, config, runner, after=made[:place])
    return stem, [Run(folder.path) for folder in made]


def spread(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Mean, median, min, max and (sample) standard deviation of the columns, NaN left out."""
    return frame[list(columns)].astype(float).agg(["mean", "median", "min", "max", "std"])


def _free_stem(kind: str, ends: Sequence[str]) -> str:
    number = 1
    while any((runs_root() / f"{kind}-{number}-{end}").exists() for end in ends):
        number += 1
    return f"{kind}-{number}"


def _number(text: str) -> float | None:
    try:
        return float(text) if np.isfinite(float(text)) else None
    except ValueError:
        return None
