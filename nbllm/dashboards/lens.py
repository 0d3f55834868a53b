"""The lens: a model writes, and one sees what else it might have written, changes a token, and compares what follows.

    model.lens("To be, or")              a prompt, what follows, and branches of it

In a page it is a widget; a saved notebook keeps the branches as strips of tokens with their table.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

from nbllm.dashboards.shown import Shown, saved
from nbllm.dashboards.strip import FACE, hover, in_text, shade
from nbllm.dashboards.tables import table
from nbllm.inspection.branches import Branch, Branches, Token, alternatives
from nbllm.plots.maps import apart, visible

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.dashboards.lens_widget import Widget


class Lens(Shown):
    """What `lens` gives: shown by the last line of a cell, or by `show`.

    .branches   the branches as they are: .table(), .to_frame()
    .branch(place, token)   writes another one, without the page
    """

    _kind = "lens"

    def __init__(self, branches: Branches, title: str):
        super().__init__()
        self._own = branches
        self._widget: Widget | None = None
        self.title = title

    @property
    def branches(self) -> Branches:
        """The prompt and all that was written from it, those of the page included."""
        return self._own if self._widget is None else self._widget._branches

    def branch(self, place: int, token: int | str | None = None, branch: int = 0, **settings: Any) -> str:
        """Write a branch that parts at a place of the text (0 for the first token of the prompt) with another token
        there: its label among the likeliest, or its number. Gives back the text; the page shows it too."""
        for _ in self.branches.branch(branch, place, token, **settings):
            pass
        if self._widget is not None:
            self._widget._tell()
        return self.branches.text(self.branches.all[-1])

    def to_frame(self) -> pd.DataFrame:
        """A row a branch and token: branch, place, token, probability, rank, bits, and the likeliest beside it."""
        return self.branches.to_frame()

    def table(self) -> pd.DataFrame:
        """A row a branch: where it parts, how many tokens and bits it has of its own, and its text."""
        return self.branches.table()

    def __repr__(self) -> str:
        return f"<Lens of {len(self.branches.prompt):,} characters, {len(self.branches.all)} branches>"

    def __str__(self) -> str:
        return text(self)

    def _page(self) -> str:
        return page(self)

    _repr_html_ = _page

    def widget(self) -> Widget:
        from nbllm.dashboards.lens_widget import Widget

        self._widget = Widget(self.branches, self.title)
        return self._widget


def lens(branches: Branches, title: str) -> Lens:
    """The lens of branches, of which the first is written here if it is not yet."""
    if not branches.all:
        for _ in branches.write():
            pass
    return Lens(branches, title)


def page(shown: Any) -> str:
    """Every branch as a strip of tokens, and under it the tables. All text is escaped."""
    known: Branches = shown.branches
    blind = math.log2(max(2, known.tokenizer.get_vocab_size()))
    strips = "".join(_strip(known, each, blind) for each in known.all)
    found = table(compared(known), "Branches: where they part, and their surprise", across=True)
    places = table(expected(known), "Tokens, and what was expected in their place", across=True)
    return saved(
        "lens",
        f'<p style="margin:4px 0"><strong>{escape(shown.title)}</strong></p>{strips}'
        f"<details><summary>Branches as a table</summary>{found}</details>"
        f"<details><summary>Tokens as a table</summary>{places}</details>"
        '<p style="margin:4px 0;opacity:.75">Hover over a token to see what was expected. '
        "Run the cell again to branch from it.</p>",
    )


def text(shown: Any) -> str:
    """The same as lines of text."""
    from nbllm.handles.readable import plain

    known: Branches = shown.branches
    rows = [plain(expected(known))]
    if len(known.all) > 1:
        rows.append(plain(compared(known)))
    return "\n\n".join([f"{shown.title}: {visible_line(known.text(known.all[0]))}", *rows])


def visible_line(said: str) -> str:
    """A text on one line."""
    return "".join(" " if c == " " else visible(c) for c in said)


def compared(known: Branches) -> pd.DataFrame:
    """A row a branch, in words."""
    import pandas as pd

    found = known.table()
    rows = []
    for row in found.reset_index().to_dict("records"):
        parts = "" if pd.isna(row["from"]) else f"branch {row['from']}, place {row['place']}: {visible(row['token'])}"
        rows.append(
            {
                "parts from": parts, "tokens": f"{row['tokens']:,}", "bits": f"{row['bits']:.1f}",
                "bits a token": f"{row['bits_per_token']:.2f}", "text": visible_line(row["text"]),
            }
        )  # fmt: skip
    return pd.DataFrame(rows, index=pd.Index(found.index, name="branch"))


def expected(known: Branches) -> pd.DataFrame:
    """A row a token of the first branch, in words: its probability, rank and bits, and what was expected."""
    import pandas as pd

    rows = []
    for token in known.tokens(known.all[0]):
        best = ", ".join(f"{apart(visible(label))} {share:.0%}" for label, share in alternatives(token)[:3])
        told = token.probability is not None
        rows.append(
            {
                "token": visible(token.label), "probability": f"{token.probability:.2%}" if told else "",
                "rank": f"{token.rank:,}" if token.rank else "", "bits": f"{token.bits:.2f}" if told else "",
                "expected": best,
            }
        )  # fmt: skip
    return pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="place"))


def _strip(known: Branches, branch: Branch, blind: float) -> str:
    tokens = known.tokens(branch)
    spans = []
    for place, token in enumerate(tokens):
        shared = place < (branch.at if branch.parent is not None else 0)
        label = escape(in_text(token.label))
        colour = "" if token.bits is None else f"background:{shade(token.bits / blind)};"
        quiet = "opacity:.45;" if shared else "opacity:.7;" if token.bits is None else ""
        spans.append(f'<bdi title="{escape(_hover(token), quote=True)}" style="{colour}{quiet}">{label}</bdi>')
        if place == len(known.given) - 1 and known.joint:
            spans.append(f"<span>{escape(known.joint)}</span>")
    return (
        f'<div style="margin:6px 0"><span style="opacity:.7;font-size:smaller">branch {branch.number}</span>'
        f'<div style="{FACE}">{"".join(spans)}</div></div>'
    )


def _hover(token: Token) -> str:
    if token.probability is None or token.rank is None or token.bits is None:
        return f"{apart(visible(token.label))}  read"
    return hover(token.label, token.probability, token.rank, token.bits, alternatives(token))
