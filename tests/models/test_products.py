"""Products in bfloat16 against those in float32: numbers and gradients, to 1e-2 of their size; and when it is done."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nbllm.config import ModelConfig
from nbllm.models import products
from nbllm.models.blocks import MLP
from nbllm.models.mixers.attention import Attention
from nbllm.models.rope import Rope

WIDTH, TOKENS = 128, 64


def drawn(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        scale = WIDTH**-0.5 if parameter.ndim > 1 else 1.0
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale
    return module


def answers(module: Any, x_BTD: Tensor) -> dict[str, Tensor]:
    """What a part gives, and the gradient of all that it hangs on."""
    module.zero_grad()
    x_BTD = x_BTD.clone().requires_grad_()
    found = module(x_BTD)
    y = found[0] if isinstance(found, tuple) else found
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(2)))
    assert x_BTD.grad is not None
    return {"y": y.detach(), "x": x_BTD.grad, **{n: p.grad.clone() for n, p in module.named_parameters()}}


PARTS: dict[str, Any] = {
    "gated mlp": lambda: MLP(WIDTH, 352, "swiglu", bias=False),
    "mlp": lambda: MLP(WIDTH, 512, "relu2", bias=False),
    "attention": lambda: Attention(ModelConfig(), Rope(32, TOKENS, 10_000.0)),
    "shared keys": lambda: Attention(ModelConfig(kv_heads=2), Rope(32, TOKENS, 10_000.0)),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_the_same_to_a_hundredth_with_its_gradients(name: str) -> None:
    module = drawn(PARTS[name]())
    x_BTD = torch.randn(8, TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))
    exact = answers(module, x_BTD)
    with products.in_bf16():
        rounded = answers(module, x_BTD)
    assert rounded["y"].dtype == rounded["x"].dtype == torch.float32
    for part, expected in exact.items():
        off = float((rounded[part] - expected).norm() / expected.norm())
        assert 0 < off < 1e-2, f"{part}: {off:.4f}"


def test_one_product_and_its_gradients() -> None:
    x, weight = torch.randn(600, 64, requires_grad=True), torch.randn(96, 64, requires_grad=True)
    with products.in_bf16():
        y = products.through(layer := linear(weight), x)
    y.sum().backward()
    for found, exact in (
        (y.detach(), (x @ weight.T).detach()),
        (x.grad, weight.sum(0).expand(600, -1)),
        (layer.weight.grad, x.sum(0).expand(96, -1)),
    ):
        assert float((found - exact).detach().norm() / exact.detach().norm()) < 1e-2


def linear(weight_ED: Tensor, bias: bool = False) -> nn.Linear:
    layer = nn.Linear(weight_ED.shape[1], weight_ED.shape[0], bias=bias)
    layer.weight.data.copy_(weight_ED.detach())
    return layer


def test_only_large_products_of_a_training_step_are_rounded() -> None:
    x, small, weight = torch.randn(600, 64), torch.randn(3, 64), torch.randn(96, 64)
    assert not products.rounds(x, weight), "nobody has asked for it"
    heard: list[bool] = []
    with products.in_bf16():
        assert products.rounds(x, weight)
        assert not products.rounds(small, weight)
        assert not products.rounds(x.double(), weight.double())
        with torch.no_grad():
            assert not products.rounds(x, weight)
        thread = threading.Thread(target=lambda: heard.append(products.rounds(x, weight)))
        thread.start()
        thread.join()
    assert heard == [False], "a model that writes in another thread is as exact as ever"
    assert not products.rounds(x, weight)


def test_a_layer_with_a_bias_or_a_listener_goes_its_own_way() -> None:
    x, weight = torch.randn(600, 64), torch.randn(96, 64)
    with products.in_bf16():
        assert torch.equal(products.through(layer := linear(weight, bias=True), x), layer(x))
        watched = linear(weight)
        watched.register_forward_hook(lambda *_: None)
        assert torch.equal(products.through(watched, x), watched(x))
