"""One head as lines between two columns of tokens, as a Plotly figure: the stronger a weight, the stronger its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.fonts import clip
from nbllm.plots.maps import apart, escape, visible
from nbllm.plots.palette import INK, QUIET, TRAIN

if TYPE_CHECKING:
    import plotly.graph_objects as go

_LINES = 600  # at most; the weakest are left out
_CLASSES = 8  # of strength: a trace each
_LEAST = 0.02  # of the largest weight
_ROW = 22  # pixels
_CURVE = 18  # points of a line
_LETTERS = 18


def head_lines_figure(maps: Any, layer: int = -1, head: int = 0) -> go.Figure:
    """Lines from the tokens that look (left) to those looked at (right); hover at a line's middle tells its weight.

    `maps` is an AttentionMaps.
    """
    import plotly.graph_objects as go

    one = maps.of(layer, head)
    block = one.layers[0]
    head %= maps.weights.shape[1]
    weights_QK = np.nan_to_num(np.asarray(one.weights[0, 0], dtype=np.float32))
    most = float(weights_QK.max(initial=0.0)) or 1.0
    flat = weights_QK.reshape(-1)
    order = np.argsort(-flat, kind="stable")[:_LINES]
    order = order[flat[order] >= _LEAST * most]
    queries, keys = np.unravel_index(order, weights_QK.shape)
    strengths = flat[order]
    figure = go.Figure()
    way = np.linspace(0, 1, _CURVE)
    bend = way * way * (3 - 2 * way)
    classes = np.minimum(_CLASSES - 1, (strengths / most * _CLASSES).astype(int))
    for level in range(_CLASSES):  # the strong over the faint
        chosen = classes == level
        if not chosen.any():
            continue
        y = queries[chosen, None] + (keys[chosen] - queries[chosen])[:, None] * bend
        gap = np.full((len(y), 1), np.nan)
        share = (level + 0.5) / _CLASSES
        figure.add_scatter(
            x=np.concatenate([np.broadcast_to(way, y.shape), gap], 1).ravel(), y=np.concatenate([y, gap], 1).ravel(),
            mode="lines", hoverinfo="skip", showlegend=False, opacity=0.1 + 0.85 * share,
            line={"color": TRAIN, "width": 0.8 + 4 * share},
        )  # fmt: skip
    named_queries = [apart(visible(token)) for token in maps.queries]
    named_keys = [apart(visible(token)) for token in maps.keys]
    figure.add_scatter(
        x=np.full(len(order), 0.5), y=(queries + keys) / 2, mode="markers", showlegend=False,
        marker={"size": 9, "color": TRAIN, "opacity": 0},
        customdata=[escape(f"{named_queries[q]} → {named_keys[k]}") for q, k in zip(queries, keys, strict=True)],
        text=[f"{value:.3f}" for value in strengths], hovertemplate="%{customdata}<br>%{text}<extra></extra>",
    )  # fmt: skip
    for x, names, side, what in ((0, named_queries, "left", "looks"), (1, named_keys, "right", "is looked at")):
        figure.add_scatter(
            x=np.full(len(names), x), y=np.arange(len(names)), mode="text", showlegend=False,
            text=[escape(clip(name, _LETTERS)) for name in names], textposition=f"middle {side}",
            textfont={"color": INK}, customdata=[escape(name) for name in names],
            hovertemplate=f"%{{customdata}} {what}<extra></extra>", cliponaxis=False,
        )  # fmt: skip
    rows = max(weights_QK.shape)
    figure.update_layout(
        template="none", font={"color": INK}, autosize=False, width=640,
        height=max(240, min(1600, 80 + _ROW * rows)), margin={"l": 150, "r": 150, "t": 56, "b": 16},
        title={"text": f"layer {block}, head {head}", "x": 0.02, "font": {"size": 15}},
        annotations=[
            {"text": word, "x": x, "y": 1.0, "xref": "x", "yref": "paper", "yanchor": "bottom", "showarrow": False,
             "font": {"color": QUIET}, "xanchor": anchor}
            for word, x, anchor in (("looks", 0, "right"), ("is looked at", 1, "left"))
        ],
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-0.02, 1.02])
    figure.update_yaxes(visible=False, range=[rows - 0.4, -0.6])
    return figure
