"""How tokenizers cut a text, as strips of coloured tokens, and as text with the borders drawn. All text is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from nbllm.dashboards.strip import FACE, in_text
from nbllm.dashboards.tables import table
from nbllm.handles.readable import plain
from nbllm.plots.maps import apart, visible

if TYPE_CHECKING:
    import pandas as pd

MOST = 1000  # tokens of a strip
_ROWS = 300  # of the table of tokens
_BORDER = "│"
# Translucent, so that light and dark pages stay readable; neighbours differ for every kind of colour vision.
_SHADES = ("0,114,178,.28", "230,159,0,.30", "0,158,115,.26", "204,121,167,.30")


def page(cuts: Any) -> str:
    """A strip a tokenizer, and the tables."""
    strips = "".join(_strip(cut) for cut in cuts.cuts)
    found = table(compared(cuts), "The same text by each tokenizer", across=True)
    tokens = cuts.to_frame().iloc[:_ROWS]
    rows = tokens.assign(token=tokens.token.map(visible), stands_for=tokens.stands_for.map(visible)).set_index(
        "tokenizer"
    )
    names = {"stands_for": "stands for"}
    behind = table(rows.rename(columns=names), "Tokens, in their order", across=True)
    return (
        f'<div class="nbllm-tokens">{strips}{found}'
        f"<details><summary>Every token as a table</summary>{behind}</details></div>"
    )


def text(cuts: Any) -> str:
    """The same as lines of text: a border between any two tokens, and the table."""
    lines = []
    for cut in cuts.cuts:
        shown = _BORDER.join(visible(label).replace("␣", " ") for label in cut.tokens[:MOST])
        more = f" … and {len(cut.tokens) - MOST:,} more" if len(cut.tokens) > MOST else ""
        lines += [f"{cut.name} ({cut.about})", f"  {shown}{more}"]
    return "\n".join([*lines, "", plain(compared(cuts))])


def compared(cuts: Any) -> pd.DataFrame:
    """A row a tokenizer, in words."""
    frame = cuts.table
    for column in ("tokens", "vocabulary", "unknown"):
        frame[column] = [f"{value:,}" for value in frame[column]]
    for column in ("characters_per_token", "bytes_per_token"):
        frame[column] = [f"{value:.2f}" for value in frame[column]]
    names = {"characters_per_token": "characters a token", "bytes_per_token": "bytes a token", "about": "from"}
    return frame.rename(columns=names)


def _strip(cut: Any) -> str:
    spans = []
    for place, (label, token_id, span, size) in enumerate(
        zip(cut.tokens[:MOST], cut.ids, cut.stands_for, cut.sizes, strict=False)
    ):
        told = f"{apart(visible(label))}  id {token_id:,}, {size} {'byte' if size == 1 else 'bytes'}"
        if span and span != label:
            told += f", of {apart(visible(span))}"
        spans.append(
            f'<bdi title="{escape(told, quote=True)}" style="background:rgba({_SHADES[place % len(_SHADES)]});'
            f'border-radius:2px">{escape(in_text(label))}</bdi>'
        )
    more = f" … and {len(cut.tokens) - MOST:,} more" if len(cut.tokens) > MOST else ""
    return (
        f'<div><b>{escape(cut.name)}</b> <span style="opacity:.75;font-size:smaller">{len(cut.ids):,} tokens, '
        f'{escape(cut.about)}</span></div><div style="{FACE};margin:2px 0 12px">{"".join(spans)}{more}</div>'
    )
