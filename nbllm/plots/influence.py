"""Influence as a heatmap: a Plotly figure, and a still picture. Blue speaks for an answer, orange against it.

Each row is in shares of its own: the sizes of its values add up to 1, so that every answer can be read.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.fonts import clip, font
from nbllm.plots.maps import apart, escape, visible, width
from nbllm.plots.palette import INK, PAPER, QUIET, SIGNED

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from PIL import Image

_MOST_LABELS = 80  # that an axis bears
_LETTERS = 12  # of a token
_PIXELS = 1100  # of the picture's map


def influence_figure(influence: Any) -> go.Figure:
    """A row an answer, a column a token that was read; hover shows both, the share and the bits.

    `influence` has .values and .shares (output, input), .outputs, .inputs and .probabilities.
    """
    import plotly.graph_objects as go

    shares = influence.shares
    rows, columns = shares.shape
    most = float(np.abs(shares).max(initial=0.0)) or 1.0
    answers = [
        f"{escape(apart(visible(name)))} ({p:.1%})"
        for name, p in zip(influence.outputs, influence.probabilities, strict=True)
    ]
    read = [escape(apart(visible(name))) for name in influence.inputs]
    figure = go.Figure(
        go.Heatmap(
            z=shares, zmin=-most, zmax=most, colorscale=SIGNED, colorbar={"title": "share", "thickness": 12},
            customdata=[
                [f"{token} → {answer}<br>{bits:+.3g} bits" for token, bits in zip(read, line, strict=True)]
                for answer, line in zip(answers, influence.values, strict=True)
            ],
            hovertemplate="%{customdata}, share %{z:.3f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        template="none", font={"color": INK}, autosize=False,
        title={"text": escape(_title(influence)), "x": 0.02, "font": {"size": 15}},
        width=max(480, min(1250, 220 + 20 * columns)), height=max(260, min(1200, 150 + 19 * rows)),
        margin={"l": 40, "r": 16, "t": 46, "b": 40},
    )  # fmt: skip
    narrow = np.mean([width(visible(token)) <= 2 for token in influence.inputs]) > 0.8  # Chinese reads upright
    figure.update_xaxes(
        title={"text": "token that was read", "standoff": 10}, tickangle=0 if narrow else -90,
        **_ticks(influence.inputs, 3 if narrow else _LETTERS),
    )  # fmt: skip
    figure.update_yaxes(title={"text": "answer", "standoff": 10}, autorange="reversed", **_ticks(influence.outputs))
    return figure


def influence_picture(influence: Any) -> bytes:
    """The same as a PNG."""
    from PIL import Image, ImageDraw

    shares = influence.shares
    rows, columns = shares.shape
    cell = max(2, min(26, _PIXELS // max(rows, columns)))
    labelled = cell >= 9
    small, face = font(max(9, min(13, cell - 2))), font(14)
    names = [clip(visible(name), _LETTERS) for name in influence.outputs]
    tokens = [clip(visible(name), _LETTERS) for name in influence.inputs]
    title = clip(_title(influence), 90)
    left = 16 + (max(int(small.getlength(name)) for name in names) if labelled else 0)
    below = 8 + max(18, *(int(small.getlength(token)) for token in tokens)) if labelled else 8
    wide, high, top = columns * cell, rows * cell, 34
    size = (max(left + wide + 12, int(face.getlength(title)) + 24), top + high + below + 8)
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((10, 8), title, INK, font=face)
    image = Image.fromarray(_colours(shares))
    picture.paste(image.resize((wide, high), Image.Resampling.NEAREST), (left, top))
    draw.rectangle((left - 1, top - 1, left + wide, top + high), outline=QUIET)
    if labelled:
        for row, name in enumerate(names):
            draw.text((left - 6, top + row * cell + cell / 2), name, INK, font=small, anchor="rm")
        for column, token in enumerate(tokens):
            x, y = left + column * cell, top + high + 5
            if small.getlength(token) <= cell:
                draw.text((x + cell / 2, y), token, INK, font=small, anchor="ma")
            else:
                word = _turned(token, small)
                picture.paste(word, (x + (cell - word.width) // 2, y))
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def _title(influence: Any) -> str:
    target = f" on “{visible(influence.target)}”" if influence.target else ""
    method = "integrated gradients" if influence.method == "integrated" else influence.method
    return f"Influence{target} by {method}: blue for, orange against"


def _ticks(tokens: list[str], letters: int = _LETTERS) -> dict[str, Any]:
    step = -(-len(tokens) // _MOST_LABELS)
    places = list(range(0, len(tokens), step))
    labels = [escape(clip(visible(tokens[place]), letters)) for place in places]
    ticks = {"tickmode": "array", "tickvals": places, "ticktext": labels}
    return {**ticks, "showgrid": False, "zeroline": False, "automargin": True}


def _turned(word: str, face: Any) -> Image.Image:
    """A word that reads upwards."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = face.getbbox(word)
    image = Image.new("RGB", (int(right - left) + 1, int(bottom - top) + 1), PAPER)
    ImageDraw.Draw(image).text((-left, -top), word, INK, font=face)
    return image.rotate(90, expand=True)


def _colours(shares: np.ndarray) -> np.ndarray:
    """Shares as RGB bytes by the palette, the largest of them at its ends."""
    most = float(np.abs(shares).max(initial=0.0)) or 1.0
    stops = np.array([stop for stop, _ in SIGNED], dtype=float)
    values = np.array([[int(str(colour)[i : i + 2], 16) for i in (1, 3, 5)] for _, colour in SIGNED], dtype=float)
    places = (shares / most + 1) / 2
    shown = np.stack([np.interp(places, stops, values[:, channel]) for channel in range(3)], axis=-1)
    return shown.round().astype(np.uint8)
