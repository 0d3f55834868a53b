"""Rounded and pruned copies: how far off they are, what they weigh, and that the original stays."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.errors import ModelError
from nbllm.models.cheaper import is_rounded, pruned, quantized, size
from nbllm.models.encoder_decoder import EncoderDecoder
from nbllm.models.int8 import Int8Linear, rounded
from nbllm.models.language_model import LanguageModel

VOCABULARY, CONTEXT = 40, 16


def model(**choice: object) -> LanguageModel:
    torch.manual_seed(0)
    module = LanguageModel(ModelConfig(layers=2, width=64, heads=4, **choice), VOCABULARY, CONTEXT).eval()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * parameter.shape[-1] ** -0.5
    return module.requires_grad_(False)


def test_rounding_is_off_by_half_a_step_at_most() -> None:
    weight_ED = torch.randn(5, 32)
    weight_ED[2] = 0
    int8_ED, scale_E = rounded(weight_ED)
    assert int8_ED.abs().max() == 127
    assert ((int8_ED * scale_E[:, None] - weight_ED).abs() <= scale_E[:, None] * 0.501).all()


@pytest.mark.parametrize("choice", [{}, {"tied": False, "bias": True}, {"kind": "lstm"}])
def test_a_rounded_model_is_close_and_small(choice: dict[str, object]) -> None:
    module = model(**choice)
    before = copy.deepcopy(module.state_dict())
    found = quantized(module)
    tokens_BT = torch.randint(VOCABULARY, (2, CONTEXT))
    with torch.inference_mode():
        logits, close = module(tokens_BT), found(tokens_BT)
    assert (close - logits).norm() < 0.03 * logits.norm()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert is_rounded(found)
    assert not is_rounded(module)
    if choice.get("kind") != "lstm":
        assert size(found) < 0.35 * size(module)
        table = found.stack.embedding.int8.data_ptr()
        assert (found.head.linear.int8.data_ptr() == table) == (choice.get("tied", True) is True)


def test_an_encoder_decoder_is_rounded_in_both_stacks() -> None:
    torch.manual_seed(0)
    module = EncoderDecoder(ModelConfig(kind="seq2seq", layers=1, width=32), VOCABULARY, CONTEXT).eval()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2
    found = quantized(module)
    source, target = torch.randint(VOCABULARY, (2, 7)), torch.randint(VOCABULARY, (2, 5))
    with torch.inference_mode():
        logits, close = module(source, target), found(source, target)
    assert (close - logits).norm() < 0.05 * logits.norm()
    assert not any(type(part) is nn.Linear for part in found.modules())
    assert sum(isinstance(part, Int8Linear) for part in found.modules()) > 10


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_smallest_weights_of_the_blocks_are_left_out(share: float) -> None:
    module = model()
    found = pruned(module, share)
    names = [name for name, part in module.named_modules() if isinstance(part, nn.Linear) and "blocks" in name]
    before = torch.cat([module.get_parameter(f"{name}.weight").flatten() for name in names])
    after = torch.cat([found.get_parameter(f"{name}.weight").flatten() for name in names])
    gone = after == 0
    assert gone.float().mean() == pytest.approx(share, abs=1e-3)
    assert torch.equal(before[~gone], after[~gone])
    if share:
        assert before[gone].abs().max() <= before[~gone].abs().min()
    assert set(found.state_dict()) == set(module.state_dict())
    assert torch.equal(found.stack.embedding.weight, module.stack.embedding.weight)


def test_what_cannot_be_made_cheaper_says_so() -> None:
    with pytest.raises(ModelError, match="share of 1"):
        pruned(model(), 1)
    with pytest.raises(ModelError, match="no linear layer"):
        pruned(model(kind="lstm"), 0.5)
    with pytest.raises(ModelError, match="no linear layer"):
        quantized(nn.Sequential(nn.Conv1d(2, 2, 1)))
