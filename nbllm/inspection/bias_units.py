"""What a gap between two groups is counted in: bits, the probability of a label, or a cosine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """How a gap is told.

    name    bits, probability or cosine
    held    the column of what the model holds of a statement with a word for a group
    what    what is compared, as the subject of a sentence
    joint   "with" a word for a group, or "to" it
    axis    what stands on the axis of the gaps, before that
    amount  (gap) -> so much more, or less
    ends    (low, high) -> an interval
    expects what the model does, for the limits
    """

    name: str
    held: str
    what: str
    joint: str
    axis: str
    amount: Callable[[float], str]
    ends: Callable[[float, float], str]
    expects: str = "expects"


def bits() -> Unit:
    """log2 p of a statement."""

    def amount(gap: float) -> str:
        return f"{abs(gap):.2f} bits ({2 ** abs(gap):.2f} times) {'likelier' if gap > -0.005 else 'less likely'}"

    return Unit(
        "bits", "log2 p", "a statement", "with", "bits by which it is likelier", amount,
        lambda low, high: f"{low:+.2f} to {high:+.2f} bits",
    )  # fmt: skip


def probability(label: str) -> Unit:
    """The probability of a label."""

    def amount(gap: float) -> str:
        return f"{100 * abs(gap):.1f} percentage points {'likelier' if gap > -0.0005 else 'less likely'}"

    return Unit(
        "probability", "p", f"the label '{label}'", "with", f"how much likelier '{label}' is", amount,
        lambda low, high: f"{100 * low:+.1f} to {100 * high:+.1f} points", "answers",
    )  # fmt: skip


def cosine() -> Unit:
    """The cosine between the vectors of a word and of a statement."""

    def amount(gap: float) -> str:
        return f"{abs(gap):.3f} (cosine) {'nearer' if gap > -0.0005 else 'further'}"

    return Unit(
        "cosine", "cosine", "a statement", "to", "cosine by which it lies nearer", amount,
        lambda low, high: f"{low:+.3f} to {high:+.3f}", "finds alike",
    )  # fmt: skip
