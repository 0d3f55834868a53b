"""Predictions as a strip of tokens: the more surprising one was, the stronger its shade; hover shows what was expected.

No script and no style sheet. The shades are translucent, so that light and dark pages stay readable. Behind the strip
stands the same as a table, for those who do not see the one or do not hover. All text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from nbllm.dashboards.tables import table
from nbllm.plots.maps import apart, visible

if TYPE_CHECKING:
    import pandas as pd

MOST = 512  # tokens of a strip: some 200 kB of a saved notebook
_HOVERED = 8  # choices that hover shows
_BESIDE = 3  # choices in a row of the table
_BAR = 12  # blocks of a bar that stands for 100 %
_SHADE = "213,94,0"  # of the palette's HELD_OUT
_STRONGEST = 0.55  # opacity at which white and black text can be read
FACE = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.9;font-family:var(--jp-code-font-family,monospace)"


def strip(predictions: Any) -> str:
    """The strip and its table as HTML. `predictions` is a Predictions."""
    count = len(predictions.tokens)
    blind = math.log2(max(2, predictions.vocabulary))
    tokens = [_token(predictions, place, blind) for place in range(min(count, MOST))]
    if predictions.given:
        tokens.insert(0, f'<span style="opacity:.6">{escape(in_text(predictions.given))}</span>')
    bits = float(predictions.surprise.mean())
    said = f"{count:,} tokens, {bits:.2f} bits a token, {predictions.bits_per_byte:.3f} bits per byte"
    cut = f"; the first {MOST} are shown, .to_frame() has all" if count > MOST else ""
    scale = "".join(
        f'<span style="display:inline-block;width:16px;height:.8em;background:{shade(step / 8)}"></span>'
        for step in range(9)
    )
    behind = table(
        rows(predictions), "Probability, rank and surprise of each token, and what was expected", across=True
    )
    return (
        f'<div class="nbllm-strip"><div style="{FACE}">{"".join(tokens)}</div>'
        f'<div style="opacity:.75;font-size:smaller;margin-top:.4em">{said}{cut}<br>'
        f'<span aria-hidden="true">expected {scale} as surprising as a blind guess ({blind:.1f} bits). </span>'
        "Hover over a token to see what was expected.</div>"
        f'<details style="margin-top:.3em"><summary>The same as a table</summary>{behind}</details></div>'
    )


def _token(predictions: Any, place: int, blind: float) -> str:
    token, bits = predictions.tokens[place], float(predictions.surprise[place])
    told = hover(
        token, float(predictions.probabilities[place]), int(predictions.ranks[place]), bits,
        predictions.alternatives_at(place),
    )  # fmt: skip
    return (
        f'<bdi title="{escape(told, quote=True)}" style="background:{shade(bits / blind)};border-radius:2px">'
        f"{escape(in_text(token))}</bdi>"
    )


def shade(share: float) -> str:
    """The background of a token: the stronger, the more surprising it was as a share of a blind guess."""
    return f"rgba({_SHADE},{_STRONGEST * min(1.0, max(0.0, share)):.2f})"


def in_text(token: str) -> str:
    """A token in its text: a space is a space, and a line feed is seen and ends its line."""
    return token.replace("␣", " ").replace("⏎", "⏎\n")


def hover(token: str, probability: float, rank: int, bits: float, choices: Iterable[tuple[str, float]]) -> str:
    """Lines of a tooltip: what the token was, and the likeliest with bars."""
    lines = [f"{apart(visible(token))}  {probability:.2%}, rank {rank:,}, {bits:.1f} bits", ""]
    for choice, share in list(choices)[:_HOVERED]:
        bar = "█" * max(1, round(share * _BAR)) if share >= 0.5 / _BAR else "▏"
        lines.append(f"{share:6.1%}  {bar}  {apart(visible(choice))}{' ←' if choice == token else ''}")
    return "\n".join(lines)


def rows(predictions: Any, most: int = MOST) -> pd.DataFrame:
    """A row a token, in words: its probability, rank and bits, and what was expected."""
    import pandas as pd

    places = range(min(len(predictions.tokens), most))
    expected = [
        ", ".join(f"{apart(visible(t))} {p:.0%}" for t, p in predictions.alternatives_at(i)[:_BESIDE]) for i in places
    ]
    return pd.DataFrame(
        {
            "token": [visible(predictions.tokens[i]) for i in places],
            "probability": [f"{predictions.probabilities[i]:.2%}" for i in places],
            "rank": [f"{predictions.ranks[i]:,}" for i in places],
            "bits": [f"{predictions.surprise[i]:.2f}" for i in places],
            "expected": expected,
        },
        index=pd.Index([i + bool(predictions.given) for i in places], name="position"),
    )
