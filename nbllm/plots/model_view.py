"""All heads of a model at once: layers downwards, heads across, as a Plotly figure and as a still picture.

Shapes: L layers, H heads, Q queries, K keys.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.fonts import font
from nbllm.plots.maps import apart, escape, visible
from nbllm.plots.palette import INK, PAPER, QUIET, WEIGHTS, paint

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SIDE = 48  # cells of a head in the figure; longer texts are pooled
_HOVERED = 40_000  # cells up to which hover names the tokens
_WIDE = 900  # pixels of the picture
_GAP = 8


def model_view_figure(maps: Any) -> go.Figure:
    """Every head as a small heatmap of one figure; hover names the head and, of short texts, the tokens.

    `maps` has .weights (LHQK), .queries, .keys and .layers. Of texts over 48 tokens a cell is the largest weight of its
    region. Each head is shown up to its own largest weight.
    """
    import plotly.graph_objects as go

    layers, heads, queries, keys = maps.weights.shape
    small = np.nan_to_num(pooled(maps.weights, _SIDE).astype(np.float32))
    rows, columns = small.shape[2:]
    high, wide = rows + 2, columns + 2  # two empty cells between heads
    shown = np.full((layers * high - 2, heads * wide - 2), np.nan, dtype=np.float32)
    words = np.full(shown.shape, "", dtype=object)
    named = small.size <= _HOVERED
    whole = (rows, columns) == (queries, keys)
    for layer in range(layers):
        for head in range(heads):
            place = np.s_[layer * high : layer * high + rows, head * wide : head * wide + columns]
            shown[place] = small[layer, head] / (small[layer, head].max() or 1)
            if named:
                words[place] = _words(maps, layer, head, small[layer, head], whole)
    cell = max(40, min(120, 720 // heads))
    figure = go.Figure(
        go.Heatmap(
            z=shown, zmin=0, zmax=1, colorscale=WEIGHTS, hoverongaps=False,
            colorbar={"title": "share of<br>the largest", "thickness": 12},
            customdata=words if named else None,
            hovertemplate="%{customdata}<extra></extra>" if named else "%{z:.2f} of the largest<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        template="none", font={"color": INK}, plot_bgcolor="rgba(0,0,0,0)", autosize=False,
        title={"text": "All heads", "x": 0.02, "font": {"size": 15}},
        width=140 + heads * cell, height=max(200, min(1200, 100 + round(layers * cell * min(2, queries / keys)))),
        margin={"l": 60, "r": 16, "t": 46, "b": 44},
    )  # fmt: skip
    middle = {"tickmode": "array", "showgrid": False, "zeroline": False}
    figure.update_xaxes(
        title="head", tickvals=[h * wide + columns / 2 for h in range(heads)], ticktext=[str(h) for h in range(heads)],
        **middle,
    )  # fmt: skip
    figure.update_yaxes(
        title="layer", tickvals=[n * high + rows / 2 for n in range(layers)],
        ticktext=[str(block) for block in maps.layers], autorange="reversed", **middle,
    )  # fmt: skip
    return figure


def model_view_picture(maps: Any) -> bytes:
    """The same as a PNG of at most 900 pixels across, whatever the length of the text."""
    from PIL import Image, ImageDraw

    layers, heads, queries, keys = maps.weights.shape
    side = max(12, min(150, (_WIDE - 60) // heads - _GAP))
    small = np.nan_to_num(pooled(maps.weights, side).astype(np.float32))
    wide, high = side, max(8, min(2 * side, round(side * queries / keys)))
    face = font(13)
    left, top = 40, 26
    picture = Image.new("RGB", (left + heads * (wide + _GAP), top + layers * (high + _GAP) + 18), PAPER)
    draw = ImageDraw.Draw(picture)
    for head in range(heads):
        draw.text((left + head * (wide + _GAP) + wide / 2, top - 4), str(head), QUIET, font=face, anchor="mb")
    for layer, block in enumerate(maps.layers):
        y = top + layer * (high + _GAP)
        draw.text((left - 8, y + high / 2), str(block), QUIET, font=face, anchor="rm")
        for head in range(heads):
            x = left + head * (wide + _GAP)
            own = small[layer, head]
            colours = paint(np.sqrt(own / (own.max() or 1)), WEIGHTS)
            colours[own == 0] = 255  # what no token sees stays paper
            image = Image.fromarray(colours)
            picture.paste(image.resize((wide, high), Image.Resampling.NEAREST), (x, y))
            draw.rectangle((x - 1, y - 1, x + wide, y + high), outline="#C9CED4")
    last = top + layers * (high + _GAP)
    draw.text((left, last + 2), "layers downwards, heads across; each up to its largest weight", QUIET, font=font(11))
    out = io.BytesIO()
    picture.quantize(128, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def pooled(weights: np.ndarray, most: int) -> np.ndarray:
    """The last two axes cut to `most` places, each the largest weight of its region."""
    for axis in (-2, -1):
        length = weights.shape[axis]
        if length > most:
            weights = np.maximum.reduceat(weights, (np.arange(most) * length) // most, axis=axis)
    return weights


def _words(maps: Any, layer: int, head: int, weights_QK: np.ndarray, whole: bool) -> np.ndarray:
    """What hover says of each cell of a head."""
    name = f"layer {maps.layers[layer]}, head {head}"
    if not whole:
        return np.array([[f"{name}<br>up to {value:.3f}" for value in row] for row in weights_QK], dtype=object)
    queries = [escape(apart(visible(token))) for token in maps.queries]
    keys = [escape(apart(visible(token))) for token in maps.keys]
    return np.array(
        [
            [f"{name}<br>{query} → {key}<br>{value:.3f}" for key, value in zip(keys, row, strict=True)]
            for query, row in zip(queries, weights_QK, strict=True)
        ],
        dtype=object,
    )
