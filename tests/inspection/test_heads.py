"""What each head looks at, against loops that spell it out; and rollout, against a product written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nbllm.errors import ModelError
from nbllm.inspection.heads import heads, rollout
from nbllm.inspection.maps import AttentionMaps
from tests.plots.test_heads import causal

TOKENS = list("abcabdab")


def random_maps(kind: str, seed: int = 0) -> AttentionMaps:
    """One-way maps, two-way ones, a written text's, and a decoder's over its source."""
    weights = causal(2, 3, len(TOKENS), seed)
    both = np.random.default_rng(seed).random(weights.shape, dtype=np.float32)
    both /= both.sum(-1, keepdims=True)
    return {
        "one-way": AttentionMaps(weights, TOKENS),
        "two-way": AttentionMaps(both, TOKENS),
        "written": AttentionMaps(weights[:, :, 4:], [*TOKENS[5:], "z"], TOKENS, start=4, written=True),
        "cross": AttentionMaps(both[:, :, :3], ["x", "y", "a"], TOKENS, part="cross"),
    }[kind]


def by_hand(maps: AttentionMaps, layer: int, head: int) -> dict[str, float]:
    """Every score as its sentence says it."""
    weights = maps.weights[layer, head].astype(np.float64)
    tokens, two_way = maps.keys, bool(np.triu(maps.weights[0, 0], 1).any()) and not maps.start
    found: dict[str, list[float]] = {"previous": [], "first": [], "same": [], "induction": []}
    spread, far = [], []
    for q in range(len(maps.queries)):
        place = maps.start + q
        row = weights[q]
        spread.append(-sum(w * math.log2(w) for w in row if w > 0))
        far.append(sum(w * abs(place - k) for k, w in enumerate(row)))
        if maps.part == "cross":
            found["first"].append(row[0])
            continue
        if place > 0:
            found["previous"].append(row[place - 1])
            found["first"].append(row[0])
        same = [k for k in range(len(tokens)) if tokens[k] == tokens[place] and k != place and (two_way or k < place)]
        after = [k + 1 for k in range(len(tokens)) if tokens[k] == tokens[place] and k + 1 < place]
        if same:
            found["same"].append(sum(row[k] for k in same))
        if after:
            found["induction"].append(sum(row[k] for k in after))
    means = {name: float(np.mean(values)) if values else math.nan for name, values in found.items()}
    distance = math.nan if maps.part == "cross" else float(np.mean(far))
    return {**means, "entropy": float(np.mean(spread)), "distance": distance}


@pytest.mark.parametrize("kind", ["one-way", "two-way", "written", "cross"])
def test_scores_are_what_they_say(kind: str) -> None:
    maps = random_maps(kind)
    frame = heads(maps)
    assert len(frame) == 6
    for row in frame.to_dict("records"):
        for name, expected in by_hand(maps, row["layer"], row["head"]).items():
            assert row[name] == pytest.approx(expected, abs=1e-5, nan_ok=True), name
    equal = AttentionMaps(
        maps.weights, maps.tokens, maps.key_tokens, maps.part, [ord(t) for t in maps.keys], maps.start
    )
    np.testing.assert_array_equal(heads(equal).induction, frame.induction)


def test_heads_of_one_kind_are_called_by_it_and_stand_together() -> None:
    """Heads that look at one thing alone: the token before, the first, the same one, and what came after it."""
    places = np.arange(8)
    weights = np.zeros((1, 5, 8, 8), np.float32)
    targets = {0: np.maximum(places - 1, 0), 1: places * 0, 2: np.array([0, 1, 2, 0, 1, 5, 3, 4])}
    targets[3] = np.array([0, 1, 2, 1, 2, 5, 4, 5])
    for head, target in targets.items():
        weights[0, head, places, target] = 1
    weights[0, 4] = np.tri(8) / np.arange(1, 9)[:, None]
    frame = heads(AttentionMaps(weights, TOKENS))
    assert frame["kind"].tolist() == ["previous token", "first token", "same token", "induction", "mixed"]
    assert frame["head"].tolist() == [0, 1, 2, 3, 4]
    assert frame.score.tolist()[:4] == [1, 1, 1, 1]
    assert frame.entropy.tolist()[:4] == [0, 0, 0, 0]
    assert frame.entropy[4] == pytest.approx(np.mean(np.log2(np.arange(1, 9))), abs=1e-6)
    assert frame.distance[0] == 7 / 8
    strict = heads(AttentionMaps(weights, TOKENS), least=1.1)
    assert set(strict.kind) == {"mixed"}


def test_a_text_without_repetition_has_no_induction() -> None:
    frame = heads(AttentionMaps(causal(1, 2, 4), list("abcd")))
    assert frame.induction.isna().all()
    assert frame.same.isna().all()
    assert np.isnan(heads(AttentionMaps(np.ones((1, 1, 1, 1), np.float32), ["a"])).score[0])


def test_equal_labels_of_different_tokens_are_told_apart() -> None:
    maps = AttentionMaps(causal(1, 1, 4), ["⟨E4⟩", "b", "⟨E4⟩", "b"], key_ids=[7, 8, 9, 10])
    assert np.isnan(heads(maps).same[0])


def test_rollout_is_the_product_of_the_layers() -> None:
    maps = random_maps("two-way", 3)
    found = rollout(maps)
    assert found.weights.shape == (2, 1, 8, 8)
    assert (found.part, found.tokens) == ("rollout", TOKENS)
    expected = np.eye(8)
    for layer in range(2):
        mean = sum(maps.weights[layer, head].astype(np.float64) for head in range(3)) / 3
        step = np.zeros((8, 8))
        for q in range(8):
            for k in range(8):
                step[q, k] = 0.5 * mean[q, k] + (0.5 if q == k else 0)
        expected = np.array([[sum(step[q, j] * expected[j, k] for j in range(8)) for k in range(8)] for q in range(8)])
        np.testing.assert_allclose(found.weights[layer, 0], expected, atol=1e-6)
    np.testing.assert_allclose(found.weights.sum(-1), 1, atol=1e-6)
    alone = rollout(random_maps("one-way"), residual=0)
    np.testing.assert_allclose(alone.weights[0, 0], random_maps("one-way").weights[0].mean(0), atol=1e-6)
    assert not np.triu(alone.weights[1, 0], 1).any(), "nothing of what comes later"


@pytest.mark.parametrize("kind", ["written", "cross"])
def test_rollout_wants_a_text_over_itself(kind: str) -> None:
    with pytest.raises(ModelError, match="over itself"):
        rollout(random_maps(kind))
    with pytest.raises(ModelError, match="residual"):
        rollout(random_maps("two-way"), residual=1.5)
