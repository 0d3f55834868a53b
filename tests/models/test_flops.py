"""The estimate of arithmetic against torch's own counter of the products that a step makes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nbllm.config import RunConfig
from nbllm.models import flops
from nbllm.models.factory import Sizes, build

VOCABULARY, CONTEXT, BATCH = 500, 128, 2


@pytest.mark.parametrize(
    "fields",
    [
        {"layers": 3, "width": 96, "heads": 4, "bidirectional": True},
        {"layers": 2, "width": 64, "heads": 2, "tied": False, "bidirectional": True},
        {"kind": "gru", "layers": 2, "width": 96},
        {"kind": "cnn", "layers": 2, "width": 96, "tied": False},
    ],
)
def test_the_estimate_is_near_what_a_step_computes(fields: dict[str, Any]) -> None:
    """Attention both ways and by plain products, for the counter knows no fused kernel and no half of a window."""
    masked = fields.get("bidirectional", False)
    config = RunConfig(model=fields, objective={"kind": "mlm"} if masked else {}, train={"context": CONTEXT})
    module = build(config.model, Sizes(VOCABULARY, CONTEXT), "masked" if masked else "next")
    parameters = sum(p.numel() for p in module.parameters())
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        answer = module(torch.randint(0, VOCABULARY, (BATCH, CONTEXT)))
        (answer if isinstance(answer, torch.Tensor) else answer[0]).sum().backward()
    counted = counter.get_total_flops() / (BATCH * CONTEXT)
    assert flops.per_token(config, parameters, VOCABULARY) == pytest.approx(counted, rel=0.05)


def test_a_masked_future_halves_attention_and_a_sliding_window_bounds_it() -> None:
    def attention(context: int, **fields: Any) -> float:
        config = RunConfig(model={"layers": 2, "width": 64, "heads": 2, **fields}, train={"context": context})
        return flops.per_token(config, 0, 0)

    assert attention(128) == 12 * 64 * 2 * (128 + 1) / 2
    assert attention(4096, window=16) == pytest.approx(12 * 64 * 2 * 16, rel=0.01)
    assert attention(128, window=500) == attention(128)


def test_a_lookup_costs_nothing_and_a_tied_table_is_the_head() -> None:
    tied, untied = (RunConfig(model={"kind": "lstm", "width": 32, "tied": tied}) for tied in (True, False))
    assert flops.per_token(tied, 10_000, 100) == 6 * 10_000
    assert flops.per_token(untied, 10_000 + 3_200, 100) == 6 * 10_000


def test_of_a_network_of_ones_own_the_parameters_are_all_that_is_known() -> None:
    assert flops.per_token(RunConfig(model={"kind": "mine"}), 1000, 50) == 6000


def test_it_needs_no_torch() -> None:
    code = "import sys; import nbllm.models.flops; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
