"""FLOPs a token as training has them. That the products agree with torch's counter is tested in test_cost_flops."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from nbllm.config import ModelConfig, RunConfig, resolve
from nbllm.models import estimate, flops


def attention(context: int, **fields: Any) -> float:
    """Of the scores and weighted sums of two layers, forward, a token."""
    config = RunConfig(model={"layers": 2, "width": 64, "heads": 2, **fields}, train={"context": context})
    return flops.forward(config, 100)["attention"]


def test_a_masked_future_halves_attention_and_a_sliding_window_bounds_it() -> None:
    assert attention(128) == 4 * 64 * 2 * (128 + 1) / 2
    assert attention(4096, window=16) == pytest.approx(4 * 64 * 2 * 16, rel=0.01)
    assert attention(128, window=500) == attention(128)


def test_a_window_to_both_sides_counts_what_its_mask_allows() -> None:
    from nbllm.models import masks

    config = resolve([("test", {"model": "transformer", "objective": "mlm", "model.window": 5, "context": 20})])
    allowed = float(masks.window(20, 20, 5, both_ways=True).sum()) / 20
    units = config.model.heads * config.model.head_dim * config.model.layers
    assert flops.forward(config, 100)["attention"] == pytest.approx(4 * units * allowed)


def test_a_token_takes_six_operations_a_weight_beside_attention() -> None:
    """Kaplan et al. 2020: 6 N, of the weights that are multiplied."""
    for tied in (True, False):
        config = RunConfig(model=ModelConfig(layers=3, width=48, heads=4, tied=tied), train={"context": 32})
        count = estimate.parameters(config.model, 70)
        weights = count["mixers"] + count["mlps"] + 70 * 48
        parts = flops.forward(config, 70)
        assert flops.per_token(config, 0, 70) == pytest.approx(6 * weights + 3 * parts["attention"])


def test_hidden_tokens_alone_reach_the_head_of_an_encoder() -> None:
    some, more = (
        flops.forward(resolve([("test", {"model": "bert", "objective.mask_share": share})]), 100)["head"]
        for share in (0.1, 0.2)
    )
    assert more == pytest.approx(2 * some)


def test_of_two_stacks_a_token_takes_its_own() -> None:
    """A token of the source goes through the encoder, one of the target through the decoder."""
    both = resolve([("test", {"model": "seq2seq", "size": "tiny", "model.cross": "none"})])
    shape = estimate.Shape.of(both, 100)
    whole = flops.row(both, shape, 64, 64)
    assert flops.forward(both, 100)["mlps"] == pytest.approx(whole["mlps"] / 128)


def test_of_a_network_of_ones_own_the_parameters_are_all_that_is_known() -> None:
    assert flops.per_token(RunConfig(model={"kind": "mine"}), 1000, 50) == 6000
    assert flops.per_token(RunConfig(objective={"kind": "mine"}), 1000, 50) == 6000


def test_it_needs_no_torch() -> None:
    code = "import sys; import nbllm.models.flops; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
