"""The quick step for single tokens says what the plain one does, and steps aside where it does not know a part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.cheaper import quantized
from nbllm.models.language_model import LanguageModel
from nbllm.models.quick import Quick, quick
from nbllm.models.static import Static

VOCABULARY, CONTEXT, READ = 23, 24, 5
SHAPE = {"layers": 2, "width": 32, "heads": 4}
CHOICES: dict[str, dict[str, Any]] = {
    "qwen3": {},
    "grouped, with a window": {"kv_heads": 2, "window": 7, "head_width": 6},
    "llama, untied, with biases": {"qk_norm": False, "tied": False, "bias": True},
    "gpt2": {"positions": "learned", "norm": "layer", "qk_norm": False, "bias": True, "activation": "gelu_tanh"},
    "sinusoids": {"positions": "sinusoidal", "embedding_scale": True, "embedding_norm": True, "first_norm": False},
    "attention alone": {"mlp": False, "positions": "none"},
}


def model(**choice: Any) -> LanguageModel:
    torch.manual_seed(0)
    module = LanguageModel(ModelConfig(**SHAPE, **choice), VOCABULARY, CONTEXT).eval()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * parameter.shape[-1] ** -0.5
    return module


def made(module: nn.Module, rows: int) -> Quick:
    found = quick(module, rows)
    assert isinstance(found, Quick)
    return found


def both_ways(module: LanguageModel, other: Any, rows: int, plain: LanguageModel | None = None) -> tuple[Any, Any]:
    """The logits of every single token after a few, by the plain step and by the other: (T, B, V) each."""
    torch.manual_seed(1)
    tokens_BT = torch.randint(VOCABULARY, (rows, CONTEXT))
    found: list[list[torch.Tensor]] = [[], []]
    with torch.inference_mode():
        for answers, reader, step in zip(
            found, (plain or module, module), ((plain or module).step, other), strict=True
        ):
            _, state = reader.step(tokens_BT[:, :READ], reader.init_state(rows, CONTEXT))
            for place in range(READ, CONTEXT):
                logits_BV, state = step(tokens_BT[:, place : place + 1], state)
                answers.append(logits_BV)
    return torch.stack(found[0]), torch.stack(found[1])


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_agrees_with_the_plain_step(
    choice: dict[str, Any], joined: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbllm.models.quick.JOINED", 10**9 if joined else 0)
    module = model(**choice)
    plain, found = both_ways(module, made(module, rows).step, rows)
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-5)
    whole = module.double()
    exact, found = both_ways(whole, made(whole, rows).step, rows)
    torch.testing.assert_close(found, exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 3])
def test_half_the_digits_are_within_a_hundredth(rows: int) -> None:
    module, half = model(), model().bfloat16()
    plain, found = both_ways(half, made(half, rows).step, rows, plain=module)
    assert found.dtype == torch.bfloat16
    assert (found.float() - plain).norm() < 1e-2 * plain.norm()


@pytest.mark.parametrize("rows", [1, 3])
def test_whole_numbers_are_multiplied_as_by_the_plain_step(rows: int) -> None:
    """What is rounded to eight bits on the way may be rounded the other way by one step of float32."""
    module = quantized(model(bias=True))
    plain, found = both_ways(module, made(module, rows).step, rows)
    assert (found - plain).norm() < 1e-2 * plain.norm()


def test_either_step_goes_on_from_the_other() -> None:
    module = model()
    other = made(module, 2)
    torch.manual_seed(1)
    tokens_BT = torch.randint(VOCABULARY, (2, 12))
    with torch.inference_mode():
        _, state = module.step(tokens_BT[:, :3], module.init_state(2, CONTEXT))
        _, state = other.step(tokens_BT[:, 3:4], state)
        _, state = module.step(tokens_BT[:, 4:8], state)
        state = module.select(state, torch.tensor([1, 0]))
        _, state = other.step(tokens_BT[[1, 0], 8:9], state)
        logits_BV, state = other.step(tokens_BT[[1, 0], 9:10], state)
        expected_BV = module(tokens_BT[[1, 0], :10])[:, -1]
    assert state.read == 10
    torch.testing.assert_close(logits_BV, expected_BV, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_the_step_of_a_gpu_agrees_where_nothing_is_recorded(choice: dict[str, Any]) -> None:
    module = model(**choice)
    plain, found = both_ways(module, Static(module, 2).step, 2)
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-5)


class Doubled(nn.Linear):
    """A layer that is not quite a linear one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def test_steps_aside_for_what_it_does_not_know() -> None:
    choices: tuple[dict[str, Any], ...] = ({"kind": "lstm"}, {"norm_place": "after"}, {"kind": "hybrid"})
    for choice in choices:
        module = LanguageModel(ModelConfig(layers=2, width=32, **choice), VOCABULARY, CONTEXT).eval()
        assert quick(module, 1) is None, choice
    module = model()
    assert quick(module, 1) is not None
    assert quick(module.train(), 1) is None
    module.eval().stack.blocks[0].gain = nn.Parameter(torch.ones(1))
    assert quick(module, 1) is None
    module = model()
    module.stack.blocks[1].mixer.value = Doubled(32, 32)  # type: ignore[union-attr]
    assert quick(module, 1) is None
    module = model()
    handle = module.stack.blocks[0].register_forward_hook(lambda *_: None)
    assert quick(module, 1) is None
    handle.remove()
    assert quick(module, 1) is not None
