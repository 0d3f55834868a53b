"""Tables of numbers as people read them: a heading in words, and no more figures than mean something."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "state", "parameters", "steps", "tokens", "tokens_per_second", "minutes", "flops", "best_val_loss", "best_step",
    "bits_per_byte",
)  # fmt: skip
"""Of the table of a comparison; this module is light, so that completion can offer them."""

HEADINGS = {
    "tokens_per_second": "tokens/s", "flops": "FLOPs", "best_val_loss": "held-out loss", "best_step": "at step",
    "last_val_loss": "at the end", "bits_per_byte": "bits per byte", "train_tokens": "tokens to learn from",
    "macro_f1": "macro F1", "ece": "calibration error",
}  # fmt: skip
_LOSSES = ("best_val_loss", "last_val_loss", "bits_per_byte")


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table as text, with its headings in words."""
    shown = frame.astype(object)
    for name in shown.columns:
        shown[name] = [number(value, str(name)) for value in shown[name]]
    return shown.rename(columns=heading)


def heading(column: str) -> str:
    """A column in words."""
    return HEADINGS.get(column, str(column).replace("_", " "))


def number(value: Any, column: str = "") -> str:
    """One number: losses with four figures, counts with commas, FLOPs as 1.2e15; a dash where there is none."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Real) or math.isnan(value):
        return "–"
    if column in _LOSSES:
        return f"{value:#.4g}".rstrip(".")
    if column == "seed":
        return str(value)
    if column == "flops":
        return f"{value:.1e}".replace("e+", "e")
    if isinstance(value, Integral) or abs(float(value)) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def plain(frame: pd.DataFrame) -> str:
    """The table for a terminal; Chinese takes two places a character there."""
    import pandas as pd

    with pd.option_context("display.unicode.east_asian_width", True):
        return frame.rename_axis(index=None).to_string()
