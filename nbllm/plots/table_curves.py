"""A table as curves: a column a curve, over the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nbllm.plots.compare import dressed
from nbllm.plots.decimate import decimate
from nbllm.plots.maps import escape
from nbllm.plots.overlay import Chart, Line, colour

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

POINTS = 2000  # of a curve in a live page


def table_figure(table: pd.DataFrame, x: str, y: str, log_x: bool = False) -> go.Figure:
    """A line with its points for each column; `x` and `y` are what stands on the axes."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for place, name in enumerate(table):
        along, values = _curve(table, place)
        along, values = decimate(along, values, POINTS)
        figure.add_scatter(
            x=along, y=values, name=escape(str(name)), mode="lines+markers", showlegend=True,
            line={"color": colour(place), "width": 2}, marker={"size": 5},
        )  # fmt: skip
    dressed(figure, escape(x), escape(y))
    figure.update_xaxes(type="log" if log_x else "linear")
    return figure


def table_chart(table: pd.DataFrame, x: str, y: str, log_x: bool = False) -> Chart:
    """The same as a still picture."""
    lines = [
        Line(*_curve(table, place), colour(place), str(name), width=2.2, dots=True) for place, name in enumerate(table)
    ]
    ends = [f"{line.label} {line.y[-1]:.3g}" for line in lines if len(line.y) and np.isfinite(line.y[-1])]
    return Chart(lines, f"{y} by {x}. At the end: {', '.join(ends)}", x, y, log_x=log_x)


def _curve(table: pd.DataFrame, place: int) -> tuple[np.ndarray, np.ndarray]:
    return table.index.to_numpy(np.float64), table.iloc[:, place].to_numpy(np.float64)
