"""A map of attention weights, or of the gates of an LSTM, as a Plotly figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbllm.plots.palette import INK, WEIGHTS

if TYPE_CHECKING:
    import plotly.graph_objects as go


def heatmap(
    weights: np.ndarray, tokens: Sequence[str], rows: Sequence[str] | None = None, title: str = ""
) -> go.Figure:
    """Weights (query, key) in 0..1 with the tokens on both axes; with `rows`, values (row, token) with those names.

    Equal tokens keep places of their own: the axes count, and the labels are only written on them.
    """
    import plotly.graph_objects as go

    names = list(tokens if rows is None else rows)
    assert weights.shape == (len(names), len(tokens)), (weights.shape, len(names), len(tokens))
    labels = [escape(visible(t)) for t in tokens]
    if rows is None:
        hover = [[f"{visible(row)} → {visible(token)}" for token in tokens] for row in names]
    else:
        hover = [[f"{row}, {visible(token)}" for token in tokens] for row in names]
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(weights, dtype=np.float32), zmin=0, zmax=1, colorscale=WEIGHTS,
            colorbar={"title": "weight", "thickness": 12},
            customdata=[[escape(text) for text in line] for line in hover],
            hovertemplate="%{customdata}<br>%{z:.3f}<extra></extra>",
        )
    )  # fmt: skip
    ticks = {"tickmode": "array", "tickvals": list(range(len(labels))), "ticktext": labels, "showgrid": False}
    figure.update_layout(
        template="none", font={"color": INK}, title=escape(title), margin={"l": 80, "r": 16, "t": 36, "b": 70}
    )
    figure.update_xaxes(title="attended token" if rows is None else "token", **ticks)
    figure.update_yaxes(
        title="attending token" if rows is None else "unit",
        autorange="reversed",
        **(ticks if rows is None else {"showgrid": False}),
    )
    return figure


def visible(token: str) -> str:
    """The token with its white space to be seen."""
    return token.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣") or "∅"


def escape(text: str) -> str:
    """Text that Plotly shows as it is: its labels know a little HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
