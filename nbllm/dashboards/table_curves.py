"""Curves: a table of one's own, drawn where the page can draw it, and as a still picture everywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbllm.dashboards.plain_figure import show_figure, show_still
from nbllm.dashboards.tables import table
from nbllm.dashboards.tiers import tier
from nbllm.errors import DataError
from nbllm.handles.readable import plain, readable
from nbllm.plots.overlay import png, svg
from nbllm.plots.table_curves import table_chart, table_figure

if TYPE_CHECKING:
    import pandas as pd


_ROWS = 200  # of the table on the page


@dataclass(frozen=True, repr=False, eq=False)
class Curves:
    """`table` as curves. It shows itself; `.figure()` is the same for Plotly."""

    table: pd.DataFrame
    x: str
    y: str
    log_x: bool = False

    def figure(self) -> Any:
        """The curves as a figure (Plotly)."""
        return table_figure(self.table, self.x, self.y, self.log_x)

    def __repr__(self) -> str:
        return f"<Curves of {', '.join(map(str, self.table))} by {self.x}>"

    def _repr_png_(self) -> bytes:
        return png(table_chart(self.table, self.x, self.y, self.log_x))

    def _ipython_display_(self) -> None:
        chosen = tier()
        if chosen == "text":
            print(plain(self.table))
            return
        chart = table_chart(self.table, self.x, self.y, self.log_x)
        count = f"The first {_ROWS} of {len(self.table):,} rows" if len(self.table) > _ROWS else ""
        numbers = table(readable(self.table.iloc[:_ROWS].rename_axis(self.x)), count, across=True)
        below = f"<details><summary>The same as a table</summary>{numbers}</details>"
        if chosen == "widget":
            show_figure(self.figure(), svg(chart), chart.spoken, below)
        else:
            show_still(png(chart), chart.spoken, below)


def curves(table: Any, *, x: str = "", y: str = "", log_x: bool = False) -> Curves:
    """Draw a table (or a Series) of numbers: a curve a column, over its index.

    `x` and `y` say what the axes are; of `x` the index's name where nothing is said. It is alive in a page with Plotly
    and a still picture in a saved notebook. DataError where the index or a column is no number.
    """
    import pandas as pd

    frame = table.to_frame(table.name or "value") if isinstance(table, pd.Series) else pd.DataFrame(table)
    for name, values in (("index", frame.index.to_series()), *((name, frame[name]) for name in frame)):
        if not pd.api.types.is_numeric_dtype(values):
            raise DataError(f"The {name} of the table holds no numbers.", "Leave it out, as in table[[COLUMN, ...]].")
    return Curves(frame, x or str(frame.index.name or "index"), y, log_x)
