"""A map of attention weights, or of the gates of an LSTM, as a Plotly figure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.fonts import clip
from nbllm.plots.palette import INK, WEIGHTS

if TYPE_CHECKING:
    import plotly.graph_objects as go


# Control and bidirectional characters, as in widgets/explorer-store.js. With a control character no picture is made.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
_LETTERS = 18  # of a label beside a row or under a column
_NAMED = 40_000  # cells up to which each has its hover written out


def heatmap(
    weights: np.ndarray,
    tokens: Sequence[str],
    rows: Sequence[str] | None = None,
    title: str = "",
    *,
    units: bool = False,
) -> go.Figure:
    """Weights (query, key) in 0..1: `tokens` are the keys, `rows` the queries, which are the same where not given.

    With `units` the rows are the units of a layer, and the values (unit, token) their gates.

    Equal tokens keep places of their own: the axes count, and the labels are only written on them.
    """
    import plotly.graph_objects as go

    names = list(tokens if rows is None else rows)
    assert weights.shape == (len(names), len(tokens)), (weights.shape, len(names), len(tokens))
    cells: dict[str, Any] = {}
    if weights.size > _NAMED:  # a name a row and a column, not one a cell: a thousand tokens stay usable
        cells = {
            "x": [f"{place} {escape(apart(visible(token)))}" for place, token in enumerate(tokens)],
            "y": [f"{place} {escape(apart(visible(name)))}" for place, name in enumerate(names)],
            "hovertemplate": "%{y} → %{x}<br>%{z:.3g}<extra></extra>",
        }
    else:
        joint = ", " if units else " → "
        rows_ = names if units else [apart(visible(name)) for name in names]
        keys = [visible(token) if units else apart(visible(token)) for token in tokens]
        cells = {
            "customdata": [[escape(f"{row}{joint}{key}") for key in keys] for row in rows_],
            "hovertemplate": "%{customdata}<br>%{z:.3f}<extra></extra>",
        }
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(weights, dtype=np.float32), zmin=0, zmax=1, colorscale=WEIGHTS,
            colorbar={"title": "weight", "thickness": 12}, **cells,
        )
    )  # fmt: skip
    figure.update_layout(
        template="none", font={"color": INK}, title=escape(title), margin={"l": 80, "r": 16, "t": 36, "b": 70}
    )
    own = {"showgrid": False}
    long = "x" in cells
    figure.update_xaxes(
        title={"text": "token" if units else "attended token", "standoff": 10}, **(own if long else _ticks(tokens))
    )
    figure.update_yaxes(
        title={"text": "unit" if units else "attending token", "standoff": 10},
        autorange="reversed",
        **(own if units or long else _ticks(names)),
    )
    return figure


def _ticks(tokens: Sequence[str]) -> dict[str, Any]:
    labels = [escape(clip(visible(token), _LETTERS)) for token in tokens]
    ticks = {"tickmode": "array", "tickvals": list(range(len(labels))), "ticktext": labels}
    return {**ticks, "showgrid": False, "automargin": True}


def visible_text(text: str) -> str:
    """A text with its lines, and what would be out of sight or turn the text around written out."""
    return "\n".join("".join(" " if c == " " else visible(c) for c in line) for line in text.split("\n"))


def visible(token: str) -> str:
    """The token with its white space to be seen, and what would be out of sight or turn the text around written out."""
    return written_out(token.replace(" ", "␣")) or "∅"


def written_out(text: str) -> str:
    """The text with what would be out of sight or turn it around written out; its spaces stay."""
    marked = text.replace("\n", "↵").replace("\t", "⇥")
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", marked)


def escape(text: str) -> str:
    """Text that Plotly shows as it is: its labels know a little HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def apart(token: str) -> str:
    """A token that is written from right to left, so that it does not turn around what stands beside it."""
    turns = any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in token)
    return f"\u2068{token}\u2069" if turns else token


def width(text: str) -> int:
    """Places that the text takes where a Latin letter takes one; Chinese takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
