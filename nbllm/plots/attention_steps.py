"""One head over the steps of a training: a heatmap with a slider, as a plain Plotly figure that needs no kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.heads import attention_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

_STEPS = 40  # at most: of 64 tokens a step takes 22 kB of a saved notebook
_BEAT = 120  # milliseconds


def attention_steps_figure(kept: Mapping[int, Any], layer: int = -1, head: int = 0) -> go.Figure:
    """The head at every step, or at 40 of them, the first and the last kept. `kept` is step to AttentionMaps."""
    import plotly.graph_objects as go

    steps = sorted(kept)
    places = np.unique(np.linspace(0, len(steps) - 1, min(_STEPS, len(steps))).round().astype(int))
    steps = [steps[place] for place in places]
    figure = attention_figure(kept[steps[-1]], layer, head)
    figure.frames = [
        go.Frame(name=str(step), traces=[0], data=[go.Heatmap(z=_weights(kept[step], layer, head))]) for step in steps
    ]
    now = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    slider = {
        "active": len(steps) - 1, "x": 0.22, "len": 0.78, "y": 1.0, "yanchor": "bottom", "pad": {"t": 6, "b": 14},
        "currentvalue": {"prefix": "step ", "xanchor": "left"}, "ticklen": 4, "minorticklen": 0,
        "steps": [{"label": f"{step:,}", "method": "animate", "args": [[str(step)], now]} for step in steps],
    }  # fmt: skip
    playing = {**now, "fromcurrent": True, "frame": {"duration": _BEAT, "redraw": True}}
    play = {
        "type": "buttons", "showactive": False, "x": 0.0, "xanchor": "left", "y": 1.0, "yanchor": "bottom",
        "pad": {"b": 26}, "direction": "left",
        "buttons": [
            {"label": "▶", "method": "animate", "args": [None, playing]},
            {"label": "❚❚", "method": "animate", "args": [[None], now]},
        ],
    }  # fmt: skip
    figure.update_layout(
        title={"y": 0.99, "yanchor": "top"}, sliders=[slider], updatemenus=[play], height=figure.layout.height + 80,
        width=max(560, figure.layout.width), margin={"t": 120},
    )  # fmt: skip
    return figure


def _weights(maps: Any, layer: int, head: int) -> np.ndarray:
    return np.nan_to_num(np.asarray(maps.of(layer, head).weights[0, 0], dtype=np.float32))
