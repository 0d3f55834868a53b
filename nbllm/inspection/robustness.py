"""Robustness: how the answers of a classifier move under small changes that should not matter.

What the changes are, and who proposed them, stands in `changes`. A flip is another answer than to the text as it was;
of texts that may have several labels, another set of them.

N texts, R repeats, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.errors import ModelError
from nbllm.inspection.chance import interval
from nbllm.inspection.changes import Change
from nbllm.inspection.finding import Diagram, Finding, Series

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 5  # of each change, that are shown

Answers = Callable[[list[str]], np.ndarray]
"""(texts) -> float32 (N, L), the probability of each label."""


def robustness(
    answers: Answers,
    names: Sequence[str],
    texts: Sequence[str],
    changes: Mapping[str, Change],
    *,
    labels: Sequence[str] | None = None,
    several: bool = False,
    repeats: int = 3,
    seed: int = 0,
    about: str = "model",
    step: int | None = None,
) -> Finding:
    """How often, and by how much, the answers to `texts` move under each of the `changes`.

    `names` are the labels in the order of the answers; `labels` the right ones of the texts, where they are known: then
    the table tells the accuracy before and after. Each text is changed `repeats` times, by draws that depend on the
    seed, its place and the repeat alone. `several` is set where a text may have several labels.

    Facts: texts, and for each change NAME_flips, NAME_low, NAME_high and NAME_move. Raises ModelError without texts.
    """
    if not len(texts):
        raise ModelError("There are no texts to change.", "Give some, as in robustness(['a fine film', ...]).")
    if labels is not None and len(labels) != len(texts):
        raise ModelError(f"There are {len(texts)} texts and {len(labels)} labels.", "Give a label a text.")
    before_NL = answers(list(texts))
    said_NL = _said(before_NL, several)
    rows, examples, facts = {}, [], {"texts": len(texts), "repeats": repeats}
    for name, change in changes.items():
        changed = [
            change(text, np.random.default_rng((seed, place, repeat)))
            for repeat in range(repeats)
            for place, text in enumerate(texts)
        ]
        after = answers(changed).reshape(repeats, len(texts), -1)
        differs = np.array([new != old for new, old in zip(changed, [*texts] * repeats, strict=True)])
        moved = _Moved(before_NL, said_NL, after, differs.reshape(repeats, -1), several)
        rows[name] = moved.row(labels, names, seed)
        facts |= {f"{name}_{key}": rows[name][key] for key in ("flips", "low", "high", "move")}
        examples += _examples(name, texts, changed, moved, names)
    import pandas as pd

    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("change")
    shown = table[table.texts > 0]
    series = Series("flips", list(shown.index), shown.flips.tolist(), shown.low.tolist(), shown.high.tolist())
    return Finding(
        "robustness",
        "Robustness: answers under small changes",
        about,
        _says(table, len(texts)),
        _limits(len(texts), labels),
        table,
        Diagram("bars", [series], "change", "share of answers that flip") if len(shown) else None,
        facts,
        {"Answers that moved most": pd.DataFrame(examples)} if examples else {},
        step,
    )


class _Moved:
    """What one change did: answers before (N, L) and after (R, N, L), and where it changed the text at all (R, N)."""

    def __init__(self, before: np.ndarray, said: np.ndarray, after: np.ndarray, differs: np.ndarray, several: bool):
        self.before, self.said, self.after, self.differs = before, said, after, differs
        self.after_said = _said(after, several)
        self.flips = (self.after_said != said).any(-1)  # (R, N)
        share = said / np.maximum(said.sum(-1, keepdims=True), 1)
        self.move = ((after - before) * share).sum(-1)
        """(R, N) how much likelier the first answer has become."""

    def row(self, labels: Sequence[str] | None, names: Sequence[str], seed: int) -> dict[str, Any]:
        """The figures over the texts that were changed: a text counts once, whatever the repeats."""
        changed = self.differs.any(0)
        row: dict[str, Any] = {"texts": int(changed.sum())}
        if not changed.any():
            return row | dict.fromkeys(("flips", "low", "high", "move"), float("nan"))
        flips, move = (_mean(part, self.differs)[changed] for part in (self.flips, self.move))
        low, high = interval(lambda drawn: drawn.mean(-1), [flips], seed)
        row |= {"flips": float(flips.mean()), "low": low, "high": high, "move": float(move.mean())}
        if labels is not None:
            right_NL = np.array([[name in str(label).split("|") for name in names] for label in labels])
            before = (self.said == right_NL).all(-1)
            after = _mean((self.after_said == right_NL).all(-1), self.differs)
            row |= {"accuracy_before": float(before[changed].mean()), "accuracy_after": float(after[changed].mean())}
        return row


def _said(shares: np.ndarray, several: bool) -> np.ndarray:
    """(..., L) which labels are given: the likeliest, or all over one half."""
    if several:
        return shares > 0.5
    return np.arange(shares.shape[-1]) == shares.argmax(-1)[..., None]


def _mean(values: np.ndarray, differs: np.ndarray) -> np.ndarray:
    """(N,) the mean over those repeats that changed the text."""
    return (values * differs).sum(0) / np.maximum(differs.sum(0), 1)


def _examples(
    name: str, texts: Sequence[str], changed: Sequence[str], moved: _Moved, names: Sequence[str]
) -> list[dict[str, Any]]:
    """The texts whose answer moved most, each once."""
    loss = np.where(moved.differs, moved.move - moved.flips, np.inf)  # a flip goes before any move
    best = loss.argmin(0)
    order = [int(n) for n in np.argsort(loss.min(0), kind="stable") if np.isfinite(loss.min(0)[n])][:EXAMPLES]
    return [
        {
            "change": name,
            "text": texts[n],
            "changed": changed[int(best[n]) * len(texts) + n],
            "before": _named(moved.said[n], names),
            "after": _named(moved.after_said[best[n], n], names),
            "move": float(moved.move[best[n], n]),
        }
        for n in order
    ]


def _named(said: np.ndarray, names: Sequence[str]) -> str:
    return "|".join(name for name, given in zip(names, said, strict=True) if given)


def _says(table: pd.DataFrame, count: int) -> str:
    parts = []
    for name, row in table.iterrows():
        if not row.texts:
            parts.append(f"{name}: no text held anything to change.")
            continue
        accuracy = ""
        if "accuracy_after" in table.columns:
            accuracy = f"; accuracy goes from {row.accuracy_before:.1%} to {row.accuracy_after:.1%}"
        ends = f"95 % interval {row.low:.1%} to {row.high:.1%}"
        parts.append(
            f"{name} change {row.texts:.0f} texts and flip {row.flips:.1%} of their answers ({ends}), the probability "
            f"of the first answer moves by {100 * row.move:+.1f} points{accuracy}."
        )
    worst = table.flips.idxmax() if table.flips.notna().any() else ""
    end = f" It is moved most by {worst}." if worst and len(table) > 1 else ""
    return f"Of {count} texts: " + " ".join(parts) + end


def _limits(count: int, labels: Sequence[str] | None) -> str:
    parts = [
        "The changes are made by a machine and are mild: people mistype and rephrase in other ways.",
        "Somebody who wants another answer looks for the change that gives it.",
        "A synonym or a letter can change what a text means, so that some flips are right.",
        "A model that gives one answer to everything does not flip either: robust is not correct.",
        f"The figures are of these {count} texts; texts of another kind may be more fragile.",
    ]
    if labels is None:
        parts.append("The right labels were not given: that an answer stays does not mean that it was right.")
    return " ".join(parts)
