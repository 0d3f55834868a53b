"""Runs that belong together: the spread over seeds, and the held-out loss against the amount of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.compare import POINTS, Y_TITLES, dressed
from nbllm.plots.decimate import decimate
from nbllm.plots.maps import escape
from nbllm.plots.overlay import Band, Chart, Line
from nbllm.plots.palette import HELD_OUT, QUIET, TRAIN

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nbllm.handles.learning_curve import LearningCurve
    from nbllm.handles.record import Record
    from nbllm.handles.repeat import Repeats

_BAND = "rgba(0,114,178,.18)"
_SIZE_TITLE = "tokens of training text"


def repeats_figure(repeats: Repeats, y: str = "loss") -> go.Figure:
    """The held-out loss of every seed, thin, and its median, bold, in a band from the lowest to the highest.

    Beside it the best of each seed, at its own scale: what the table sums up.
    """
    from plotly.subplots import make_subplots

    records = repeats.records
    steps, low, middle, high = over_seeds(records, y)
    figure = make_subplots(cols=2, column_widths=[0.8, 0.2], horizontal_spacing=0.09)
    edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "col": 1, "row": 1}
    figure.add_scatter(x=steps, y=high, showlegend=False, **edge)
    figure.add_scatter(x=steps, y=low, name="lowest to highest", fill="tonexty", fillcolor=_BAND, **edge)
    for place, (record, x, values) in enumerate(_held_out(records, y)):
        thin_x, thin_y = decimate(x, values, POINTS)
        figure.add_scatter(
            x=thin_x, y=thin_y, name="a seed", mode="lines", line={"color": TRAIN, "width": 1}, opacity=0.55,
            showlegend=place == 0, legendgroup="seeds", col=1, row=1,
            hovertemplate=f"{escape(record.name)}, step %{{x:,}}: %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    if len(steps):
        line = {"color": TRAIN, "width": 3}
        figure.add_scatter(x=steps, y=middle, name="median", mode="lines", line=line, col=1, row=1)
    measured = [(record, best) for record in records if (best := record.best) is not None]
    figure.add_box(
        y=[best[1] if y == "loss" else best[2] for _, best in measured], text=[escape(r.name) for r, _ in measured],
        boxpoints="all", pointpos=0, jitter=0.4, fillcolor=_BAND, line={"color": TRAIN, "width": 1.2},
        marker={"color": TRAIN, "size": 6}, name="best of each seed", showlegend=False, col=2, row=1,
    )  # fmt: skip
    dressed(figure, "step", f"held-out {Y_TITLES[y]}")
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(title={"text": ""}, col=2)
    figure.update_yaxes(title={"text": ""}, col=2)
    return figure


def repeats_chart(repeats: Repeats) -> Chart:
    """The curves as a still picture."""
    records = repeats.records
    steps, low, middle, high = over_seeds(records, "loss")
    lines = [
        Line(x, values, TRAIN, "" if place else "a seed", width=1.0, opacity=0.55, dots=len(x) == 1)
        for place, (_, x, values) in enumerate(_held_out(records, "loss"))
    ]
    if len(steps):
        lines.append(Line(steps, middle, TRAIN, "median", width=2.6))
    best = repeats.table["best_val_loss"]
    told = f"median {best['median']:.4g}, standard deviation {best['std']:.2g}"
    spoken = f"Held-out loss of {len(repeats)} seeds of {repeats.name}. Best: "
    spoken += "none measured" if np.isnan(best["median"]) else told
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
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T[:, :: max(1, -(-len(rows) // POINTS))]
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
    figure = dressed(figure, _SIZE_TITLE, f"held-out {Y_TITLES[y]}")
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
    found = []
    for record in records:
        held = record.metrics.evaluation
        values = held.array("val_loss") * (1.0 if y == "loss" else record.bits_per_nat)
        if np.isfinite(values).any():
            found.append((record, held.array("step").astype(np.float64), values))
    return found
