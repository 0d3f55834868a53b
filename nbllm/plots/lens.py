"""The logit lens as a Plotly figure: layers by tokens of a text, the likeliest token of each written in its cell.

L layers, N tokens, K choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.errors import ModelError
from nbllm.plots.fonts import clip
from nbllm.plots.maps import apart, escape, visible, width
from nbllm.plots.palette import INK, WEIGHTS

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST = 64  # tokens that stay readable
_LETTERS = 8  # of a token in a cell
_HOVERED = 5  # choices that hover shows


def lens_figure(predictions: Any, first: int = 0) -> go.Figure:
    """What each layer would say of at most 64 tokens, from `first` on; hover shows its likeliest tokens.

    The top row is the model's own answer. A token that a layer has right is bold. `predictions` has .lens and .tokens.
    """
    import plotly.graph_objects as go

    lens, count = predictions.lens, len(predictions.tokens)
    if not 0 <= first < count:
        raise ModelError(f"There is no token {first}.", f"Use 0 to {count - 1}.")
    last = min(count, first + MOST)
    tokens = [_short(token) for token in predictions.tokens[first:last]]
    said = [[_short(token) for token in row] for row in lens.choices[:, first:last, 0]]
    longest = max(width(text) for row in (tokens, *said) for text in row)
    room = max(26, min(74, 12 + 7 * longest))
    part = f", tokens {first:,} to {last - 1:,} of {count:,}" if last - first < count else ""
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
    what = "What each layer would say" if len(lens.names) > 1 else "What the model expected"
    figure.update_layout(
        template="none", font={"color": INK}, autosize=False,
        title={"text": f"{what}{part}: the darker, the surer", "x": 0, "xref": "paper", "font": {"size": 15}},
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
