"""How cuts of a text, neighbours, a map of tokens and likeness are shown under a cell, and in a terminal."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from nbllm.dashboards.plain_figure import image, show_figure, show_still
from nbllm.dashboards.tables import table
from nbllm.dashboards.tiers import tier
from nbllm.handles.readable import plain
from nbllm.inspection.embeddings import EmbeddingMap, Neighbours, Similarity
from nbllm.inspection.tokens import Cuts
from nbllm.plots.embeddings import map_title
from nbllm.plots.maps import visible

if TYPE_CHECKING:
    import pandas as pd

MEANING: tuple[type, ...] = (Cuts, Neighbours, EmbeddingMap, Similarity)
_ROWS = 200  # of a table
_BAR = 20  # blocks of a bar that stands for a likeness of 1


def show_meaning(found: Any) -> None:
    """Display one of MEANING as this page or terminal can."""
    from IPython.display import display

    chosen = tier()
    if chosen == "text":
        print(meaning_text(found))
        return
    if isinstance(found, Cuts | Neighbours):
        display({"text/html": found._repr_html_(), "text/plain": meaning_text(found)}, raw=True)
        return
    caption = "Tokens and their places" if isinstance(found, EmbeddingMap) else "The likeness of each pair"
    behind = table(rows(found).iloc[:_ROWS], caption, across=True)
    below = f"<details><summary>The same as a table</summary>{behind}</details>"
    png, spoken = found._repr_png_(), repr(found)
    if chosen == "widget":
        show_figure(found.figure(), image(png, spoken), spoken, below)
    else:
        show_still(png, spoken, below)


def meaning_text(found: Any) -> str:
    """The same as lines of text."""
    if isinstance(found, Cuts | Neighbours):
        return str(found)
    said = map_title(found) if isinstance(found, EmbeddingMap) else repr(found)
    return f"{said}\n{plain(rows(found).iloc[:_ROWS])}"


def rows(found: EmbeddingMap | Similarity) -> pd.DataFrame:
    """The points of a map, those that are marked first; the pairs of texts, the most alike first."""
    if isinstance(found, Similarity):
        pairs = found.pairs()
        for column in ("first", "second"):
            pairs[column] = [visible(text).replace("␣", " ") for text in pairs[column]]
        return pairs.assign(likeness=[f"{value:.3f}" for value in pairs.likeness])
    frame = found.to_frame().sort_values("marked", ascending=False, kind="stable")
    places = {axis: [f"{value:.3f}" for value in frame[axis]] for axis in ("x", "y")}
    return frame.assign(
        token=[visible(token) for token in frame.token], **places, marked=["yes" if m else "" for m in frame.marked]
    )


def neighbours_page(found: Any) -> str:
    """A row a token with a bar for its likeness. All text is escaped."""
    lines = "".join(
        '<tr><td style="padding:2px 14px 2px 0;text-align:right;font-variant-numeric:tabular-nums">'
        f'{likeness:.3f}</td><td style="padding:2px 14px 2px 0;width:160px;text-align:left"><span aria-hidden="true" '
        f'style="display:inline-block;height:.8em;border-radius:2px;background:#0072B2;'
        f'width:{100 * max(0.0, float(likeness)):.0f}%"></span></td>'
        '<td style="text-align:left;font-family:var(--jp-code-font-family,monospace)">'
        f"<bdi>{escape(_token(token))}</bdi></td></tr>"
        for token, likeness in zip(found.tokens, found.likeness, strict=True)
    )
    return (
        '<div class="nbllm-neighbours"><p style="margin:4px 0">Nearest to '
        f"<bdi>{escape(_token(found.asked))}</bdi></p>"
        '<table style="border-collapse:collapse;font-size:13px;margin:0"><thead><tr><th scope="col">cosine</th>'
        f'<th></th><th scope="col" style="text-align:left">token</th></tr></thead><tbody>{lines}</tbody></table></div>'
    )


def _token(token: str) -> str:
    """A token as a reader wants it: a space that is one with its word stays a space, one alone is marked."""
    return visible(token).replace("␣", " ") if token.strip() else visible(token)


def neighbours_text(found: Any) -> str:
    """The same as lines of text."""
    lines = [
        f"{likeness:6.3f}  {'█' * round(_BAR * max(0.0, float(likeness))):<{_BAR}}  {visible(token)}"
        for token, likeness in zip(found.tokens, found.likeness, strict=True)
    ]
    return "\n".join([f"Nearest to {visible(found.asked).replace('␣', ' ')} (cosine)", *lines])
