"""Units by tokens as a heatmap, of gates and states or of filters' responses: a Plotly figure and a still picture.

U units, T tokens.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.fonts import clip, font
from nbllm.plots.maps import apart, escape, visible, width
from nbllm.plots.palette import INK, PAPER, QUIET, SIGNED, WEIGHTS, paint

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MOST_UNITS, _MOST_TOKENS = 64, 400  # of a figure, which keeps every cell as text
_LETTERS = 12
_PIXELS = 1100  # of the picture's map
_RELATIVE = {"title": "of the row's<br>largest", "thickness": 12, "tickvals": [-1, 0, 1]}


@dataclass(frozen=True)
class UnitMap:
    """Values (U, T) with the unit of each row and a label a token; what they are, and whether they lie on both sides of
    zero or in 0..1."""

    values: np.ndarray
    units: np.ndarray
    tokens: Sequence[str]
    title: str
    name: str
    signed: bool

    def cut(self) -> UnitMap:
        """The first units and tokens, as many as a figure bears; the title says so."""
        values, units, tokens = self.values, self.units, list(self.tokens)
        said = []
        if len(units) > _MOST_UNITS:
            said.append(f"the first {_MOST_UNITS} of {len(units)} units")
        if len(tokens) > _MOST_TOKENS:
            said.append(f"the first {_MOST_TOKENS} of {len(tokens):,} tokens")
        title = self.title + (f" ({', '.join(said)})" if said else "")
        values = values[:_MOST_UNITS, :_MOST_TOKENS]
        return UnitMap(values, units[:_MOST_UNITS], tokens[:_MOST_TOKENS], title, self.name, self.signed)

    @property
    def scale(self) -> list[Any]:
        """The palette of the values."""
        return list(SIGNED if self.signed else WEIGHTS)

    @property
    def shades(self) -> np.ndarray:
        """The values as they are coloured: on both sides of zero each row by its own largest, for one unit may be ten
        times as large as another that tells as much."""
        if not self.signed:
            return self.values
        most = np.abs(self.values).max(1, keepdims=True, initial=0.0)
        return np.divide(self.values, most, out=np.zeros(self.values.shape), where=most > 0)

    @property
    def bounds(self) -> tuple[float, float]:
        """The shades at the ends of the palette."""
        return (-1.0 if self.signed else 0.0), 1.0


def unit_map_figure(whole: UnitMap) -> go.Figure:
    """A row a unit, a column a token; hover shows both and the value."""
    import plotly.graph_objects as go

    shown = whole.cut()
    low, high = shown.bounds
    # A name a row and a column, not one a cell: hundreds of tokens stay small on the page.
    across = [f"{place} {escape(apart(visible(token)))}" for place, token in enumerate(shown.tokens)]
    down = [f"unit {unit}" for unit in shown.units]
    said = np.round(shown.values.astype(np.float64), 2).tolist() if shown.signed else None
    figure = go.Figure(
        go.Heatmap(
            z=np.round(np.asarray(shown.shades, dtype=np.float64), 2 if shown.signed else 3).tolist(), x=across, y=down,
            zmin=low, zmax=high, colorscale=shown.scale, customdata=said,
            colorbar={"title": escape(shown.name), "thickness": 12} if not shown.signed else _RELATIVE,
            hovertemplate=f"%{{y}}, token %{{x}}<br>{escape(shown.name)} %{{{'customdata' if shown.signed else 'z'}}}"
            "<extra></extra>",
        )
    )  # fmt: skip
    rows, columns = shown.values.shape
    figure.update_layout(
        template="none", font={"color": INK}, title={"text": escape(shown.title), "x": 0.02, "font": {"size": 15}},
        width=max(520, min(1250, 200 + 16 * columns)), height=max(280, min(1000, 150 + 14 * rows)),
        margin={"l": 50, "r": 16, "t": 46, "b": 50}, autosize=False,
    )  # fmt: skip
    step = -(-columns // 80)
    narrow = np.mean([width(visible(token)) <= 2 for token in shown.tokens]) > 0.8
    places = list(range(0, columns, step))
    figure.update_xaxes(
        title={"text": "token", "standoff": 10}, tickmode="array", tickvals=[across[place] for place in places],
        showgrid=False, automargin=True,
        ticktext=[escape(clip(visible(shown.tokens[place]), _LETTERS)) for place in places],
        tickangle=0 if narrow else -90,
    )  # fmt: skip
    step = -(-rows // 40)
    figure.update_yaxes(
        title={"text": "unit", "standoff": 10}, autorange="reversed", tickmode="array", showgrid=False,
        automargin=True, tickvals=down[::step], ticktext=[str(unit) for unit in shown.units[::step]],
    )  # fmt: skip
    return figure


def unit_map_picture(whole: UnitMap) -> bytes:
    """The same as a PNG."""
    from PIL import Image, ImageDraw

    shown = whole.cut()
    rows, columns = shown.values.shape
    low, high = shown.bounds
    across, down = max(2, min(18, _PIXELS // columns)), max(4, min(14, 700 // rows))
    labelled = across >= 9
    face, small = font(14), font(max(9, min(13, across - 2)))
    tokens = [clip(visible(token), _LETTERS) for token in shown.tokens]
    title = clip(shown.title, 110)
    wide, high_ = columns * across, rows * down
    left, top = 56, 34
    below = 10 + max(16, *(int(small.getlength(token)) for token in tokens)) if labelled else 8
    picture = Image.new("RGB", (max(left + wide + 12, int(face.getlength(title)) + 24), top + high_ + below + 6), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((10, 8), title, INK, font=face)
    places = (np.clip(shown.shades, low, high) - low) / (high - low)
    image = Image.fromarray(paint(places, shown.scale))
    picture.paste(image.resize((wide, high_), Image.Resampling.NEAREST), (left, top))
    draw.rectangle((left - 1, top - 1, left + wide, top + high_), outline=QUIET)
    step = max(1, -(-12 // down))
    for row in range(0, rows, step):
        draw.text((left - 6, top + (row + 0.5) * down), str(shown.units[row]), INK, font=font(10), anchor="rm")
    if labelled:
        for column, token in enumerate(tokens):
            word = _turned(token, small) if small.getlength(token) > across else _upright(token, small)
            picture.paste(word, (left + column * across + (across - word.width) // 2, top + high_ + 5))
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def _upright(word: str, face: Any) -> Any:
    from PIL import Image, ImageDraw

    left, _, right, bottom = face.getbbox(word)
    image = Image.new("RGB", (max(1, int(right - left) + 1), max(1, int(bottom) + 2)), PAPER)
    ImageDraw.Draw(image).text((-left, 0), word, INK, font=face)
    return image


def _turned(word: str, face: Any) -> Any:
    """A word that reads upwards."""
    return _upright(word, face).rotate(90, expand=True)


def gates_map(gates: Any) -> UnitMap:
    """What a Gates object shows: one gate of one layer, its units in order."""
    values, order = gates.shown()
    name = gates.name
    layer = gates.layers[gates.layer]
    by = "" if isinstance(gates.sort, str) and gates.sort == "unit" else f", units by {_words(gates.sort)}"
    signed = name in ("cell", "hidden", "candidate")
    title = f"{name} {'state' if name in ('cell', 'hidden') else 'gate'} of layer {layer} ({gates.kind}){by}"
    if name == "candidate":
        title = title.replace(" gate", "")
    return UnitMap(values, order, gates.tokens, title, name, signed)


def _words(sort: Any) -> str:
    return sort.replace("_", "-") if isinstance(sort, str) else "a property"


def gates_figure(gates: Any) -> go.Figure:
    """The heatmap of a Gates object."""
    return unit_map_figure(gates_map(gates))


def gates_picture(gates: Any) -> bytes:
    """The same as a PNG."""
    return unit_map_picture(gates_map(gates))


def filters_map(filters: Any) -> UnitMap:
    """What a Filters object shows: one convolution, its most selective filters on top."""
    order, place = filters.order, filters.index()
    title = f"filters of the convolution in block {filters.blocks[place]}, the most selective on top"
    return UnitMap(filters.responses[place].T[order], order, filters.tokens, title, "response", True)


def filters_figure(filters: Any) -> go.Figure:
    """The heatmap of a Filters object."""
    return unit_map_figure(filters_map(filters))


def filters_picture(filters: Any) -> bytes:
    """The same as a PNG."""
    return unit_map_picture(filters_map(filters))
