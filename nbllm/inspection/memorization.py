"""Memorization: how much of its training text a model gives back word for word (Carlini et al. 2023, "Quantifying
Memorization Across Neural Language Models").

The model reads a stretch of the text and goes on with its likeliest tokens. What it copies is counted from stretches
of the training text and, the same way, of the held-out text: phrases that are common, or easy to guess, are given back
from there too, so only what goes beyond is a leak. Greedy decoding copies a stretch as long as the true token is the
likeliest at each place, which one pass over the true text tells.

N stretches, P tokens of a prefix, K tokens behind it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from nbllm.errors import DataError
from nbllm.inspection import memorization_report
from nbllm.inspection.copies import repeats
from nbllm.inspection.finding import Finding
from nbllm.inspection.next_tokens import batches, check_goes_on, logits_of
from nbllm.models.evaluating import evaluating

FEWEST = 8  # stretches of either text
LONGEST = 2_000  # tokens that a copy is followed
_FOLLOWED = 4  # copies


def memorization(
    module: nn.Module,
    objective: Any,
    train: np.ndarray,
    held: np.ndarray,
    *,
    prefixes: int = 400,
    prefix_tokens: int | None = None,
    tokens: int | None = None,
    seed: int = 0,
    epochs: float = math.nan,
    whole: bool = True,
    about: str = "model",
    step: int | None = None,
) -> Finding:
    """How many stretches of the token arrays `train` and `held` are given back word for word.

    prefixes       stretches of either text, evenly spread over it
    prefix_tokens  tokens that the model reads first; half of its context where not given
    tokens         tokens that it is to give back: the rest of the context, at most 50, where not given
    whole          whether `train` is all of the training text, or its start

    Facts: share, held_share, leak (their difference) with low and high, p, longest, prefixes, prefix_tokens, tokens,
    near_duplicates, repeated, contaminated. Raises ModelError and DataError where it cannot be measured.
    """
    check_goes_on(module, objective, "Memorization")
    prefix_tokens, tokens = lengths(objective.task.context, prefix_tokens, tokens)
    size = prefix_tokens + tokens
    if prefixes < FEWEST:
        raise DataError(f"{prefixes} prefixes are too few to tell anything.", f"Take {FEWEST} or more: prefixes=400")
    rng = np.random.default_rng((20230501, seed))
    starts = [spread(len(part), size, prefixes, rng) for part in (train, held)]
    if min(map(len, starts)) < FEWEST:
        fits = max(1, min(len(train), len(held)) // FEWEST // 2)
        raise DataError(
            f"The text is too short for stretches of {size} tokens: {len(train):,} tokens to train on, {len(held):,} "
            "held out.",
            f"Take fewer, as in prefix_tokens={fits}, tokens={fits}, or hold out more.",
        )
    both_ways = prefix_tokens if objective.prefix else 0
    copied = [
        copied_tokens(module, stretches(part, where, size), prefix_tokens, both_ways)
        for part, where in zip((train, held), starts, strict=True)
    ]
    longest = _longest(module, objective, train, starts[0], copied[0], prefix_tokens, tokens)
    found = repeats(train, held, starts[0], size, objective.task.tokenizer)
    table = memorization_report.table(copied, tokens, longest)
    facts = memorization_report.facts(copied, tokens, found) | {
        "longest": longest, "prefixes": len(starts[0]), "prefix_tokens": prefix_tokens, "tokens": tokens,
        "epochs": epochs, "whole": whole,
    }  # fmt: skip
    more = {
        "By how often the stretch stands in the training text": memorization_report.by_times(
            copied[0], found.times, tokens
        )
    }
    examples = memorization_report.examples(objective, train, starts[0], copied[0], found, prefix_tokens, tokens)
    if len(examples):
        more["Stretches that were given back"] = examples
    return Finding(
        "memorization",
        "Memorization: what is given back word for word",
        about,
        memorization_report.says(facts, found),
        memorization_report.limits(facts),
        table,
        memorization_report.diagram(copied, tokens),
        facts,
        more,
        step,
    )


def lengths(context: int, prefix_tokens: int | None, tokens: int | None) -> tuple[int, int]:
    """Tokens of a prefix and behind it, filled in; DataError where they do not fit into the context."""
    prefix = prefix_tokens or min(50, max(1, context // 2))
    behind = tokens or min(50, max(1, context - prefix))
    if min(prefix, behind) < 1 or prefix + behind > context + 1:
        raise DataError(
            f"{prefix} tokens and {behind} behind them do not fit into a context of {context}.",
            f"Take fewer, as in prefix_tokens={context // 2}, tokens={context - context // 2}.",
        )
    return prefix, behind


def spread(length: int, size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Starts of at most `count` stretches of `size` tokens that do not overlap, one drawn in each equal part."""
    count = min(count, length // size)
    if count < 1:
        return np.zeros(0, dtype=np.int64)
    edges = np.linspace(0, length, count + 1).astype(np.int64)
    return edges[:-1] + (rng.random(count) * (np.diff(edges) - size + 1)).astype(np.int64)


def stretches(ids: np.ndarray, starts: np.ndarray, size: int) -> np.ndarray:
    """int64 (N, size): the tokens from each start on."""
    return ids[starts[:, None] + np.arange(size)].astype(np.int64)


def copied_tokens(
    module: nn.Module, rows_NT: np.ndarray, prefix: int, both_ways: int = 0, most: int = 1 << 30
) -> np.ndarray:
    """(N,) how many tokens behind the prefix the likeliest continuation gives back before it errs."""
    found = np.zeros(len(rows_NT), dtype=np.int64)
    with torch.inference_mode(), evaluating(module):
        for part, tokens_BT in batches(module, rows_NT, most):
            logits_BTV = logits_of(module, tokens_BT[:, :-1], both_ways)[:, prefix - 1 :]
            right_BK = logits_BTV.argmax(-1) == tokens_BT[:, prefix:]
            found[part] = right_BK.long().cumprod(1).sum(1).cpu().numpy()
    return found


def _longest(
    module: nn.Module, objective: Any, train: np.ndarray, starts: np.ndarray, copied: np.ndarray, prefix: int, most: int
) -> int:
    """The longest copy in tokens: a few that go on to the end of their stretch are followed further, each token from at
    least half a context before it."""
    longest = int(copied.max())
    if longest < most or objective.prefix:
        return longest
    context = objective.task.context
    for start in starts[copied == most][:_FOLLOWED]:
        at = int(start) + prefix + most
        while at - int(start) - prefix < LONGEST and at < len(train):
            back = min(at - int(start), max(1, context // 2))
            ahead = min(context + 1 - back, len(train) - at)
            more = int(copied_tokens(module, train[None, at - back : at + ahead].astype(np.int64), back)[0])
            at += more
            if more < ahead:
                break
        longest = max(longest, at - int(start) - prefix)
    return longest
