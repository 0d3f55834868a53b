"""Sentences as points of the latent space: a Plotly figure whose hover shows the sentence, and a still picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.fonts import clip, font
from nbllm.plots.maps import apart, escape, visible
from nbllm.plots.palette import GRID, INK, PAPER, QUIET

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST = 2000  # points of the figure
# Okabe and Ito's, then each again as another shape.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8F98")
_SHAPES = ("circle", "diamond", "square", "x")
_LETTERS = 120  # of a sentence
_NAMED = 12  # points that have their sentence beside them: as many in the picture, all of so few in the figure


def latent_figure(found: Any) -> go.Figure:
    """A point a sentence; hover shows it, colour and shape its label; a click on a label hides its points."""
    import plotly.graph_objects as go

    figure = go.Figure()
    few = len(found.texts) <= _NAMED
    for number, (label, chosen) in enumerate(_groups(found)):
        points = found.points[chosen]
        figure.add_trace(
            go.Scatter(
                x=np.round(points[:, 0], 4), y=np.round(points[:, 1], 4), mode="markers+text" if few else "markers",
                textposition="top center", cliponaxis=False,
                name=escape(apart(visible(label).replace("␣", " "))), showlegend=bool(label),
                marker={
                    "color": _COLOURS[number % len(_COLOURS)], "size": 8, "opacity": 0.8,
                    "symbol": _SHAPES[number // len(_COLOURS) % len(_SHAPES)],
                },
                text=[escape(clip(_sentence(found.texts[place]), 30)) if few else "" for place in chosen],
                hovertext=[escape(_sentence(found.texts[place])) for place in chosen],
                hovertemplate="%{hovertext}<extra>%{fullData.name}</extra>" if label else "%{hovertext}<extra></extra>",
            )
        )  # fmt: skip
    x, y = axes(found)
    figure.update_layout(
        template="none", font={"color": INK}, title={"text": title_of(found), "x": 0.02, "font": {"size": 15}},
        width=820, height=560, autosize=False, margin={"l": 60, "r": 16, "t": 46, "b": 50}, hovermode="closest",
    )  # fmt: skip
    figure.update_xaxes(title=x, zeroline=False, gridcolor=GRID)
    figure.update_yaxes(title=y, zeroline=False, gridcolor=GRID, scaleanchor="x")
    return figure


def latent_picture(found: Any) -> bytes:
    """The same as a PNG, some of its sentences written beside their points."""
    from PIL import Image, ImageDraw

    wide, high, top, margin = 900, 560, 40, 40
    groups = _groups(found)
    side = 190 if found.labels is not None else 0
    picture = Image.new("RGB", (wide + side, high), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((12, 10), title_of(found), INK, font=font(15))
    low, span = found.points.min(0), np.ptp(found.points, axis=0)
    span[span == 0] = 1.0
    places = (found.points - low) / span
    x = margin + places[:, 0] * (wide - 2 * margin)
    y = high - margin - places[:, 1] * (high - top - 2 * margin)
    draw.rectangle((margin // 2, top, wide - margin // 2, high - margin // 2), outline=GRID)
    for number, (_, chosen) in enumerate(groups):
        for place in chosen:
            draw.ellipse(
                (x[place] - 4, y[place] - 4, x[place] + 4, y[place] + 4), fill=_COLOURS[number % len(_COLOURS)]
            )
    small = font(12)
    taken: list[tuple[float, ...]] = []  # boxes of words that are written already
    for place in np.linspace(0, len(found.texts) - 1, min(_NAMED, len(found.texts))).astype(int):
        words = clip(_sentence(found.texts[place]), 30)
        left = min(x[place] + 7, wide - 8 - small.getlength(words))
        box = (left, y[place] - 8, left + small.getlength(words), y[place] + 8)
        if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            taken.append(box)
            draw.text((left, y[place]), words, QUIET, font=small, anchor="lm")
    if found.labels is not None:
        for number, (label, _) in enumerate(groups[:22]):
            line = top + 8 + 22 * number
            draw.ellipse((wide + 4, line, wide + 13, line + 9), fill=_COLOURS[number % len(_COLOURS)])
            draw.text((wide + 20, line + 5), clip(visible(label).replace("␣", " "), 22), INK, font=small, anchor="lm")
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def title_of(found: Any) -> str:
    """How many sentences, by which method, and how much of the latent is in use."""
    shown = f"the first {MOST:,} of {len(found.texts):,}" if len(found.texts) > MOST else f"{len(found.texts):,}"
    name = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}[found.method]
    return (
        f"{shown} sentences in the latent space by {name}; {len(found.active)} of {found.means.shape[1]} units active"
    )


def axes(found: Any) -> tuple[str, str]:
    """What the axes say: of PCA their share of the variance; those of the others have no meaning of their own."""
    if found.explained is None:
        return "", ""
    x, y = found.explained
    return f"first component, {x:.0%} of the variance", f"second component, {y:.0%}"


def _groups(found: Any) -> list[tuple[str, np.ndarray]]:
    """Each label with the places of its sentences; one group without a name where there are no labels."""
    count = min(MOST, len(found.texts))
    if found.labels is None:
        return [("", np.arange(count))]
    names = np.array(found.labels[:count], dtype=object)
    return [(label, np.flatnonzero(names == label)) for label in sorted(set(names))]


def _sentence(text: str) -> str:
    return apart(visible(clip(" ".join(text.split()), _LETTERS)).replace("␣", " "))
