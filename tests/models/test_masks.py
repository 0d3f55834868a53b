"""Masks against loops over every query and key, and the softmax and the kernels that keep to them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nbllm.config import ModelConfig
from nbllm.models import masks
from nbllm.models.mixers.attention import Attention
from nbllm.models.mixers.base import Memory
from nbllm.models.mixers.cross import CrossAttention
from nbllm.models.rope import Rope
from tests.contract.cases import randomised

SIZES = [(1, 1), (5, 5), (2, 6), (1, 7)]


def by_loop(queries: int, keys: int, allowed: Any) -> list[list[bool]]:
    """What a query at its place among the keys may see: the queries are the last of the keys."""
    return [[allowed(keys - queries + query, key) for key in range(keys)] for query in range(queries)]


@pytest.mark.parametrize(("queries", "keys"), SIZES)
def test_causal(queries: int, keys: int) -> None:
    assert masks.causal(queries, keys).tolist() == by_loop(queries, keys, lambda at, key: key <= at)


@pytest.mark.parametrize(("queries", "keys"), SIZES)
@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_window(queries: int, keys: int, size: int) -> None:
    assert masks.window(queries, keys, size).tolist() == by_loop(queries, keys, lambda at, key: at - key < size)
    both = masks.window(queries, keys, size, both_ways=True)
    assert both.tolist() == by_loop(queries, keys, lambda at, key: abs(at - key) < size)


def test_prefix() -> None:
    lengths = [0, 1, 3, 6]
    found = masks.prefix(torch.tensor(lengths), 6)
    assert found.shape == (4, 1, 6, 6)
    for row, length in enumerate(lengths):
        assert found[row, 0].tolist() == by_loop(6, 6, lambda at, key, n=length: key <= at or key < n)


def test_padding_and_cross() -> None:
    real = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    assert masks.padding(real)[:, 0, 0].tolist() == real.tolist()
    found = masks.cross(real, 4)
    assert found is not None
    assert found.shape == (3, 1, 4, 3)
    assert all(found[row, 0, query].tolist() == real[row].tolist() for row in range(3) for query in range(4))
    assert masks.cross(None, 4) is None


def scores(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_masked_softmax_against_a_loop(dtype: torch.dtype) -> None:
    mask = torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(1)) > 0.5
    mask[1, 0, 2] = False
    given = scores(2, 3, 4, 5, dtype=dtype)
    found = masks.masked_softmax(given, mask)
    assert found.dtype == dtype
    for batch in range(2):
        for head in range(3):
            for query in range(4):
                allowed = mask[batch, 0, query]
                expected = torch.zeros(5, dtype=torch.float64)
                expected[allowed] = given[batch, head, query, allowed].double().softmax(-1)
                tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-6
                torch.testing.assert_close(found[batch, head, query].double(), expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(masks.masked_softmax(given), given.softmax(-1), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("large", [0.0, 1e4, -1e4])
def test_a_row_that_sees_nothing_is_zeros_and_has_a_gradient_of_zeros(large: float) -> None:
    given = (scores(3, 4, dtype=torch.float32) + large).requires_grad_()
    mask = torch.tensor([[True, False, True, True], [False] * 4, [True] * 4])
    found = masks.masked_softmax(given, mask)
    assert found[1].tolist() == [0.0] * 4
    torch.testing.assert_close(found.sum(-1), torch.tensor([1.0, 0.0, 1.0]))
    found.square().sum().backward()
    assert given.grad is not None
    assert given.grad[1].tolist() == [0.0] * 4
    assert torch.isfinite(given.grad).all()


def attention(causal: bool, **fields: Any) -> Attention:
    config = ModelConfig(width=16, heads=4, **fields)
    return randomised(Attention(config, Rope(4, 8, 1e4), causal).double())  # type: ignore[return-value]


REAL = torch.tensor([[True] * 5, [True, True, True, False, False], [False] * 5])


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("fields", [{}, {"kv_heads": 2}, {"window": 2}, {"qk_norm": False}])
def test_attention_over_padded_rows_equals_its_own_weights(causal: bool, fields: dict[str, Any]) -> None:
    """The fused kernel against softmax(q k / sqrt(K)) v by `masked_softmax`, and against a loop; a row of nothing but
    filling gives zeros, and nothing is NaN, forward or backward."""
    mixer = attention(causal, **fields)
    x_BTD = scores(3, 5, 16).requires_grad_()
    y_BTD, _ = mixer(x_BTD, real_BT=REAL)
    q_BHTK, k_BJTK, v_BJTK = mixer.project(x_BTD, 0)
    weights_BHTS = mixer.weights(q_BHTK, k_BJTK, REAL)
    v_BHTK = v_BJTK.repeat_interleave(4 // mixer.key_heads, dim=1)
    torch.testing.assert_close(y_BTD, mixer.out((weights_BHTS @ v_BHTK).transpose(1, 2).flatten(2)), rtol=0, atol=1e-10)
    window = fields.get("window", 99)
    for row in range(3):
        for query in range(5):
            for key in range(5):
                near = abs(query - key) < window
                seen = bool(REAL[row, key]) and near and (key <= query or not causal)
                assert bool((weights_BHTS[row, :, query, key] > 0).all()) == seen
    assert weights_BHTS[2].abs().sum() == 0
    assert (y_BTD[2] == 0).all(), "there is no bias, so nothing comes of nothing"
    y_BTD.square().sum().backward()
    assert x_BTD.grad is not None
    assert torch.isfinite(x_BTD.grad).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in mixer.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_no_kernel_gives_nan_for_a_query_that_sees_nothing(dtype: torch.dtype) -> None:
    """A mask can leave a query with no key at all: the first places of a row that is filled up at its beginning."""
    mixer = attention(True).to(dtype)
    mask = masks.causal(5, 5) & torch.tensor([False, False, True, True, True])
    y_BTD, _ = mixer(scores(1, 5, 16, dtype=dtype), mask=mask)
    assert torch.isfinite(y_BTD).all()
    assert (y_BTD[:, :2] == 0).all()
    assert (y_BTD[:, 2:] != 0).any()


@pytest.mark.parametrize("cross", ["dot", "additive"])
def test_cross_attention_over_padded_sources(cross: str) -> None:
    config = ModelConfig(kind="seq2seq", width=16, heads=4, cross=cross)
    mixer: Any = randomised(CrossAttention(config).double())
    memory_BSD = scores(3, 5, 16).requires_grad_()
    x_BTD = scores(3, 2, 16) * 0.5
    y_BTD, _ = mixer(x_BTD, memory=Memory(memory_BSD, REAL))
    weights_BHTS = mixer.weights(x_BTD, Memory(memory_BSD, REAL))
    torch.testing.assert_close(weights_BHTS.sum(-1)[:2], torch.ones(2, 4, 2, dtype=torch.float64))
    for row in range(3):
        assert ((weights_BHTS[row] > 0) == REAL[row]).all()
    v_BHSK = mixer.remember(Memory(memory_BSD, REAL)).values
    expected = mixer.out((weights_BHTS @ v_BHSK).transpose(1, 2).flatten(2))
    torch.testing.assert_close(y_BTD, expected, rtol=0, atol=1e-10)
    assert (y_BTD[2] == 0).all()
    alone, _ = mixer(x_BTD[1:2], memory=Memory(memory_BSD[1:2, :3]))
    torch.testing.assert_close(alone, y_BTD[1:2], rtol=0, atol=1e-10)
    y_BTD.square().sum().backward()
    assert memory_BSD.grad is not None
    assert torch.isfinite(memory_BSD.grad).all()
    assert (memory_BSD.grad[~REAL] == 0).all()
