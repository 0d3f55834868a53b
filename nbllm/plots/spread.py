"""Runs that belong together: the spread over seeds, and the held-out loss against the amount of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.compare import CLEAR, INK, LINE, Y_TITLES, curves
from nbllm.plots.maps import escape
from nbllm.plots.overlay import Band, Chart, Line, colour
from nbllm.plots.palette import HELD_OUT, QUIET, TRAIN

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nbllm.handles.learning_curve import LearningCurve
    from nbllm.handles.record import Record
    from nbllm.handles.repeat import Repeats

_BAND = "rgba(0,114,178,.18)"
_SIZE_TITLE = "tokens of training text"


def repeats_figure(repeats: Repeats, y: str = "loss") -> go.Figure:
    """The held-out loss of every seed, thin; the median over them, bold; a band from the lowest to the highest."""
    import plotly.graph_objects as go

    steps, low, middle, high = over_seeds(repeats.records, y)
    figure = go.Figure()
    edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_scatter(x=steps, y=high, showlegend=False, **edge)
    figure.add_scatter(x=steps, y=low, name="lowest to highest", fill="tonexty", fillcolor=_BAND, **edge)
    for place, (record, x, values) in enumerate(_held_out(repeats.records, y)):
        line = {"color": colour(place), "width": 1.2}
        figure.add_scatter(x=x, y=values, name=escape(record.name), mode="lines", line=line, opacity=0.7)
    figure.add_scatter(x=steps, y=middle, name="median", mode="lines", line={"color": TRAIN, "width": 3})
    return _dressed(figure, "step", f"held-out {Y_TITLES[y]}")


def repeats_chart(repeats: Repeats) -> Chart:
    """The same as a still picture."""
    steps, low, middle, high = over_seeds(repeats.records, "loss")
    lines = [
        Line(x, values, colour(place), record.name, width=1.0, opacity=0.7, dots=len(x) == 1)
        for place, (record, x, values) in enumerate(_held_out(repeats.records, "loss"))
    ]
    if len(lines) > 1:
        lines.append(Line(steps, middle, TRAIN, "median", width=2.4))
    best = repeats.table["best_val_loss"]
    told = (
        "none measured"
        if np.isnan(best["median"])
        else f"median {best['median']:.4g}, standard deviation {best['std']:.2g}"
    )
    spoken = f"Held-out loss of {len(repeats)} seeds of {repeats.name}. Best: {told}"
    return Chart(lines, spoken, "step", f"held-out {Y_TITLES['loss']}", [Band(steps, low, high, TRAIN)])


def over_seeds(records: Sequence[Record], y: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Steps that more than one seed was measured at, with the lowest, the median and the highest value there."""
    found: dict[float, list[float]] = {}
    for _, steps, values in _held_out(records, y):
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            if np.isfinite(value):
                found.setdefault(step, []).append(value)
    several = sorted(step for step, values in found.items() if len(values) > 1)
    rows = [[step, min(found[step]), float(np.median(found[step])), max(found[step])] for step in several]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return columns[0], columns[1], columns[2], columns[3]


def learning_figure(curve: LearningCurve, y: str = "loss") -> go.Figure:
    """Best held-out loss against the tokens learned from, on a logarithmic axis; the loss at the end beside it."""
    import plotly.graph_objects as go

    size, best, last = by_size(curve.records, y)
    figure = go.Figure()
    for name, values, ink, width in (("at the end", last, QUIET, 1.2), ("best", best, HELD_OUT, 3.0)):
        figure.add_scatter(
            x=size, y=values, name=name, mode="lines+markers", line={"color": ink, "width": width}, marker={"size": 8}
        )
    figure = _dressed(figure, _SIZE_TITLE, f"held-out {Y_TITLES[y]}")
    figure.update_xaxes(type="log", tickvals=size.tolist(), ticktext=[f"{each:,.0f}" for each in size])
    return figure


def learning_chart(curve: LearningCurve) -> Chart:
    """The same as a still picture."""
    size, best, last = by_size(curve.records, "loss")
    lines = [
        Line(size, last, QUIET, "at the end", width=1.2, dots=True),
        Line(size, best, HELD_OUT, "best", width=2.4, dots=True),
    ]
    told = ", ".join(f"{loss:.4g} from {tokens:,.0f} tokens" for tokens, loss in zip(size, best, strict=True))
    spoken = f"Held-out loss of {curve.name} by the amount of text: {told or 'none measured'}"
    return Chart(lines, spoken, _SIZE_TITLE, f"held-out {Y_TITLES['loss']}", log_x=True)


def by_size(records: Sequence[Record], y: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens learned from, best and last measurement of each run that was measured, by size."""
    rows = [
        (
            record.train_tokens,
            best[1] if y == "loss" else best[2],
            record.last_loss * (1 if y == "loss" else record.bits_per_nat),
        )
        for record in records
        if (best := record.best) is not None and np.isfinite(record.train_tokens)
    ]
    columns = np.array(sorted(rows), dtype=np.float64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]


def _held_out(records: Sequence[Record], y: str) -> list[tuple[Record, np.ndarray, np.ndarray]]:
    """The runs that were measured, with their steps and values."""
    return [
        (record, curve.x["step"], curve.y[y])
        for record in records
        for curve in curves(record, 0.0)
        if curve.held_out and np.isfinite(curve.y[y]).any()
    ]


def _dressed(figure: go.Figure, x_title: str, y_title: str) -> go.Figure:
    """The figure in quiet ink that stands on light and dark."""
    axis = {"gridcolor": LINE, "linecolor": LINE, "zeroline": False, "tickcolor": LINE}
    figure.update_layout(
        template="none", paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, font={"color": INK, "size": 12}, height=380,
        autosize=True, hovermode="x unified", hoverlabel={"bgcolor": "#24292F", "font": {"color": "#FFFFFF"}},
        margin={"l": 64, "r": 16, "t": 44, "b": 48},
        legend={"orientation": "h", "y": 1.02, "x": 0, "yanchor": "bottom"},
        xaxis={"title": {"text": x_title}, **axis}, yaxis={"title": {"text": y_title}, **axis},
    )  # fmt: skip
    return figure
