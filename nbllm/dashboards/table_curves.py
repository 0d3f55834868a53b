"""Curves: a table of one's own, drawn where the page can draw it, and as a still picture everywhere else."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbllm.dashboards.compare import live_bundle
from nbllm.dashboards.tiers import tier
from nbllm.errors import DataError
from nbllm.handles.readable import plain
from nbllm.plots.overlay import png
from nbllm.plots.table_curves import table_chart, table_figure

if TYPE_CHECKING:
    import pandas as pd


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
        from IPython.display import display

        chosen = tier()
        chart = table_chart(self.table, self.x, self.y, self.log_x)
        if chosen == "text":
            print(plain(self.table))
        elif chosen == "widget":
            display(live_bundle(self.figure(), chart), raw=True)
        else:
            still = base64.b64encode(png(chart)).decode("ascii")
            display({"image/png": still, "text/plain": chart.spoken}, raw=True)


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
