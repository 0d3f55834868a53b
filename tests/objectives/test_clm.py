"""Next tokens, plain and behind a prefix.

B examples, T tokens, N answers that count, V vocabulary.
"""

from __future__ import annotations

import math

import pytest

from nbllm.objectives.base import IGNORED
from nbllm.objectives.evaluate import evaluate
from tests.contract.cases import batch, made


def test_the_prefix_is_seen_both_ways_and_only_what_is_behind_it_counts() -> None:
    found = made("prefix-lm transformer")
    each = batch(found, rows=64)
    length = each["tokens"].shape[1]
    assert each["prefix"].min() >= 1
    assert each["prefix"].max() <= length // 2
    assert len(each["prefix"].unique()) > 4
    for row in range(64):
        counts = (each["targets"][row] != IGNORED).tolist()
        n = int(each["prefix"][row])
        assert counts == [False] * (n - 1) + [True] * (length - n + 1), "its last token answers for the first behind it"
    assert found.objective.weight(each) == int((each["targets"] != IGNORED).sum())


def test_bits_per_byte_and_perplexity_follow_from_the_loss() -> None:
    found = made("clm lstm")
    loss, told = evaluate(found.objective, found.module, [batch(found)], tokens_per_byte=0.5)
    assert told["bits_per_byte"] == pytest.approx(loss / math.log(2) * 0.5)
    assert told["perplexity"] == pytest.approx(math.exp(loss))
