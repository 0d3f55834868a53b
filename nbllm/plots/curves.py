"""The curves of a run as a Plotly figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from nbllm.plots.decimate import decimate
from nbllm.plots.palette import GRID, HELD_OUT, INK, TRAIN
from nbllm.store.metrics import Metrics

if TYPE_CHECKING:
    import plotly.graph_objects as go

Axis = Literal["step", "tokens", "seconds"]
TITLES: dict[str, str] = {"step": "step", "tokens": "tokens", "seconds": "seconds of training"}
POINTS = 2000


def loss_figure(metrics: Metrics, x: Axis = "step", log: bool = False, smoothing: float = 0.0) -> go.Figure:
    """Train loss and held-out loss (nats a token) over steps, tokens or seconds; at most 2,000 points a trace.

    `smoothing` from 0 to 1 adds a running mean (see `running_mean`).
    """
    import plotly.graph_objects as go

    assert x in TITLES, x
    assert 0 <= smoothing <= 1, smoothing
    train, held = metrics.train, metrics.evaluation
    along, loss = train.array(x).astype(np.float64), train.array("loss")
    figure = go.Figure()
    thin_x, thin_y = decimate(along, loss, POINTS)
    figure.add_scatter(
        x=thin_x,
        y=thin_y,
        name="train loss",
        mode="lines",
        opacity=0.35 if smoothing else 1.0,
        line={"color": TRAIN, "width": 1.6},
    )
    if smoothing and len(loss):
        smooth = running_mean(train.array("step").astype(np.float64), loss, smoothing)
        figure.add_scatter(
            x=thin_x,
            y=np.interp(thin_x, along, smooth),
            name="smoothed",
            mode="lines",
            line={"color": TRAIN, "width": 2.2},
        )
    held_x, held_y = decimate(x_of(metrics, x), held.array("val_loss"), POINTS)
    figure.add_scatter(
        x=held_x,
        y=held_y,
        name="held-out loss",
        mode="lines+markers",
        line={"color": HELD_OUT, "width": 1.6},
        marker={"size": 6},
    )
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID}
    figure.update_layout(
        template="none", font={"color": INK}, hovermode="x unified", margin={"l": 56, "r": 16, "t": 24, "b": 44},
        legend={"orientation": "h", "y": 1.08, "x": 0},
        xaxis={"title": TITLES[x], **axis}, yaxis={"title": "loss", "type": "log" if log else "linear", **axis},
    )  # fmt: skip
    return figure


def x_of(metrics: Metrics, x: Axis) -> np.ndarray:
    """Where the held-out measurements stand on this axis; read off the train rows where they do not say."""
    steps = metrics.evaluation.array("step").astype(np.float64)
    if x == "step":
        return steps
    own = metrics.evaluation.array(x)
    if not len(metrics.train):
        return own
    read_off = np.interp(steps, metrics.train.array("step"), metrics.train.array(x))
    return np.where(np.isnan(own), read_off, own)


def running_mean(steps: np.ndarray, values: np.ndarray, smoothing: float) -> np.ndarray:
    """Mean over a window that fades exponentially to both sides, so that it does not lag behind the curve.

    The time constant is smoothing^2 / 10 of the run's steps. NaNs have no weight.
    """
    rows = len(values)
    constant = max(smoothing**2 * max(float(steps[-1] - steps[0]), 1.0) / 10, 1e-9)
    total, weight = np.zeros(rows), np.zeros(rows)
    fades = np.exp(-np.abs(np.diff(steps)) / constant).tolist()
    numbers = values.tolist()
    for way in (1, -1):
        mean = mass = 0.0
        order = range(rows) if way > 0 else range(rows - 1, -1, -1)
        for row in order:
            between = row - 1 if way > 0 else row
            fade = fades[between] if 0 <= between < rows - 1 else 0.0
            mean, mass = mean * fade, mass * fade
            total[row] += mean
            weight[row] += mass
            if np.isfinite(numbers[row]):
                mean, mass = mean + numbers[row], mass + 1
                if way > 0:
                    total[row] += numbers[row]
                    weight[row] += 1
    return np.divide(total, weight, out=np.full(rows, np.nan), where=weight > 0)
