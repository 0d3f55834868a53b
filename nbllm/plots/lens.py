"""The logit lens as a Plotly figure and as a picture: layers by tokens of a text, the likeliest token in each cell.

L layers, N tokens, K choices.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from nbllm.errors import ModelError
from nbllm.plots.fonts import clip, font
from nbllm.plots.maps import apart, escape, visible, width
from nbllm.plots.palette import INK, PAPER, QUIET, WEIGHTS, paint

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST = 64  # tokens that stay readable
_LETTERS = 8  # of a token in a cell
_HOVERED = 5  # choices that hover shows
_WIDEST = 1300  # pixels of the picture
_HIGH = 24  # pixels of a layer in it


def lens_figure(predictions: Any, first: int = 0) -> go.Figure:
    """What each layer would say of at most 64 tokens, from `first` on; hover shows its likeliest tokens.

    The top row is the model's own answer. A token that a layer has right is bold. `predictions` has .lens and .tokens.
    """
    import plotly.graph_objects as go

    lens = predictions.lens
    last = _last(predictions, first)
    tokens = [_short(token) for token in predictions.tokens[first:last]]
    said = [[_short(token) for token in row] for row in lens.choices[:, first:last, 0]]
    longest = max(width(text) for row in (tokens, *said) for text in row)
    room = max(26, min(74, 12 + 7 * longest))
    figure = go.Figure(
        go.Heatmap(  # only the lighter half of the colours, on which letters can be read
            z=lens.probabilities[:, first:last, 0], zmin=0, zmax=2, colorscale=WEIGHTS, xgap=1, ygap=1,
            text=[[_cell(text, token) for text, token in zip(row, tokens, strict=True)] for row in said],
            texttemplate="%{text}", textfont={"size": 11, "color": INK},
            customdata=[[_hover(predictions, layer, i) for i in range(first, last)] for layer in range(len(said))],
            hovertemplate="%{customdata}<extra></extra>",
            showscale=False,
        )
    )  # fmt: skip
    figure.update_layout(
        template="none", font={"color": INK}, autosize=False,
        title={"text": _title(predictions, first, last), "x": 0, "xref": "paper", "font": {"size": 15}},
        width=max(460, 90 + room * (last - first)), height=84 + 30 * len(lens.names),
        margin={"l": 70, "r": 20, "t": 46, "b": 38},
    )  # fmt: skip
    places = list(range(last - first))
    figure.update_xaxes(
        tickmode="array", tickvals=places, tickangle=0, showgrid=False, zeroline=False,
        ticktext=[escape(token) for token in tokens],
    )  # fmt: skip
    figure.update_yaxes(
        tickmode="array", tickvals=list(range(len(said))), ticktext=lens.names, showgrid=False, zeroline=False
    )
    return figure


def lens_picture(predictions: Any, first: int = 0) -> bytes:
    """The same as a PNG. A token that a layer has right is framed; rows of at most so many tokens stand one under
    another."""
    from PIL import Image, ImageDraw

    lens, last, small = predictions.lens, _last(predictions, first), font(12)
    tokens = [_short(token) for token in predictions.tokens[first:last]]
    said = [[_short(token) for token in row] for row in lens.choices[:, first:last, 0]]
    cell = 10 + max(18, *(int(small.getlength(text)) for row in (tokens, *said) for text in row))
    left = 14 + max(int(small.getlength(name)) for name in lens.names)
    row_of = min(len(tokens), max(6, (_WIDEST - left) // cell))
    layers, parts = len(lens.names), range(0, len(tokens), row_of)
    high = layers * _HIGH + 34
    title = _title(predictions, first, last)
    size = (max(left + row_of * cell + 10, int(font(15).getlength(title)) + 24), 36 + high * len(parts))
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((10, 9), title, INK, font=font(15))
    # Only the lighter half of the colours, on which letters can be read.
    colours = paint(lens.probabilities[:, first:last, 0] / 2, WEIGHTS)
    for number, begin in enumerate(parts):
        top = 36 + number * high
        for layer in range(layers):
            y = top + (layers - 1 - layer) * _HIGH
            draw.text((left - 8, y + _HIGH / 2), lens.names[layer], INK, font=small, anchor="rm")
            for column, place in enumerate(range(begin, min(len(tokens), begin + row_of))):
                x = left + column * cell
                right = said[layer][place] == tokens[place]
                box = (x + 1, y + 1, x + cell - 1, y + _HIGH - 1)
                draw.rectangle(box, fill=tuple(colours[layer, place].tolist()), outline=INK if right else None)
                draw.text((x + cell / 2, y + _HIGH / 2), said[layer][place], INK, font=small, anchor="mm")
        for column, place in enumerate(range(begin, min(len(tokens), begin + row_of))):
            middle = left + column * cell + cell / 2
            draw.text((middle, top + layers * _HIGH + 4), tokens[place], QUIET, font=small, anchor="ma")
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def _last(predictions: Any, first: int) -> int:
    """Behind the last token that is shown. ModelError for a first one that is not there."""
    count = len(predictions.tokens)
    if not 0 <= first < count:
        raise ModelError(f"There is no token {first}.", f"Use 0 to {count - 1}.")
    return min(count, first + MOST)


def _title(predictions: Any, first: int, last: int) -> str:
    count = len(predictions.tokens)
    part = f", tokens {first:,} to {last - 1:,} of {count:,}" if last - first < count else ""
    what = "What each layer would say" if len(predictions.lens.names) > 1 else "What the model expected"
    return f"{what}{part}: the darker, the surer"


def _short(token: str) -> str:
    return clip(visible(token), _LETTERS)


def _cell(text: str, token: str) -> str:
    return f"<b>{escape(text)}</b>" if text == token else escape(text)


def _hover(predictions: Any, layer: int, place: int) -> str:
    """Lines for one cell: the layer, the true token, and the likeliest with how likely they are."""
    lens = predictions.lens
    lines = [
        f"{lens.names[layer]}, of the text's own token: {_told(predictions.tokens[place], lens.true[layer, place])}"
    ]
    shown = zip(lens.choices[layer, place, :_HOVERED], lens.probabilities[layer, place, :_HOVERED], strict=True)
    return "<br>".join([*lines, *(_told(token, share) for token, share in shown)])


def _told(token: str, share: float) -> str:
    return f"{escape(apart(visible(token)))} {share:.1%}"
