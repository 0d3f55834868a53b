"""Filters and draws against brute force."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from nbllm.errors import ModelError
from nbllm.generation.sampling import Sampler, keep_min_p, keep_top_k, keep_top_p, penalise_repetition

LOGITS = torch.randn(4, 11, generator=torch.Generator().manual_seed(0)) * 2


def kept(logits_BV: torch.Tensor) -> list[set[int]]:
    return [{i for i, value in enumerate(row) if value > -math.inf} for row in logits_BV.tolist()]


def ranked(row: list[float]) -> list[int]:
    return sorted(range(len(row)), key=lambda i: -row[i])


@pytest.mark.parametrize("k", [1, 3, 11, 50])
def test_top_k(k: int) -> None:
    assert kept(keep_top_k(LOGITS, k)) == [set(ranked(row)[:k]) for row in LOGITS.tolist()]


@pytest.mark.parametrize("p", [1e-9, 0.3, 0.75, 0.95])
def test_top_p_keeps_the_smallest_set_that_holds_the_share(p: float) -> None:
    for found, row in zip(kept(keep_top_p(LOGITS, p)), LOGITS.double().softmax(-1).tolist(), strict=True):
        expected: set[int] = set()
        for token in ranked(row):
            expected.add(token)
            if sum(row[t] for t in expected) >= p:
                break
        assert found == expected


@pytest.mark.parametrize("p", [0.0, 0.05, 0.4, 1.0])
def test_min_p(p: float) -> None:
    for found, row in zip(kept(keep_min_p(LOGITS, p)), LOGITS.double().softmax(-1).tolist(), strict=True):
        assert found == {i for i, share in enumerate(row) if share >= p * max(row)}


def test_repetition_penalty() -> None:
    logits = torch.tensor([[2.0, -2.0, 3.0]])
    seen = torch.tensor([[True, True, False]])
    torch.testing.assert_close(penalise_repetition(logits, seen, 2.0), torch.tensor([[1.0, -4.0, 3.0]]))


def test_temperature_zero_takes_the_likeliest() -> None:
    assert Sampler(temperature=0).draw(LOGITS).tolist() == LOGITS.argmax(-1).tolist()
    assert Sampler(temperature=1e-30).draw(LOGITS).tolist() == LOGITS.argmax(-1).tolist()


def test_draws_are_those_of_torchs_multinomial() -> None:
    """The same seed writes the same text, whichever of the two draws."""
    for seed in range(20):
        theirs = torch.multinomial(LOGITS.softmax(-1), 1, generator=torch.Generator().manual_seed(seed))
        ours = Sampler(temperature=1).draw(LOGITS, generator=torch.Generator().manual_seed(seed))
        assert ours.tolist() == theirs[:, 0].tolist()


def test_draws_follow_the_distribution() -> None:
    sampler = Sampler(temperature=0.7, top_k=6, top_p=0.9, min_p=0.02)
    draws = sampler.draw(LOGITS[:1].expand(20_000, -1), generator=torch.Generator().manual_seed(1))
    expected = keep_min_p(keep_top_p(keep_top_k(LOGITS[:1] / 0.7, 6), 0.9), 0.02).softmax(-1)[0]
    shares = torch.bincount(draws, minlength=11) / len(draws)
    assert (shares - expected).abs().max() < 0.015
    assert (shares[expected == 0] == 0).all()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", -1), ("top_k", 0), ("top_p", 0), ("top_p", 1.5), ("min_p", -0.1), ("min_p", 2),
        ("repetition_penalty", 0), ("temperature", math.nan), ("top_p", math.nan),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_one_line(setting: str, value: Any) -> None:
    with pytest.raises(ModelError, match=f"^{setting} is .*Give") as caught:
        Sampler(**{setting: value})
    assert "\n" not in str(caught.value)
