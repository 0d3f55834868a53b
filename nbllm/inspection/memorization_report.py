"""What copied stretches tell, as a finding: facts, tables, chart and the words for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.inspection.chance import difference, more_often, wilson
from nbllm.inspection.copies import Repeats
from nbllm.inspection.finding import Diagram, Series

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 10
_GROUPS = ((1, "once"), (2, "2 to 3 times"), (4, "4 to 15 times"), (16, "16 times or more"))


def facts(copied: Sequence[np.ndarray], tokens: int, found: Repeats) -> dict[str, Any]:
    """The shares of both texts, their difference with its interval and p, and what is repeated."""
    train, held = ((int((part == tokens).sum()), len(part)) for part in copied)
    low, high = difference(train, held)
    return {
        "share": train[0] / train[1], "held_share": held[0] / held[1], "leak": train[0] / train[1] - held[0] / held[1],
        "low": low, "high": high, "p": more_often(train, held), "near_duplicates": found.near_duplicates,
        "documents": found.documents, "repeated": float((found.times > 1).mean()), "contaminated": found.contaminated,
    }  # fmt: skip


def table(copied: Sequence[np.ndarray], tokens: int, longest: int) -> pd.DataFrame:
    """A row a text."""
    import pandas as pd

    rows = []
    for name, part in zip(("training text", "held-out text"), copied, strict=True):
        count = int((part == tokens).sum())
        low, high = wilson(count, len(part))
        rows.append(
            {
                "text": name,
                "stretches": len(part),
                "given back": count,
                "share": count / len(part),
                "low": low,
                "high": high,
                "mean tokens copied": float(part.mean()),
                "longest copy": longest if name == "training text" else int(part.max()),
            }
        )
    return pd.DataFrame(rows).set_index("text")


def by_times(copied: np.ndarray, times: np.ndarray, tokens: int) -> pd.DataFrame:
    """The share that is given back by how often a stretch stands in the training text."""
    import pandas as pd

    rows = []
    for number, (least, name) in enumerate(_GROUPS):
        below = _GROUPS[number + 1][0] if number + 1 < len(_GROUPS) else math.inf
        chosen = (times >= least) & (times < below)
        if chosen.any():
            count, total = int((copied[chosen] == tokens).sum()), int(chosen.sum())
            low, high = wilson(count, total)
            rows.append(
                {"stands there": name, "stretches": total, "given back": count, "share": count / total, "low": low,
                 "high": high}
            )  # fmt: skip
    return pd.DataFrame(rows).set_index("stands there")


def examples(
    objective: Any, train: np.ndarray, starts: np.ndarray, copied: np.ndarray, found: Repeats, prefix: int, tokens: int
) -> pd.DataFrame:
    """What was given back and stands nowhere in the held-out text, the rarest first."""
    import pandas as pd

    chosen = np.flatnonzero((copied == tokens) & ~found.in_held)
    chosen = chosen[np.argsort(found.times[chosen], kind="stable")][:EXAMPLES]
    tokenizer = objective.task.tokenizer
    rows = []
    for number in chosen:
        ids = train[starts[number] : starts[number] + prefix + tokens].tolist()
        rows.append(
            {
                "the model read": tokenizer.decode(ids[:prefix]),
                "and gave back": tokenizer.decode(ids[prefix:]),
                "times in the text": int(found.times[number]),
            }
        )
    return pd.DataFrame(rows)


def says(facts: dict[str, Any], found: Repeats) -> str:
    """The paragraph."""
    part = "of the training text" if facts["whole"] else "of the start of the training text"
    first = (
        f"From {facts['prefix_tokens']} tokens the model gives back the next {facts['tokens']} word for word in "
        f"{facts['share']:.1%} of {facts['prefixes']:,} stretches {part}, and in {facts['held_share']:.1%} of the "
        f"held-out text: {100 * facts['leak']:+.1f} points (95 % interval {100 * facts['low']:+.1f} to "
        f"{100 * facts['high']:+.1f}, p = {facts['p']:.2g})."
    )
    lines = [first]
    if facts["p"] < 0.01:
        lines.append("It gives away training text that it could not have guessed.")
    elif facts["share"]:
        lines.append("No more than from text that it has never seen: these are common phrases, not leaks.")
    else:
        lines.append("No leak was found.")
    lines.append(f"The longest copy is {facts['longest']:,} tokens.")
    if math.isfinite(facts["epochs"]):
        lines.append(f"It has gone over the text {facts['epochs']:.2g} times.")
    lines.append(
        f"Of the stretches {facts['repeated']:.1%} stand more than once in the training text, and "
        f"{facts['contaminated']:.1%} of the held-out text stand in it too;"
    )
    lines.append(
        f"{found.near_duplicates:,} of {found.documents:,} {found.what} are nearly the same as an earlier one."
    )
    if found.near_duplicates:
        lines.append("To drop them: data.clean.near_duplicates.")
    return " ".join(lines)


def limits(facts: dict[str, Any]) -> str:
    """What this does not show."""
    return (
        f"The likeliest continuation of {facts['prefix_tokens']} true tokens was looked at, and only exact copies of "
        f"{facts['tokens']} tokens were counted: other prefixes, sampling, or a near copy give away more, so this is a "
        "lower bound. A stretch of tokens is short where tokens are letters. Where the held-out text comes from "
        "another part of the corpus, it may be harder to guess for that reason alone; data.split: document makes both "
        "alike. What stands only once, as one person's data does, may be given back although the share is small."
    )


def diagram(copied: Sequence[np.ndarray], tokens: int) -> Diagram:
    """The share of stretches that are copied for so many tokens."""
    places = sorted({*(2**k for k in range(int(math.log2(tokens)) + 1)), tokens})
    series = []
    for name, part in zip(("training text", "held-out text"), copied, strict=True):
        counts = [int((part >= place).sum()) for place in places]
        ends = [wilson(count, len(part)) for count in counts]
        series.append(
            Series(
                name, places, [count / len(part) for count in counts], [low for low, _ in ends],
                [high for _, high in ends],
            )
        )  # fmt: skip
    return Diagram("lines", series, "tokens given back word for word", "share of stretches", log=True)
