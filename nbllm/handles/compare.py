"""Comparison: several runs beside each other, as they stand when they are compared."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nbllm.errors import RunError, did_you_mean
from nbllm.handles.readable import COLUMNS, plain, readable
from nbllm.handles.record import Record
from nbllm.handles.run import Run
from nbllm.registry import VIEWS
from nbllm.store.folder import find_run, list_runs

if TYPE_CHECKING:
    import pandas as pd

X_AXES = ("step", "tokens", "seconds", "flops")
Y_AXES = ("loss", "bits_per_byte")
_LARGEST_FIRST = ("tokens_per_second",)
_WIDTH = 60  # characters of a value in the terminal


def compare(*runs: Run | str | Path | Iterable[Run | str | Path], sort: str | None = None) -> Comparison:
    """Runs beside each other: curves, the settings in which they differ, samples, and a table of figures.

    `runs` are names, folders or Runs, one by one or in a list; a name with * stands for all that fit
    (`"words-seed-*"`). `sort` is a column of the table; the best held-out loss comes first otherwise. Raises RunError
    for a name that no run has.
    """
    found: dict[Path, Run] = {}
    for each in runs:
        for one in [each] if isinstance(each, Run | str | Path) else each:
            for run in _runs_of(one):
                found.setdefault(run.folder.resolve(), run)
    if not found:
        raise RunError("There is nothing to compare.", 'Name two runs, as in nbllm.compare("first", "second").')
    return Comparison([Record(run) for run in found.values()], sort)


def _runs_of(one: Run | str | Path) -> list[Run]:
    if isinstance(one, Run):
        return [one]
    if isinstance(one, str) and "*" in one:
        names = [folder.name for folder in list_runs()]
        fitting = [Run(folder.path) for folder in list_runs() if fnmatch.fnmatchcase(folder.name, one)]
        if not fitting:
            raise RunError(f"No run is called '{one}'.", did_you_mean(one.replace("*", ""), names))
        return fitting
    return [Run(find_run(one).path)]


class Comparison:
    """Several runs beside each other. It shows itself in a notebook; its tables are DataFrames."""

    def __init__(self, records: Sequence[Record], sort: str | None = None):
        if sort is not None and sort not in COLUMNS:
            raise RunError(f"There is no column '{sort}'.", did_you_mean(sort, COLUMNS))
        self.records = list(records)
        self.comparable = _same([record.tokenizer for record in self.records]) and self._one_objective()
        self.one_text = _same([record.held_out for record in self.records])
        self.order = sort or ("best_val_loss" if self.comparable else "bits_per_byte")

    def __repr__(self) -> str:
        parts = [plain(readable(self.table))]
        if len(self.differences):
            parts.append("Settings in which they differ:\n" + plain(self.differences.map(lambda v: _clip(v, _WIDTH))))
        parts += [
            f"--- {name}, step {row.step:,}\n{row.prompt}{row.text}"
            for name, row in self.samples.iterrows()
            if row.step is not None
        ]
        return "\n\n".join([*parts, *self.notices])

    def _repr_html_(self) -> str:
        return VIEWS.get("comparison_page")(self)

    def _ipython_display_(self) -> None:
        VIEWS.get("comparison_display")(self)

    @property
    def runs(self) -> list[Run]:
        """The runs, in the order they were named."""
        return [record.run for record in self.records]

    @property
    def y(self) -> Literal["loss", "bits_per_byte"]:
        """What the curves show where nothing else is asked for: bits per byte where losses cannot be compared."""
        measured = [record for record in self.records if record.best]
        told = measured and all(np.isfinite(record.bits_per_nat) for record in measured)
        return "bits_per_byte" if not self.comparable and told else "loss"

    @property
    def table(self) -> pd.DataFrame:
        """A row a run: state, parameters, steps, tokens, tokens_per_second, minutes, flops (an estimate),
        best_val_loss (nats a token), best_step and bits_per_byte of that measurement."""
        import pandas as pd

        rows = {record.name: record.row() for record in self.records}
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS)).rename_axis("run")
        for name in ("parameters", "best_step"):
            frame[name] = frame[name].astype("Int64")
        return frame.sort_values(
            self.order, ascending=self.order not in _LARGEST_FIRST, kind="stable", na_position="last"
        )

    @property
    def differences(self) -> pd.DataFrame:
        """The settings in which the runs differ: a row a key, a column a run."""
        import pandas as pd

        flat = {r.name: dict(_leaves(r.config.model_dump(mode="json"))) for r in self.records if r.config is not None}
        keys = dict.fromkeys(key for settings in flat.values() for key in settings)
        rows = {key: [settings.get(key) for settings in flat.values()] for key in keys}
        differing = {key: values for key, values in rows.items() if not _same([repr(value) for value in values])}
        frame = pd.DataFrame.from_dict(differing, orient="index", columns=list(flat), dtype=object)
        return frame.rename_axis("setting")

    @property
    def samples(self) -> pd.DataFrame:
        """The last text that each run wrote while training: step, prompt, text; None where it wrote none."""
        import pandas as pd

        rows = {record.name: _sample(record) for record in self.records}
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=["step", "prompt", "text"], dtype=object)
        return frame.rename_axis("run")

    @property
    def notices(self) -> list[str]:
        """What one has to know to read the tables, a line each."""
        return [*(line for record in self.records for line in _notices(record)), *self._shared_notices()]

    def figure(
        self,
        x: Literal["step", "tokens", "seconds", "flops"] = "step",
        y: Literal["loss", "bits_per_byte"] | None = None,
        log: bool = False,
        smoothing: float = 0.2,
    ) -> Any:
        """The curves over each other (Plotly): train loss thin and smoothed, held-out loss bold, a colour a run.

        Buttons in the figure change the axes. `smoothing` from 0 to 1 is that of the train loss.
        """
        for name, value, known in (("x", x, X_AXES), ("y", y or self.y, Y_AXES)):
            if value not in known:
                raise RunError(f"There is no {name}={value!r}.", f"Use {', '.join(known)}.")
        if not 0 <= smoothing <= 1:
            raise RunError(f"smoothing is {smoothing!r}.", "Use a number from 0 to 1.")
        return VIEWS.get("comparison")(self, x, y or self.y, log, smoothing)

    def _one_objective(self) -> bool:
        return _same([record.config and record.config.objective.kind for record in self.records])

    def _shared_notices(self) -> list[str]:
        if len(self.records) == 1:
            return ["This is one run alone; name another to see them beside each other."]
        lines = []
        if not self._one_objective():
            kinds = sorted({record.config.objective.kind for record in self.records if record.config})
            lines.append(f"These runs learn different things ({', '.join(kinds)}), so their losses cannot be compared.")
        if not self.one_text:
            lines.append("These runs are measured on different held-out texts, so no figure says which one is better.")
        elif not _same([record.tokenizer for record in self.records]):
            lines.append("These runs cut text into different tokens, so losses cannot be compared; bits per byte can.")
        return lines


def _notices(record: Record) -> list[str]:
    name, status = record.name, record.status
    lines = []
    if record.fault:
        lines.append(record.fault)
    if status.state in ("failed", "lost"):
        lines.append(f"{name} {status.state} at step {record.step:,}. {record.run.error}")
    elif status.live:
        doing = {"queued": "waiting", "starting": "starting", "preparing": "preparing"}.get(status.state, "in training")
        of = f" of {status.steps:,}" if status.steps else ""
        lines.append(f"{name} is still {doing} (step {record.step:,}{of}): compare again for newer figures.")
    if record.best is None and record.step:
        lines.append(f"{name} was not measured on held-out text yet.")
    return lines


def _same(values: Sequence[Any]) -> bool:
    """Whether all that is known is the same."""
    return len({value for value in values if value is not None}) < 2


def _leaves(section: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _sample(record: Record) -> list[Any]:
    if record.sample is None:
        return [None, None, None]
    prompt, text = str(record.sample.get("prompt", "")), str(record.sample.get("text", ""))
    return [record.sample.get("step", 0), prompt, text.removeprefix(prompt) if prompt else text]


def _clip(value: Any, length: int) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= length else text[: length - 1] + "…"
