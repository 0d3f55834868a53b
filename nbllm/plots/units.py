"""A text coloured by the state of one unit, the property that it tracks below each token (as in Karpathy, Johnson and
Fei-Fei 2015, "Visualizing and Understanding Recurrent Networks"): a Plotly figure and a still picture.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.fonts import clip, font
from nbllm.plots.maps import apart, escape, visible, width
from nbllm.plots.palette import INK, PAPER, QUIET, SIGNED, paint

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST = 400  # tokens that are shown
_LETTERS = 14  # of a token
_ACROSS = 108  # letters of a line of the figure
_PIXELS = 1000


def evened(values: np.ndarray) -> np.ndarray:
    """Values from -1 to 1: less their middle where none is below zero, by the 98th percentile of their size, so that
    one spike does not pale the rest."""
    if not len(values):
        return values
    low, high = float(values.min()), float(values.max())
    centred = values - (low + high) / 2 if low >= 0 else values
    most = float(np.quantile(np.abs(centred), 0.98))
    return np.clip(centred / (most or 1.0), -1, 1)


def title_of(units: Any, rank: int) -> str:
    """The unit, the property, and how they go together in both halves."""
    return (
        f"{units.name(rank)} and “{units.tracked}”: r = {units.correlation[rank]:+.2f}, "
        f"{units.held_out[rank]:+.2f} on the second half (chance up to {units.chance:.2f})"
    )


def units_figure(units: Any, rank: int = 0) -> go.Figure:
    """The text in lines: each token a cell coloured by the state, and below it a narrow one for the property, from
    white to dark. Hover shows token, state and property."""
    import plotly.graph_objects as go

    state, tokens = units.state(rank)[:MOST], [visible(token) for token in units.tokens[:MOST]]
    wanted = _from_zero(units.wanted)[:MOST]
    columns = max(
        8, min(72, int(_ACROSS / max(1.0, float(np.quantile([min(width(t), _LETTERS) for t in tokens], 0.9)))))
    )
    lines = -(-len(tokens) // columns)
    room = lines * columns

    def grid(values: Any, fill: Any) -> list[list[Any]]:
        filled = [*values, *([fill] * (room - len(tokens)))]
        return [filled[start : start + columns] for start in range(0, room, columns)]

    hover = [
        f"{place}: {escape(apart(token))}<br>state {value:+.3f}<br>{escape(units.tracked)} {truth:g}"
        for place, (token, value, truth) in enumerate(zip(tokens, state, units.wanted, strict=False))
    ]
    words = [escape(clip(token, _LETTERS)) for token in tokens]
    # Two heatmaps whose rows lie between each other: a high one of tokens, a low one of the property.
    edges = [edge for line in range(lines) for edge in (line, line + 0.72, line + 0.86)]
    blank: list[list[Any]] = [[None] * columns for _ in range(lines)]
    figure = go.Figure()
    shades = (np.round(evened(state).astype(np.float64), 3).tolist(), np.round(wanted, 3).tolist())
    for place, shade in enumerate(shades):
        rows = [row for line in grid(shade, None) for row in _layers(place, line, blank[0])]
        names = [row for line in grid(hover, "") for row in _layers(place, line, [""] * columns)]
        text = [row for line in grid(words, "") for row in _layers(place, line, [""] * columns)]
        more: dict[str, Any] = {
            "zmin": 0,
            "zmax": 1,
            "colorscale": [[0, "#F7F7F7"], [1, "#3B3F46"]],
            "showscale": False,
        }
        if place == 0:
            more = {"zmin": -1, "zmax": 1, "colorscale": SIGNED, "texttemplate": "%{text}", "text": text}
            more["colorbar"] = {
                "title": "state",
                "thickness": 12,
                "lenmode": "pixels",
                "len": 160,
                "y": 1,
                "yanchor": "top",
                "tickvals": [-1, 0, 1],
                "ticktext": ["−", "0", "+"],
            }
        figure.add_trace(
            go.Heatmap(
                z=rows, y=[*edges, lines], customdata=names, hoverongaps=False,
                hovertemplate="%{customdata}<extra></extra>", **more,
            )
        )  # fmt: skip
    figure.update_layout(
        template="none", font={"color": INK}, autosize=False, width=1000, height=120 + 30 * lines,
        title={"text": escape(title_of(units, rank)), "x": 0.02, "font": {"size": 15}},
        margin={"l": 16, "r": 16, "t": 46, "b": 16},
    )  # fmt: skip
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed")
    return figure


def units_picture(units: Any, rank: int = 0) -> bytes:
    """The same as a PNG, the tokens as wide as they are written."""
    from PIL import Image, ImageDraw

    tokens, face, small = [visible(token) for token in units.tokens[:MOST]], font(15), font(14)
    colours = paint((evened(units.state(rank)[:MOST]) + 1) / 2, SIGNED)
    wanted = _from_zero(units.wanted)[:MOST]
    places, x, y = [], 10, 62
    for token in tokens:
        wide = max(4, int(face.getlength(clip(token, 24))) + 1)
        if x + wide > _PIXELS - 10:
            x, y = 10, y + 28
        places.append((x, y, wide))
        x += wide
    title = clip(title_of(units, rank), 120)
    picture = Image.new("RGB", (max(_PIXELS, int(small.getlength(title)) + 20), y + 36), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((10, 8), title, INK, font=small)
    draw.text(
        (10, 32),
        f"blue: the state is high; orange: low; the bar below: {clip(units.tracked, 40)}",
        QUIET,
        font=font(12),
    )
    for token, (x, y, wide), colour, truth in zip(tokens, places, colours, wanted, strict=True):
        draw.rectangle((x, y, x + wide - 1, y + 19), fill=tuple(int(part) for part in colour))
        ink = PAPER if colour.astype(float).mean() < 110 else INK
        draw.text((x, y + 1), clip(token, 24), ink, font=face)
        if truth > 0:
            grey = int(225 - 166 * truth)
            draw.rectangle((x, y + 21, x + wide - 1, y + 24), fill=(grey, grey, grey))
    out = io.BytesIO()
    # 64 colours are enough for the shades and their letters, and a quarter of the bytes.
    picture.quantize(64).save(out, "PNG", optimize=True)
    return out.getvalue()


def _layers(place: int, line: list[Any], blank: list[Any]) -> list[list[Any]]:
    """Token row, property row and the gap between lines; the one of them that this trace draws."""
    return [line if row == place else blank for row in range(3)]


def _from_zero(values: np.ndarray) -> np.ndarray:
    """0 for the least value, 1 for the most."""
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    return (values - low) / ((high - low) or 1.0)
