"""What the curves of a run are drawn from: where measurements stand on an axis, and a running mean."""

from __future__ import annotations

from typing import Literal

import numpy as np

from nbllm.store.metrics import Metrics

Axis = Literal["step", "tokens", "seconds"]


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
