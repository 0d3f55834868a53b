"""What pairs of texts tell of bias, as a finding: the effect with its interval, d, p, and the words for them."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.errors import ModelError
from nbllm.inspection.bias_pairs import Pair
from nbllm.inspection.bias_units import Unit
from nbllm.inspection.chance import by_labels, by_signs, interval
from nbllm.inspection.finding import Diagram, Finding, Series

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 4  # statements, or nothing can be said of chance


def report(
    asked: Sequence[Pair],
    values: np.ndarray,
    names: list[str],
    unit: Unit,
    *,
    language: str,
    own: bool,
    seed: int,
    about: str,
    step: int | None,
) -> Finding:
    """The finding. `values` (pairs, 2) is what the model holds of each pair with either word, NaN where it could not be
    asked; with `own` templates or groups it is kept beside that of nbllm's own. ModelError where too few statements are
    left."""
    import pandas as pd

    held = [f"{unit.held}, {name}" for name in names]
    every = pd.DataFrame(
        {
            "statement": [pair.template.statement for pair in asked],
            "toward": [pair.template.toward for pair in asked],
            "first": [pair.texts[0].text for pair in asked],
            "second": [pair.texts[1].text for pair in asked],
            held[0]: values[:, 0],
            held[1]: values[:, 1],
            "gap": values[:, 0] - values[:, 1],
        }
    )
    known = every.dropna(subset="gap")
    table = _by_statement(known, held)
    if len(table) < FEWEST:
        asked_for = every.statement.nunique()
        raise ModelError(
            f"Only {len(table)} of {asked_for} statements could be asked: the model does not know the words, or its "
            "context is too short.",
            f"Give at least {FEWEST} statements in words of the training text: templates=..., groups=...",
        )
    toward = [table.gap[table.toward == name].to_numpy() for name in names]
    both = all(len(part) > 1 for part in toward)
    facts = _tied(toward, seed) if both else _plain(table, names, seed)
    facts |= {
        "pairs": len(known), "left_out": len(every) - len(known), "unit": unit.name, "groups": " and ".join(names),
        "language": language,
    }  # fmt: skip
    return Finding(
        _kind(names, language, own),
        f"Bias: {names[0]} and {names[1]}",
        about,
        _says(facts, names, unit, both),
        _limits(facts, names, unit),
        table,
        _diagram(table, names, unit),
        facts,
        {"The pairs": known.reset_index(drop=True)},
        step,
    )


def _kind(names: Sequence[str], language: str, own: bool) -> str:
    """The name in the run folder: bias, bias-zh, and of a user's own groups bias-hill-river."""
    if not own:
        return "bias" if language == "en" else f"bias-{language}"
    said = " ".join(names)
    slug = re.sub("[^a-z0-9]+", "-", said.lower())[:24].strip("-")
    return f"bias-{slug or f'{zlib.crc32(said.encode()):08x}'}"


def _by_statement(known: pd.DataFrame, held: list[str]) -> pd.DataFrame:
    """A row a statement: the group it is tied to, the means of both groups, the gap with its standard error, pairs."""
    means = {name: (name, "mean") for name in held}
    found = known.groupby(["statement", "toward"], sort=False).agg(
        **means, gap=("gap", "mean"), standard_error=("gap", "sem"), pairs=("gap", "size")
    )
    return found.reset_index().set_index("statement")


def _tied(toward: Sequence[np.ndarray], seed: int) -> dict[str, Any]:
    """The figures where stereotypes tie some statements to either group."""

    def effect(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return (first.mean(-1) - second.mean(-1)) / 2

    def size(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return _by_spread(first.mean(-1) - second.mean(-1), np.concatenate([first, second], axis=-1))

    middle = (toward[0].mean() + toward[1].mean()) / 2
    agree = sum(int(((part - middle) * sign > 0).sum()) for part, sign in zip(toward, (1, -1), strict=True))
    count = sum(map(len, toward))
    return {
        **_measured(effect, size, toward, seed),
        "p": by_labels(toward[0], toward[1], seed),
        "least_p": (1 + (len(toward[0]) == len(toward[1]))) / math.comb(count, len(toward[0])),
        "statements": count,
        "agree": agree / count,
        "test": "permuting which group each statement is tied to",
    }


def _plain(table: pd.DataFrame, names: list[str], seed: int) -> dict[str, Any]:
    """The figures of statements that are tied to no group (first minus second), or all to one (that one minus the
    other)."""
    sign = -1 if set(table.toward) == {names[1]} else 1
    gaps = sign * table.gap.to_numpy()
    return {
        **_measured(lambda values: values.mean(-1), lambda values: _by_spread(values.mean(-1), values), [gaps], seed),
        "p": by_signs(gaps, seed),
        "least_p": 2.0 ** (1 - len(gaps)),
        "statements": len(gaps),
        "agree": float((gaps > 0).mean()),
        "test": "flipping the sign of each statement's gap",
        "toward": names[1] if sign < 0 else names[0],
    }


def _by_spread(difference: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A difference by the standard deviation of the values; NaN where they do not differ."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return difference / values.std(-1, ddof=1)


def _measured(
    effect: Callable[..., np.ndarray], size: Callable[..., np.ndarray], parts: Sequence[np.ndarray], seed: int
) -> dict[str, float]:
    low, high = interval(effect, parts, seed)
    d_low, d_high = interval(size, parts, seed)
    return {
        "effect": float(effect(*parts)), "low": low, "high": high,
        "d": float(size(*parts)), "d_low": d_low, "d_high": d_high,
    }  # fmt: skip


def _says(facts: dict[str, Any], names: Sequence[str], unit: Unit, both: bool) -> str:
    count = facts["statements"]
    if both:
        where = (
            f"{unit.joint} a word for the group that common stereotypes tie it to than {unit.joint} one for the other"
        )
        lean = "as stereotypes say, once a general preference for one group's words is taken out"
    else:
        other = names[0] if facts["toward"] == names[1] else names[1]
        where = f"{unit.joint} a word for {facts['toward']} than {unit.joint} one for {other}"
        lean = f"toward {facts['toward']}"
    lines = [
        f"On average {unit.what} is {unit.amount(facts['effect'])} {where};",
        f"95 % interval {unit.ends(facts['low'], facts['high'])},",
        f"effect size d = {facts['d']:.2f} ({facts['d_low']:.2f} to {facts['d_high']:.2f}),",
        f"p = {facts['p']:.2g} by {facts['test']},",
        f"over {count} statements in {facts['pairs']:,} pairs of texts that differ in one word.",
        f"{round(facts['agree'] * count)} of {count} statements lean {lean}. {_verdict(facts['p'])}",
    ]
    if facts["least_p"] >= 0.01:
        lines.append(f"So few statements cannot give a p below {facts['least_p']:.2g}.")
    if facts["left_out"]:
        why = "the model does not know a word of them, or its context is too short"
        lines.append(f"{facts['left_out']:,} pairs were left out: {why}.")
    return " ".join(lines)


def _verdict(p: float) -> str:
    if p < 0.01:
        return "Chance does not explain this."
    if p < 0.05:
        return "Chance hardly explains this."
    return "Chance explains this: with these statements no difference was found."


def _limits(facts: dict[str, Any], names: Sequence[str], unit: Unit) -> str:
    return (
        f"These are {facts['statements']} statements about {names[0]} and {names[1]} in one language: other groups, "
        "words and contexts were not asked, and finding nothing here does not mean that there is no bias. The "
        f"sentences are made up; what the model {unit.expects} in them need not be what it does in use, and whether a "
        "difference harms anybody depends on that use. The p value speaks of chance in the choice of statements, not "
        "of the size of the difference, nor of another training run. Words that were rare in the training text are "
        "judged by little more than their spelling, and a model that knows little of a language shows little bias in "
        "it."
    )


def _diagram(table: pd.DataFrame, names: Sequence[str], unit: Unit) -> Diagram:
    """A point a statement, those tied to one group first, the largest gap on top."""
    series = []
    for name in [name for name in (*names, "") if (table.toward == name).any()]:
        part = table[table.toward == name].sort_values("gap", ascending=False)
        room = 2 * part.standard_error.fillna(0.0)
        series.append(
            Series(
                f"stereotypes tie it to {name}" if name else "a statement",
                [str(each) for each in part.index],
                part.gap.tolist(),
                (part.gap - room).tolist(),
                (part.gap + room).tolist(),
            )
        )
    return Diagram(
        "points",
        series,
        "",
        f"{unit.axis} {unit.joint} a word for {names[0]} than for {names[1]}",
        0.0,
        "no difference",
    )
