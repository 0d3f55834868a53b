"""Several runs over each other: a Plotly figure whose buttons need no kernel, and the same as a still picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.curves import running_mean, x_of
from nbllm.plots.decimate import decimate
from nbllm.plots.maps import escape
from nbllm.plots.overlay import Chart, Line, colour

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nbllm.handles.compare import Comparison
    from nbllm.handles.record import Record

X_TITLES = {"step": "step", "tokens": "tokens", "seconds": "seconds of training", "flops": "FLOPs (estimate)"}
Y_TITLES = {"loss": "loss (nats a token)", "bits_per_byte": "bits per byte"}
POINTS = 600  # of a curve: as many as can be told apart; each is kept for four axes
# Ink that is read on white and on black: a figure in a saved notebook does not know the page's theme.
INK = "#7A7E86"
LINE = "rgba(128,134,146,.28)"
CLEAR = "rgba(0,0,0,0)"
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")


@dataclass(frozen=True)
class Curve:
    """One curve of a run, few enough points to draw, with its places on every axis and its values in every unit."""

    held_out: bool
    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.x["step"])


def comparison_figure(
    comparison: Comparison, x: str = "step", y: str = "loss", log: bool = False, smoothing: float = 0.2
) -> go.Figure:
    """Train loss thin, held-out loss bold, a colour and a mark a run; buttons change axes, unit and scale."""
    import plotly.graph_objects as go

    figure = go.Figure()
    shown: list[Curve] = []
    for place, record in enumerate(comparison.records):
        found = curves(record, smoothing)
        for curve in found:
            shown.append(curve)
            line: dict[str, Any] = {"color": colour(place), "width": 3.0 if curve.held_out else 1.1}
            figure.add_scatter(
                x=curve.x[x],
                y=curve.y[y],
                name=escape(record.name) + ("" if curve.held_out else " (train)"),
                legendgroup=str(place),
                showlegend=curve.held_out or len(found) == 1,
                mode="lines+markers" if curve.held_out else "lines",
                marker={"size": 7, "symbol": _SYMBOLS[place % len(_SYMBOLS)]},
                line=line,
                opacity=1.0 if curve.held_out else 0.7,
            )
    dressed(figure, X_TITLES[x], Y_TITLES[y])
    figure.update_layout(height=420, margin={"t": 84}, updatemenus=_menus(shown, x, y, log))
    figure.update_xaxes(exponentformat=_exponent(x))
    figure.update_yaxes(type="log" if log else "linear")
    return figure


def comparison_chart(comparison: Comparison) -> Chart:
    """The still picture: the same curves by step, in the unit that can be compared."""
    lines = []
    for place, record in enumerate(comparison.records):
        found = curves(record, 0.2)
        for curve in found:
            named = curve.held_out or len(found) == 1
            lines.append(
                Line(
                    curve.x["step"], curve.y[comparison.y], colour(place), record.name if named else "",
                    width=2.4 if curve.held_out else 1.0, opacity=1.0 if curve.held_out else 0.5, dots=curve.held_out,
                )
            )  # fmt: skip
    told = [
        f"{record.name} {record.best[1]:.4g} at step {record.best[0]:,}" for record in comparison.records if record.best
    ]
    spoken = f"Curves of {len(comparison.records)} runs. Best held-out loss: {', '.join(told) or 'none measured'}"
    return Chart(lines, spoken, X_TITLES["step"], Y_TITLES[comparison.y])


def curves(record: Record, smoothing: float) -> list[Curve]:
    """The train loss, smoothed, and the held-out loss of a run, those of them that have points."""
    train, held = record.metrics.train, record.metrics.evaluation
    found = []
    if len(train):
        steps, loss = train.array("step").astype(np.float64), train.array("loss")
        smooth = running_mean(steps, loss, smoothing) if smoothing else loss
        found.append(_curve(record, False, {name: train.array(name) for name in ("step", "tokens", "seconds")}, smooth))
    if len(held):
        found.append(
            _curve(
                record,
                True,
                {"step": x_of(record.metrics, "step"), "tokens": x_of(record.metrics, "tokens"),
                 "seconds": x_of(record.metrics, "seconds")},
                held.array("val_loss"),
            )
        )  # fmt: skip
    return [curve for curve in found if np.isfinite(curve.y["loss"]).any()]


def dressed(figure: go.Figure, x_title: str, y_title: str) -> go.Figure:
    """The figure in quiet ink that stands on light and dark."""
    axis = {"gridcolor": LINE, "linecolor": LINE, "zeroline": False, "tickcolor": LINE}
    figure.update_layout(
        template="none", paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, font={"color": INK, "size": 12}, height=380,
        autosize=True, hovermode="x unified", hoverlabel={"bgcolor": "#24292F", "font": {"color": "#FFFFFF"}},
        margin={"l": 64, "r": 16, "t": 44, "b": 48},
        legend={"orientation": "h", "y": 1.02, "x": 0, "yanchor": "bottom", "traceorder": "normal"},
    )  # fmt: skip
    figure.update_xaxes(title={"text": x_title}, **axis)
    figure.update_yaxes(title={"text": y_title}, **axis)
    return figure


def _curve(record: Record, held_out: bool, x: dict[str, np.ndarray], loss: np.ndarray) -> Curve:
    kept, _ = decimate(np.arange(len(loss)), loss, POINTS)
    rows = kept.astype(int)
    x = {**x, "flops": x["tokens"] * record.flops_per_token}
    y = {"loss": loss, "bits_per_byte": loss * record.bits_per_nat}
    return Curve(held_out, *({name: _drawn(values[rows]) for name, values in axes.items()} for axes in (x, y)))


def _exponent(x: str) -> str:
    """How large numbers are written: 3 x 10^15 operations, but 20k tokens."""
    return "power" if x == "flops" else "B"


def _drawn(values: np.ndarray) -> np.ndarray:
    """Numbers as exact as a picture needs them, in half the place."""
    return values.astype(np.float32)


def _menus(shown: Sequence[Curve], x: str, y: str, log: bool) -> list[dict[str, Any]]:
    """Three rows of buttons: what runs along, the unit, the scale. All that they show is in the figure already."""
    along = [
        {
            "label": {"seconds": "time", "flops": "FLOPs"}.get(name, f"{name}s" if name == "step" else name),
            "method": "update",
            "args": [
                {"x": [curve.x[name] for curve in shown]},
                {"xaxis.title.text": title, "xaxis.autorange": True, "xaxis.exponentformat": _exponent(name)},
            ],
        }
        for name, title in X_TITLES.items()
        if name != "flops" or any(np.isfinite(curve.x["flops"]).any() for curve in shown)
    ]
    units = [
        {
            "label": {"bits_per_byte": "bits per byte"}.get(name, name),
            "method": "update",
            "args": [{"y": [curve.y[name] for curve in shown]}, {"yaxis.title.text": title, "yaxis.autorange": True}],
        }
        for name, title in Y_TITLES.items()
        if name != "bits_per_byte" or any(np.isfinite(curve.y["bits_per_byte"]).any() for curve in shown)
    ]
    scales = [
        {"label": name, "method": "relayout", "args": [{"yaxis.type": name, "yaxis.autorange": True}]}
        for name in ("linear", "log")
    ]
    rows = ((0.0, along, list(X_TITLES).index(x)), (0.44, units, list(Y_TITLES).index(y)), (0.78, scales, int(log)))
    return [
        {
            "type": "buttons", "direction": "right", "x": place, "xanchor": "left", "y": 1.34, "yanchor": "top",
            "active": min(active, len(buttons) - 1), "buttons": buttons, "bgcolor": CLEAR, "bordercolor": LINE,
            "font": {"color": INK, "size": 11}, "pad": {"t": 0, "b": 0, "l": 0, "r": 0},
        }
        for place, buttons, active in rows
        if len(buttons) > 1
    ]  # fmt: skip
