"""Finding: what a measurement of responsible use found, in one shape for all of them, kept in the run folder.

    found = model.bias()         # or memorization(), toxicity(), ...
    found                        # a paragraph, a chart, a table, and what it does not show
    found.facts["p"]             # the key figures, by name
    found.table, found.figure()  # pandas, Plotly

A finding is data alone, its chart too (a `Diagram`), so that what is read from a run folder is the same thing again:
the model card and the report list what is kept there.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nbllm.errors import DataError
from nbllm.registry import VIEWS
from nbllm.store.files import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
FOLDER = "findings"
MOST_ROWS = 500  # of a table that is kept
MOST_BYTES = 4_000_000  # of a file that is read
_KIND = re.compile(r"[a-z][a-z0-9-]{0,40}")
_FORMS = ("bars", "points", "lines")


@dataclass(frozen=True)
class Series:
    """Values at places: names (of bars and points) or numbers (of lines). `low` and `high` are the ends of an
    interval about each value, where it has one."""

    name: str
    places: Sequence[str | float]
    values: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Diagram:
    """A chart as data. Bars and points lie across, a row a place, so that long names can be read; lines go from left to
    right.

    place, value  what stands on the two axes
    reference     a value to compare with (no difference, chance), drawn as a line; `reference_name` says what it is
    log           lines: the places grow by factors
    """

    form: Literal["bars", "points", "lines"]
    series: Sequence[Series]
    place: str
    value: str
    reference: float | None = None
    reference_name: str = ""
    log: bool = False


@dataclass(frozen=True, repr=False)
class Finding:
    """What one measurement found.

    kind     its name in the run folder: bias, toxicity, ... (lower-case letters, digits, -)
    title    a heading of a few words
    about    the run or the data that was measured; `step` the checkpoint's
    says     a paragraph: what was found, with its figures
    limits   a paragraph: what that does not show
    table    the figures behind it
    diagram  a chart of them
    facts    the key figures by name: numbers, texts, truth values
    more     further tables by their heading, as examples
    """

    kind: str
    title: str
    about: str
    says: str
    limits: str
    table: pd.DataFrame
    diagram: Diagram | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    step: int | None = None
    time: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        assert _KIND.fullmatch(self.kind), self.kind
        assert self.says, "a finding says what was found"
        assert self.limits, "a finding says what it does not show"

    def figure(self) -> Any:
        """The chart, by Plotly."""
        return VIEWS.get("finding")(self)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON takes it. Tables are cut to their first 500 rows."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "title": self.title,
            "about": self.about,
            "step": self.step,
            "time": round(self.time, 3),
            "says": self.says,
            "limits": self.limits,
            "facts": {str(name): _cell(value) for name, value in self.facts.items()},
            "table": _rows(self.table),
            "diagram": None if self.diagram is None else _drawn(self.diagram),
            "more": {str(name): _rows(each) for name, each in self.more.items()},
        }

    @classmethod
    def from_json(cls, content: Any) -> Finding:
        """What `to_json` wrote. DataError for anything else: nothing in it is trusted but its texts and numbers."""
        try:
            if content["format"] > FORMAT:
                raise DataError("This finding was written by a newer nbllm.", "Update: pip install --upgrade nbllm")
            texts = {name: content[name] for name in ("kind", "title", "about", "says", "limits")}
            if not all(isinstance(text, str) for text in texts.values()) or not _KIND.fullmatch(texts["kind"]):
                raise ValueError("texts")
            return cls(
                **texts,
                table=_frame(content["table"]),
                diagram=None if content["diagram"] is None else _diagram(content["diagram"]),
                facts={str(name): _cell(value) for name, value in content["facts"].items()},
                more={str(name): _frame(each) for name, each in content["more"].items()},
                step=None if content["step"] is None else int(content["step"]),
                time=float(content["time"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, AssertionError, OverflowError):
            raise DataError("This is no finding of nbllm.", "Measure it anew, as in model.bias().") from None

    def __repr__(self) -> str:
        return f"<Finding {self.kind} of {self.about}: {self.says}>"

    def __str__(self) -> str:
        return VIEWS.get("finding_text")(self)

    def _repr_html_(self) -> str:
        return VIEWS.get("finding_page")(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a terminal shows: paragraph, table, limits."""
        printer.text(str(self))

    def _ipython_display_(self) -> None:
        VIEWS.get("finding_display")(self)


def keep(finding: Finding, folder: Path) -> Path:
    """Write it to `findings/KIND.json` of a run folder, in place of an earlier one; the file."""
    path = folder / FOLDER / f"{finding.kind}.json"
    path.parent.mkdir(exist_ok=True)
    write_json(path, finding.to_json())
    return path


def kept(folder: Path) -> list[Finding]:
    """What is kept in a run folder, by kind; what cannot be read is left out."""
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            if path.stat().st_size <= MOST_BYTES:
                found.append(Finding.from_json(read_json(path)))
        except (DataError, OSError, RecursionError):
            continue
    return found


def _rows(frame: pd.DataFrame) -> dict[str, Any]:
    part = frame.iloc[:MOST_ROWS]
    return {
        "columns": [str(name) for name in part.columns],
        "index": [_cell(value) for value in part.index],
        "index_name": None if part.index.name is None else str(part.index.name),
        "rows": [[_cell(value) for value in row] for row in part.to_numpy(dtype=object).tolist()],
    }


def _frame(content: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    columns = [str(name) for name in content["columns"]]
    rows = [[_cell(value) for value in row] for row in content["rows"][:MOST_ROWS]]
    name = None if content["index_name"] is None else str(content["index_name"])
    index = pd.Index([_cell(value) for value in content["index"][:MOST_ROWS]], name=name)
    return pd.DataFrame(rows, columns=columns, index=index)


def _drawn(diagram: Diagram) -> dict[str, Any]:
    series = [
        {
            "name": each.name,
            "places": [_cell(place) for place in each.places],
            **{part: [_cell(value) for value in getattr(each, part)] for part in ("values", "low", "high")},
        }
        for each in diagram.series
    ]
    plain = ("form", "place", "value", "reference", "reference_name", "log")
    return {"series": series, **{name: getattr(diagram, name) for name in plain}}


def _diagram(content: Mapping[str, Any]) -> Diagram:
    form = content["form"]
    if form not in _FORMS:
        raise ValueError(form)
    series = []
    for each in content["series"]:
        number = float if form == "lines" else str
        places = [number(place) for place in each["places"]]
        values, low, high = (_numbers(each[part]) for part in ("values", "low", "high"))
        if len(values) != len(places) or len(low) not in (0, len(values)) or len(high) != len(low):
            raise ValueError("lengths")
        series.append(Series(str(each["name"]), places, values, low, high))
    reference = content["reference"]
    return Diagram(
        form, series, str(content["place"]), str(content["value"]),
        None if reference is None else float(reference), str(content["reference_name"]), bool(content["log"]),
    )  # fmt: skip


def _numbers(values: Sequence[Any]) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]


def _cell(value: Any) -> Any:
    """A value as JSON has it: a truth value, a number, a text; None where there is no number."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    return str(value)
