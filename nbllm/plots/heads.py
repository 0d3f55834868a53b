"""Attention maps as they are shown: one head as a Plotly figure, and all heads side by side as a picture.

Shapes: L layers, H heads, Q queries, K keys: the same tokens, but where a decoder reads its encoder.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.fonts import clip, font
from nbllm.plots.maps import heatmap, visible
from nbllm.plots.palette import INK, PAPER, QUIET, WEIGHTS

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MOST_PIXELS = 1400  # of the picture's width
_LABELLED_TOKENS = 48
_GAP = 18
_AROUND = (200, 150)  # pixels beside a figure's map, and above and below it
_LABEL = 11  # pixels of a figure's label


def attention_figure(maps: Any, layer: int = -1, head: int = 0) -> go.Figure:
    """One head as a heatmap; hover shows both tokens and the weight. `maps` has .weights (LHQK), .queries and .keys."""
    one = maps.of(layer, head)
    title = f"layer {one.layers[0]}, head {head % maps.weights.shape[1]}"
    if maps.part == "rollout":
        title = f"rollout, up to layer {one.layers[0]}"
    figure = heatmap(one.weights[0, 0], maps.keys, maps.queries, title=title)
    rows, columns = one.weights.shape[2:]
    figure.update_layout(
        title={"x": 0.02, "font": {"size": 15}}, autosize=False, width=_AROUND[0] + _side(columns),
        height=_AROUND[1] + _side(rows), margin={"t": 46},
    )  # fmt: skip
    thinned(figure.layout.xaxis, _side(columns))
    thinned(figure.layout.yaxis, _side(rows))
    return figure


def thinned(axis: Any, pixels: int) -> None:
    """Leave out labels of an axis, evenly, so that none lies over the next."""
    if axis.tickvals is not None and len(axis.tickvals) * _LABEL > pixels:
        step = -(-len(axis.tickvals) * _LABEL // pixels)
        axis.update(tickvals=axis.tickvals[::step], ticktext=axis.ticktext[::step])


def _side(places: int) -> int:
    """Pixels of a figure's side for so many tokens: squares that can be pointed at, as long as they fit a page."""
    return min(620, max(14 * places, min(300, 40 * places)))


def attention_picture(maps: Any) -> bytes:
    """A PNG of every head: a row a layer, a column a head, the queries beside the rows of the first."""
    from PIL import Image, ImageDraw

    weights, queries = np.asarray(maps.weights), [clip(visible(token), 8) for token in maps.queries]
    layers, heads, rows, columns = weights.shape
    cell = max(1, min(14, (_MOST_PIXELS - 120) // (heads * columns)))
    face, small = font(14), font(max(6, min(12, cell)))
    labelled = rows <= _LABELLED_TOKENS and cell >= 7
    left = 24 + (max(int(small.getlength(token)) for token in queries) if labelled else 0)
    wide, high, top = columns * cell, rows * cell, 30
    across = max(wide, int(face.getlength(f"layer {maps.layers[-1]}, head {heads - 1}"))) + _GAP  # titles keep apart
    down = high + _GAP + 14
    picture = Image.new("RGB", (left + heads * across, top + layers * down), PAPER)
    draw = ImageDraw.Draw(picture)
    for layer in range(layers):
        y = top + layer * down
        for head in range(heads):
            x = left + head * across
            draw.text((x, y - 22), f"layer {maps.layers[layer]}, head {head}", INK, font=face)
            image = Image.fromarray(_colours(weights[layer, head]))
            picture.paste(image.resize((wide, high), Image.Resampling.NEAREST), (x, y))
            draw.rectangle((x - 1, y - 1, x + wide, y + high), outline=QUIET)
        if labelled:
            for row, token in enumerate(queries):
                draw.text((left - 6, y + row * cell + cell / 2), token, INK, font=small, anchor="rm")
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def _colours(weights: np.ndarray) -> np.ndarray:
    """Weights from 0 to 1 as RGB bytes by the palette; the future, which no token sees, stays paper."""
    stops = np.array([stop for stop, _ in WEIGHTS], dtype=float)
    values = np.array([[int(str(colour)[i : i + 2], 16) for i in (1, 3, 5)] for _, colour in WEIGHTS], dtype=float)
    shown = np.stack([np.interp(weights, stops, values[:, channel]) for channel in range(3)], axis=-1)
    return shown.round().astype(np.uint8)
