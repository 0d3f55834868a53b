"""The quick way of training on a CPU against the plain one: numbers and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nbllm.config import ModelConfig
from nbllm.models.mixers.attention import Attention
from nbllm.models.rope import Rope

CHOICES: dict[str, dict[str, Any]] = {
    "as many keys": {"width": 32, "heads": 4},
    "shared keys": {"width": 32, "heads": 4, "kv_heads": 2, "head_width": 6},
    "window": {"width": 24, "heads": 2, "window": 3},
}


def attention(fields: dict[str, Any], dtype: torch.dtype) -> Attention:
    config = ModelConfig(**fields)
    mixer = Attention(config, Rope(config.head_dim, 16, config.rope_base)).to(dtype)
    generator = torch.Generator().manual_seed(0)
    for parameter in mixer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=dtype) * 0.3 + 0.1
    return mixer


def answers(mixer: Attention, x_BTD: Tensor) -> dict[str, Tensor]:
    """What attention gives, and the gradient of everything that it hangs on."""
    x_BTD = x_BTD.clone().requires_grad_()
    mixer.zero_grad()
    y_BTD, _ = mixer(x_BTD)
    (y_BTD * torch.linspace(-1, 1, y_BTD.numel(), dtype=y_BTD.dtype).view_as(y_BTD)).sum().backward()
    assert x_BTD.grad is not None
    gradients = {name: p.grad.clone() for name, p in mixer.named_parameters() if p.grad is not None}
    assert len(gradients) == len(list(mixer.parameters()))
    return {"y": y_BTD.detach(), "x": x_BTD.grad, **gradients}


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("choice", CHOICES)
def test_all_in_one_product_gives_the_numbers_of_the_parts(
    choice: str, dtype: torch.dtype, near: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixer = attention(CHOICES[choice], dtype)
    x_BTD = torch.randn(3, 9, mixer.query.in_features, generator=torch.Generator().manual_seed(1), dtype=dtype)
    taken: list[int] = []
    together = Attention._project_together
    monkeypatch.setattr(Attention, "_project_together", lambda *a: taken.append(1) or together(*a))
    quick = answers(mixer, x_BTD)
    assert taken
    hook = mixer.value.register_forward_hook(lambda *_: None)  # somebody listens: the plain way
    plain = answers(mixer, x_BTD)
    hook.remove()
    assert len(taken) == 1
    for name, expected in plain.items():
        size = expected.abs().max()
        torch.testing.assert_close(
            quick[name] / size, expected / size, rtol=0, atol=near, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_what_stands_in_place_of_a_part_is_called() -> None:
    mixer = attention(CHOICES["as many keys"], torch.float32)
    x_BTD = torch.randn(2, 5, 32)
    before = mixer(x_BTD)[0]

    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * inner(x)

    inner = mixer.value
    mixer.value = Twice()  # type: ignore[assignment]
    torch.testing.assert_close(mixer(x_BTD)[0], 2 * before)
