"""The loss against the learning rate: what a learning-rate test saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nbllm.plots.compare import dressed
from nbllm.plots.overlay import Chart, Line, svg
from nbllm.plots.palette import HELD_OUT, QUIET, TRAIN

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nbllm.handles.find_lr import LrFinder

_X, _Y = "learning rate", "loss"


def lr_figure(found: LrFinder) -> go.Figure:
    """The loss of every step thin and smoothed bold, on a logarithmic axis, the suggestion marked."""
    import plotly.graph_objects as go

    sweep = found.sweep
    figure = go.Figure()
    figure.add_scatter(
        x=sweep.rates, y=sweep.losses, name="loss of a step", mode="lines+markers",
        line={"color": QUIET, "width": 1}, marker={"size": 4},
    )  # fmt: skip
    figure.add_scatter(x=sweep.rates, y=sweep.smooth, name="smoothed", mode="lines", line={"color": TRAIN, "width": 3})
    dressed(figure, _X, _Y)
    figure.update_layout(height=380)
    figure.update_xaxes(type="log", exponentformat="e")
    if not len(sweep.rates):
        return figure
    span = _span(sweep.losses, sweep.smooth)
    figure.update_yaxes(range=span)
    marks = [(found.config.train.lr, f"set {found.config.train.lr:g}", QUIET)]
    marks += [(found.lr, f"suggested {found.lr:g}", HELD_OUT)] if found.lr is not None else []
    for rate, text, ink in marks:  # as traces: on a logarithmic axis a shape and its label stand by different rules
        figure.add_scatter(x=[rate, rate], y=span, name=text, mode="lines", line={"color": ink, "dash": "dot"})
    return figure


def lr_chart(found: LrFinder) -> Chart:
    """The same as a still picture."""
    sweep = found.sweep
    if not len(sweep.rates):
        return Chart([], "No loss was a number.", _X, _Y, log_x=True)
    low, high = _span(sweep.losses, sweep.smooth)
    losses = np.where(sweep.losses > high, np.nan, sweep.losses)
    smooth = np.where(sweep.smooth > high, np.nan, sweep.smooth)
    lines = [
        Line(sweep.rates, losses, QUIET, "loss of a step", width=1.0),
        Line(sweep.rates, smooth, TRAIN, "smoothed", width=2.4),
    ]
    if found.lr is not None:
        lines.append(Line(np.array([found.lr] * 2), np.array([low, high]), HELD_OUT, f"suggested {found.lr:g}"))
    spoken = f"Loss against the learning rate. {found.headline}"
    return Chart(lines, spoken, _X, _Y, log_x=True)


def lr_picture(found: LrFinder) -> str:
    """The still picture as an SVG."""
    return svg(lr_chart(found))


def _span(losses: np.ndarray, smooth: np.ndarray) -> list[float]:
    """Where the fall is seen: an explosion at the end would press it flat."""
    low, start = float(np.nanmin(losses)), float(smooth[: max(3, len(smooth) // 10)].mean())
    room = max(start - float(smooth.min()), 0.05 * abs(start), 1e-6)
    return [low - 0.05 * room, max(start, float(smooth.min())) + 0.35 * room]
