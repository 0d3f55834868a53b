"""What heads looked at over the steps of a training: the clearest of each kind, or every head by one score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nbllm.errors import ModelError, did_you_mean
from nbllm.inspection.head_course import HeadCourse
from nbllm.inspection.heads import KINDS
from nbllm.plots import overlay
from nbllm.plots.compare import dressed
from nbllm.plots.overlay import Chart, Line, colour

if TYPE_CHECKING:
    import plotly.graph_objects as go

_Y = "share of attention"


def head_course_figure(course: HeadCourse, score: str | None = None) -> go.Figure:
    """A line a kind, the largest share of any head; for one score a line a head. Shares lie between 0 and 1."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for index, (name, (x, y)) in enumerate(_lines(course, score).items()):
        figure.add_scatter(x=x, y=y, name=name, mode="lines+markers", line={"color": colour(index), "width": 2})
    dressed(figure, "step", _Y if score is None else f"{_Y}: {KINDS[score]}")
    figure.update_yaxes(range=[0, 1])
    return figure


def head_course_picture(course: HeadCourse) -> bytes:
    """The clearest head of each kind as a still picture (PNG)."""
    found = _lines(course, None)
    lines = [Line(x, y, colour(i), name, width=2.2) for i, (name, (x, y)) in enumerate(found.items())]
    told = ", ".join(f"{name} {y[-1]:.2f}" for name, (_, y) in found.items() if len(y) and np.isfinite(y[-1]))
    return overlay.png(Chart(lines, f"The clearest head of each kind, at the end: {told}", "step", _Y))


def _lines(course: HeadCourse, score: str | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    if score is None:
        best = course.clearest()
        return {kind: (best.index.to_numpy(float), best[name].to_numpy(float)) for name, kind in KINDS.items()}
    if score not in KINDS:
        raise ModelError(f"There is no score '{score}'.", did_you_mean(score, KINDS))
    return {
        f"layer {layer}, head {head}": (rows.step.to_numpy(float), rows[score].to_numpy(float))
        for (layer, head), rows in course.table.groupby(["layer", "head"])
    }
