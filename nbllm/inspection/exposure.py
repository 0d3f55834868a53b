"""Exposure: how far a model has learned planted secrets by heart (Carlini et al. 2019, "The Secret Sharer").

All secrets that could stand in a canary's line are ranked by how likely the model holds the line with them:

    exposure = log2 |R| - log2 rank

|R| is how many they are, rank the place of the true one. A secret that the model has never seen has a place drawn
evenly, and so log2 e = 1.44 bits of exposure on average; one at the first place has all log2 |R| bits, and whoever
asks for the likeliest secret gets it. Where |R| is over 10,000 (of encoders: over 256), so many are drawn from it and
ranked, Carlini's approximation by sampling: no exposure over log2 of their number can then be seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from nbllm.data.canaries import Canaries, Canary
from nbllm.errors import ModelError
from nbllm.inspection.chance import interval
from nbllm.inspection.finding import Diagram, Finding, Series
from nbllm.inspection.next_tokens import continued_bits, goes_on
from nbllm.inspection.spans import Asked, span_bits

if TYPE_CHECKING:
    import pandas as pd

RANKED = 10_000
RANKED_BY_ENCODER = 256
CHANCE = math.log2(math.e)  # mean of log2 |R| - log2 rank over even ranks


def exposure(
    module: nn.Module,
    objective: Any,
    canaries: Canaries,
    *,
    seed: int = 0,
    epochs: float = math.nan,
    about: str = "model",
    step: int | None = None,
) -> Finding:
    """The exposure of each canary, and its mean for each number of plantings.

    `epochs`: how often the model has gone over its text. Facts: exposure (mean over the most planted), most (log2 of
    the secrets ranked), first (secrets at the first place), chance (mean over the controls), p (of the most planted),
    exact. Raises ModelError where the model does not say how likely a text is.
    """
    import pandas as pd

    ways = goes_on(module, objective)
    ranked = RANKED if ways else RANKED_BY_ENCODER
    rows = []
    for number, canary in enumerate(canaries.canaries):
        secrets = _secrets(canary, ranked, np.random.default_rng((seed, number)))
        bits = _bits(module, objective, canaries, canary, secrets, ways)
        known = bits[~np.isnan(bits)]
        if np.isnan(bits[0]) or len(known) < 2:
            continue
        better, ties = int((known > bits[0]).sum()), int((known == bits[0]).sum()) - 1
        rank = 1 + better + ties / 2
        rows.append(
            {
                "name": canary.name,
                "secret": canary.secret,
                "asked": canary.times,
                "planted": canary.planted,
                "exposure": math.log2(len(known) / rank),
                "rank": rank,
                "of": len(known),
                "bits of the secret": -bits[0],
            }
        )
    if not rows:
        raise ModelError(
            "The model cannot read the canaries: its vocabulary lacks their digits, or its context is too short.",
            "Train with a tokenizer that has them, or a larger train.context.",
        )
    each = pd.DataFrame(rows).sort_values(["planted", "exposure"], kind="stable").set_index("name")
    table = _by_count(each, seed)
    exact = 10 ** len(canaries.canaries[0].secret) <= ranked
    most = math.log2(int(each.of.max()))
    top = table.iloc[-1]
    facts: dict[str, Any] = {
        "exposure": float(top["exposure"]), "planted": int(table.index[-1]), "p": float(top["p"]), "most": most,
        "first": int((each["rank"] == 1).sum()), "canaries": len(each), "ranked": int(each.of.max()), "exact": exact,
        "chance": float(table.loc[0, "exposure"]) if 0 in table.index else CHANCE, "epochs": epochs,
    }  # fmt: skip
    return Finding(
        "exposure", "Exposure of planted secrets", about, _says(table, facts), _limits(facts), table,
        _diagram(table, most), facts, {"The canaries": each}, step,
    )  # fmt: skip


def _secrets(canary: Canary, most: int, rng: np.random.Generator) -> list[str]:
    """The true secret first, then all others of as many digits, or as many of them as are ranked."""
    digits = len(canary.secret)
    if 10**digits <= most:
        return [canary.secret, *(each for n in range(10**digits) if (each := f"{n:0{digits}d}") != canary.secret)]
    others: dict[str, None] = {}
    while len(others) < most - 1:
        drawn = (f"{n:0{digits}d}" for n in rng.integers(10**digits, size=most))
        others.update(dict.fromkeys(each for each in drawn if each != canary.secret))
    return [canary.secret, *list(others)[: most - 1]]


def _bits(
    module: nn.Module, objective: Any, canaries: Canaries, canary: Canary, secrets: list[str], ways: bool
) -> np.ndarray:
    """log2 p of each secret in its line; NaN where the vocabulary lacks a token of it."""
    span = canaries.span(canary)
    lines = [canaries.line(canary, secret) for secret in secrets]
    if not ways:
        return span_bits(module, objective, [Asked(line, (span,), (span,)) for line in lines])
    from nbllm.data.tokenizers import end_id, unknown_id

    tokenizer, context = objective.task.tokenizer, objective.task.context
    end, unknown = end_id(tokenizer), unknown_id(tokenizer)
    lead, shift = (canaries.lead, len(canaries.lead)) if canaries.lead else ("", 0)
    before = [] if lead or end is None else [end]
    start, stop = span[0] + shift, span[1] + shift
    rows = []
    for encoding in tokenizer.encode_batch([lead + line for line in lines], add_special_tokens=False):
        inside = [n for n, (first, last) in enumerate(encoding.offsets) if first < stop and last > start]
        asked = [encoding.ids[n] for n in inside]
        head = [*before, *encoding.ids[: inside[0]]] if inside else []
        rows.append((head[-(context - len(asked) + 1) :], [] if unknown in asked else asked))
    return continued_bits(module, rows)


def _by_count(each: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A row a number of plantings: mean exposure with a bootstrap interval, the median rank, how many are first, and
    how likely even ranks give so much exposure."""
    import pandas as pd

    rows = []
    for planted, part in each.groupby("planted", sort=True):
        values = part.exposure.to_numpy(dtype=float)
        low, high = interval(lambda drawn: drawn.mean(-1), [values], seed) if len(values) > 1 else (math.nan, math.nan)
        rows.append(
            {
                "planted": int(planted),
                "canaries": len(part),
                "exposure": float(values.mean()),
                "low": low,
                "high": high,
                "median rank": float(part["rank"].median()),
                "first": int((part["rank"] == 1).sum()),
                "p": by_ranks(part["rank"].to_numpy(dtype=float), part["of"].to_numpy(dtype=float)),
            }
        )
    return pd.DataFrame(rows).set_index("planted")


def by_ranks(ranks: Sequence[float] | np.ndarray, of: Sequence[float] | np.ndarray) -> float:
    """How likely ranks so good are by chance alone: -ln of n even draws from 0 to 1 sum up to a gamma variable of shape
    n (Fisher 1932), so p = exp(-s) sum_{k<n} s^k / k! for s = -sum ln(rank / of)."""
    total = float(-np.log(np.asarray(ranks) / np.asarray(of)).sum())
    logs = [-total + k * math.log(total) - math.lgamma(k + 1) for k in range(len(ranks))] if total > 0 else [0.0]
    return min(1.0, math.fsum(map(math.exp, logs)))


def _times(planted: int) -> str:
    return {0: "never", 1: "once"}.get(planted, f"{planted:,} times")


def _says(table: pd.DataFrame, facts: dict[str, Any]) -> str:
    parts = []
    for planted, row in list(table.iterrows())[::-1]:
        first = (
            f", {int(row['first'])} of {int(row['canaries'])} first among {facts['ranked']:,}" if row["first"] else ""
        )
        parts.append(f"{_times(int(planted))}: {row['exposure']:.1f} bits{first}")
    known = table[(table.index > 0) & (table.p < 0.01)].index
    if len(known):
        least = int(known.min())
        often = "even once" if least == 1 else f"{_times(least)} or more often"
        verdict = f"Chance does not explain the exposure of secrets planted {often}."
    else:
        verdict = "Chance explains what is seen: the model has not learned these secrets by heart."
    seen = f" (it was gone over {facts['epochs']:.2g} times)" if math.isfinite(facts["epochs"]) else ""
    return (
        f"Mean exposure of made-up secrets by how often each was planted in the training text{seen}: "
        f"{'; '.join(parts)}. At most {facts['most']:.1f} bits could be seen, and {CHANCE:.1f} is chance. {verdict}"
    )


def _limits(facts: dict[str, Any]) -> str:
    how = (
        "All secrets of that form were ranked, so the exposure is exact."
        if facts["exact"]
        else f"Only {facts['ranked']:,} of the secrets of that form were drawn and ranked: the exposure is an "
        f"estimate, and none over {facts['most']:.1f} bits could be seen."
    )
    return (
        f"{how} These are digits in a line of one form, that stands out from the text: other secrets, longer or in "
        "running prose, may be learned sooner or later. A high exposure says that someone who knows the line up to the "
        "secret can find it out; a low one is no proof that nothing can be found out by other questions, nor that "
        "texts of the corpus itself are safe: see memorization and membership. It is one training run: others differ."
    )


def _diagram(table: pd.DataFrame, most: float) -> Diagram:
    places = [_times(int(planted)) for planted in table.index]
    series = Series("exposure", places, table.exposure.tolist(), table.low.tolist(), table.high.tolist())
    return Diagram("bars", [series], "planted", f"mean exposure, bits of at most {most:.1f}", CHANCE, "chance")
