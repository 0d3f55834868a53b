"""Vectors as pictures: a map of tokens, and how alike texts are. Plotly figures, and still pictures of the same."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.fonts import clip, font
from nbllm.plots.maps import apart, escape, visible, width
from nbllm.plots.palette import HELD_OUT, INK, PAPER, QUIET, SIGNED, TRAIN, WEIGHTS, paint

if TYPE_CHECKING:
    import plotly.graph_objects as go

_NAMED = 40  # tokens that are named in the map: those that are marked, or those that lie apart
_LETTERS = 24  # of a text beside the heatmap
_PIXELS = 760  # of the still map
_WRITTEN = 14  # texts up to which each cell of the heatmap has its number


def embedding_map(shown: Any) -> go.Figure:
    """The tokens on a plane; hover names each, and those that were searched for are named and coloured.

    `shown` is an EmbeddingMap: .tokens, .points (tokens, 2), .method, .kept, .marked.
    """
    import plotly.graph_objects as go

    names = [escape(apart(visible(token))) for token in shown.tokens]
    others = [i for i in range(len(names)) if i not in set(shown.marked)]
    written = set(_with_room(shown, _spread_out(shown.points, others))) if not shown.marked else set()
    traces = [
        go.Scatter(
            x=shown.points[others, 0], y=shown.points[others, 1], mode="markers+text",
            text=[names[i] if i in written else "" for i in others], textposition="top center",
            textfont={"size": 11, "color": INK}, customdata=[names[i] for i in others], name="tokens",
            hovertemplate="%{customdata}<extra></extra>",
            marker={"size": 6, "color": TRAIN, "opacity": 0.45 if not shown.marked else 0.2},
        )
    ]  # fmt: skip
    if shown.marked:
        some = set(_with_room(shown, shown.marked))
        traces.append(
            go.Scatter(
                x=shown.points[shown.marked, 0], y=shown.points[shown.marked, 1], mode="markers+text", name="found",
                text=[names[i] if i in some else "" for i in shown.marked], textposition="top center",
                textfont={"size": 12, "color": INK}, customdata=[names[i] for i in shown.marked],
                hovertemplate="%{customdata}<extra></extra>", marker={"size": 9, "color": HELD_OUT},
            )
        )  # fmt: skip
    figure = go.Figure(traces)
    figure.update_layout(
        template="none", font={"color": INK}, autosize=False, width=860, height=620, showlegend=False,
        title={"text": escape(map_title(shown)), "x": 0.02, "font": {"size": 15}}, hovermode="closest",
        margin={"l": 64, "r": 16, "t": 46, "b": 44}, dragmode="pan",
    )  # fmt: skip
    # Distances are what the map is for: both axes have one scale. t-SNE's have no meaning of their own.
    plain = {"zeroline": False, "showticklabels": shown.method == "pca", "gridcolor": "#EEF0F2"}
    figure.update_xaxes(title={"text": "first direction" if shown.method == "pca" else ""}, **plain)
    figure.update_yaxes(
        title={"text": "second direction" if shown.method == "pca" else ""}, scaleanchor="x", scaleratio=1, **plain
    )
    return figure


def embedding_map_picture(shown: Any) -> bytes:
    """The same as a PNG."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (_PIXELS + 40, _PIXELS + 20), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((14, 10), clip(map_title(shown), 100), INK, font=font(15))
    low, high = shown.points.min(0), shown.points.max(0)
    side = float((high - low).max()) or 1.0
    middle = (low + high) / 2
    places = (shown.points - middle) / side * (_PIXELS - 120) * np.array([1, -1]) + [_PIXELS / 2 + 20, _PIXELS / 2 + 16]
    marked = set(shown.marked)
    for i, (x, y) in enumerate(places):
        if i not in marked:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill="#A9CCE3" if not marked else "#DDE6EC")
    for i in shown.marked:
        x, y = places[i]
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=HELD_OUT)
    for i in _with_room(shown, shown.marked or _spread_out(shown.points, list(range(len(places))))):
        x, y = places[i]
        draw.text((x, y - 5), clip(visible(shown.tokens[i]), 14), INK, font=font(12), anchor="md")
    return _png(picture)


def similarity_figure(shown: Any) -> go.Figure:
    """A row and a column a text. `shown` is a Similarity: .texts and .values (texts, texts) from -1 to 1."""
    import plotly.graph_objects as go

    count = len(shown.texts)
    names = [escape(apart(visible(text).replace("␣", " "))) for text in shown.texts]
    labels = [
        f"{i + 1}  {escape(clip(visible(text).replace('␣', ' '), _LETTERS))}" for i, text in enumerate(shown.texts)
    ]
    low = float(shown.values.min(initial=0.0))
    scale = {"zmin": -1, "zmax": 1, "colorscale": SIGNED} if low < 0 else {"zmin": 0, "zmax": 1, "colorscale": WEIGHTS}
    written = count <= _WRITTEN
    figure = go.Figure(
        go.Heatmap(
            z=shown.values, **scale, xgap=1, ygap=1, colorbar={"title": "likeness", "thickness": 12},
            customdata=[[f"{a}<br>{b}" for b in names] for a in names],
            hovertemplate="%{customdata}<br>%{z:.3f}<extra></extra>",
            **({"texttemplate": "%{z:.2f}", "textfont": {"size": 11}} if written else {}),
        )
    )  # fmt: skip
    cell = 44 if written else max(10, 620 // count)
    figure.update_layout(
        template="none", font={"color": INK}, autosize=False, width=min(1200, 300 + cell * count),
        height=min(1000, 150 + cell * count), margin={"l": 30, "r": 16, "t": 46, "b": 30},
        title={"text": "How alike the texts are: the cosine of their vectors", "x": 0.02, "font": {"size": 15}},
    )  # fmt: skip
    ticks = {
        "tickmode": "array",
        "tickvals": list(range(count)),
        "showgrid": False,
        "automargin": True,
        "zeroline": False,
    }
    figure.update_yaxes(ticktext=labels, autorange="reversed", **ticks)
    figure.update_xaxes(ticktext=[str(i + 1) for i in range(count)], tickangle=0, **ticks)
    return figure


def similarity_picture(shown: Any) -> bytes:
    """The same as a PNG."""
    from PIL import Image, ImageDraw

    count = len(shown.texts)
    cell = max(6, min(44, _PIXELS // count))
    small = font(max(9, min(13, cell - 2)))
    names = [f"{i + 1}  {clip(visible(text).replace('␣', ' '), _LETTERS)}" for i, text in enumerate(shown.texts)]
    left, top = 24 + max(int(small.getlength(name)) for name in names), 40
    picture = Image.new("RGB", (max(left + cell * count + 16, 470), top + cell * count + 30), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((12, 10), "How alike the texts are: the cosine of their vectors", INK, font=font(15))
    signed = float(shown.values.min(initial=0.0)) < 0
    colours = paint((shown.values + 1) / 2 if signed else shown.values, SIGNED if signed else WEIGHTS)
    image = Image.fromarray(colours).resize((cell * count, cell * count), Image.Resampling.NEAREST)
    picture.paste(image, (left, top))
    draw.rectangle((left - 1, top - 1, left + cell * count, top + cell * count), outline=QUIET)
    for i, name in enumerate(names):
        if cell >= 9:
            draw.text((left - 8, top + i * cell + cell / 2), name, INK, font=small, anchor="rm")
            draw.text((left + i * cell + cell / 2, top + cell * count + 5), str(i + 1), INK, font=small, anchor="ma")
        for j in range(count) if cell >= 34 else ():
            dark = colours[i, j].astype(int) @ [299, 587, 114] < 128_000
            place = (left + j * cell + cell / 2, top + i * cell + cell / 2)
            draw.text(place, f"{shown.values[i, j]:.2f}", PAPER if dark else INK, font=font(12), anchor="mm")
    return _png(picture)


def map_title(shown: Any) -> str:
    """What the map shows, in words."""
    if shown.method == "pca":
        how = f"PCA, {shown.kept:.0%} of the variance" if shown.kept is not None else "PCA"
    else:
        how = "t-SNE: who is near whom, not how far groups lie apart"
    marked = f", {len(shown.marked)} marked" if shown.marked else ""
    return f"{len(shown.tokens):,} token embeddings by {how}{marked}"


def _spread_out(points: np.ndarray, among: list[int]) -> list[int]:
    """Some places whose names have room: each as far as can be from those chosen before."""
    if not among:
        return []
    chosen = [among[int(np.argmax(np.linalg.norm(points[among] - points[among].mean(0), axis=1)))]]
    far = np.linalg.norm(points[among] - points[chosen[0]], axis=1)
    while len(chosen) < min(_NAMED, len(among)):
        best = int(np.argmax(far))
        chosen.append(among[best])
        far = np.minimum(far, np.linalg.norm(points[among] - points[among[best]], axis=1))
    return chosen


def _with_room(shown: Any, among: list[int]) -> list[int]:
    """The first of these tokens whose names do not lie over one another, at most 40."""
    side = float(np.ptp(shown.points, axis=0).max()) or 1.0
    chosen: list[int] = []
    boxes: list[tuple[float, float, float]] = []  # middle, foot and half the width of each name
    for i in among:
        x, y = shown.points[i] / side
        half = (0.006 * width(clip(visible(shown.tokens[i]), 14))) + 0.004
        if all(abs(x - a) > half + b or abs(y - c) > 0.026 for a, c, b in boxes):
            chosen.append(i)
            boxes.append((x, y, half))
        if len(chosen) == _NAMED:
            break
    return chosen


def _png(picture: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()
