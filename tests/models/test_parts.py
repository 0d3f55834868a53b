"""Masks, norm, the masked path of attention, and building by name."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import nbllm.models
from nbllm.config import ModelConfig
from nbllm.errors import ModelError
from nbllm.models.factory import Sizes
from nbllm.models.language_model import LanguageModel
from nbllm.models.masks import causal, masked_softmax
from nbllm.models.mixers.attention import Attention
from nbllm.models.norm import RMSNorm
from nbllm.models.rope import Rope
from nbllm.registry import MODELS


def test_causal_mask_aligns_the_last_query_with_the_last_key() -> None:
    assert causal(2, 4).tolist() == [[True, True, True, False], [True, True, True, True]]


def test_masked_softmax_equals_softmax_over_the_allowed() -> None:
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)
    weights = masked_softmax(scores, mask)
    torch.testing.assert_close(weights[0], scores[0].softmax(-1))
    torch.testing.assert_close(weights[1, [1, 3]], scores[1, [1, 3]].softmax(-1))
    assert weights[1, [0, 2, 4]].tolist() == [0, 0, 0]
    assert weights[2].tolist() == [0] * 5


def test_masked_softmax_of_a_dead_row_has_no_nan_gradient() -> None:
    scores = torch.randn(2, 3, requires_grad=True)
    masked_softmax(scores, torch.tensor([[True, False, True], [False, False, False]])).square().sum().backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_norm_and_its_own_backward_equal_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    norm = RMSNorm(16).double()
    norm.weight.data = torch.randn(16, generator=generator, dtype=torch.float64)
    x = torch.randn(4, 5, 16, generator=generator, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(4, 5, 16, generator=generator, dtype=torch.float64)
    expected = F.rms_norm(x, (16,), norm.weight, 1e-6)
    torch.testing.assert_close(norm(x), expected)
    wanted = torch.autograd.grad(expected, (x, norm.weight), gradient)
    for found, want in zip(torch.autograd.grad(norm(x), (x, norm.weight), gradient), wanted, strict=True):
        torch.testing.assert_close(found, want, rtol=0, atol=1e-10)


def test_attention_masks_padding_and_gives_zeros_to_dead_rows() -> None:
    torch.manual_seed(0)
    config = ModelConfig(width=16, heads=4, kv_heads=2)
    mixer = Attention(config, Rope(4, 8, 10_000.0)).double()
    for parameter in mixer.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(1, 6, 16, dtype=torch.float64)
    fused, _ = mixer(x)
    past = causal(6, 6).expand(1, 1, 6, 6)  # a mask takes the place of the causal one
    torch.testing.assert_close(mixer(x, mask=past)[0], fused, rtol=0, atol=1e-10)
    padding = past.clone()
    padding[..., :2] = False  # the first two tokens are padding
    masked, _ = mixer(x, mask=padding)
    assert (masked[:, :2] == 0).all()
    torch.testing.assert_close(masked[:, 2:], mixer(x[:, 2:])[0], rtol=0, atol=1e-10)  # rotary places are relative


def test_build_makes_the_built_in_kinds() -> None:
    for kind in ("transformer", "lstm"):
        assert isinstance(nbllm.models.build(ModelConfig(kind=kind, layers=1), Sizes(10, 8)), LanguageModel)


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODELS, "_found", {})


@pytest.mark.usefixtures("forget")
def test_build_makes_a_registered_class() -> None:
    @nbllm.models.register("mine")
    class Mine(nn.Module):
        def __init__(self, config: ModelConfig, vocab_size: int, context: int):
            super().__init__()
            self.table = nn.Embedding(vocab_size, vocab_size)
            self.setting = config.options["setting"]

        def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
            return self.table(tokens_BT)

    module = nbllm.models.build(ModelConfig(kind="mine", options={"setting": 5}), Sizes(10, 8))
    assert isinstance(module, Mine)
    assert module.setting == 5
    assert module.training


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: nn.Embedding(10, 10), "takes 0 positional|too many positional"),
        (lambda config, vocab_size, context: 5, "not a torch.nn.Module"),
        (lambda config, vocab_size, context: nn.Embedding(vocab_size, 7), r"answers \(1, 8, 7\)"),
        (lambda config, vocab_size, context: nn.LSTM(3, 3) and nn.Identity(), r"answers \(1, 8\)"),
    ],
)
def test_build_tells_what_is_wrong_with_a_registered_class(made: object, message: str) -> None:
    nbllm.models.register("odd")(made)
    with pytest.raises(ModelError, match=message):
        nbllm.models.build(ModelConfig(kind="odd"), Sizes(10, 8))
