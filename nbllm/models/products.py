"""Matrix products of a training step on a CPU in bfloat16, where the CPU multiplies it in hardware (AMX, AVX-512 BF16).

What goes into a product is rounded to 8 bits of mantissa, its sums are float32, and everything between the blocks
(the residual stream, norms, softmax, loss) stays float32. Forward and backward pass of a step of the mini Transformer
then take about two thirds of the time; torch's autocast, which casts around every single operation, is slower than
none at such sizes.

N rows, D inputs, E outputs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LEAST = 1 << 20
"""Multiplications from which a product is worth the rounding."""

_here = threading.local()


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware."""
    return any(
        bool(getattr(torch.cpu, name, lambda: False)())
        for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )


@contextmanager
def in_bf16() -> Iterator[None]:
    """While open, this thread's training steps on a CPU multiply in bfloat16."""
    before = getattr(_here, "on", False)
    _here.on = True
    try:
        yield
    finally:
        _here.on = before


def rounds(x: Tensor, weight_ED: Tensor) -> bool:
    """Whether the product of the two is to be in bfloat16: one that is trained, and large enough."""
    return (
        getattr(_here, "on", False)
        and torch.is_grad_enabled()
        and x.device.type == "cpu"
        and weight_ED.dtype == torch.float32
        and x.numel() * len(weight_ED) >= LEAST
        and not torch.compiler.is_compiling()
    )


def product(x: Tensor, weight_ED: Tensor, wide: bool = True) -> Tensor:
    """x (..., D) W^T -> (..., E) in bfloat16, given back as float32 where `wide`, else as it is."""
    found: Tensor = _Product.apply(x, weight_ED, wide)
    return found


def through(layer: nn.Module, x: Tensor) -> Tensor:
    """What the layer gives, by a product in bfloat16 where that is to be."""
    if untouched(layer) and rounds(x, layer.weight):  # type: ignore[arg-type]
        return product(x, layer.weight)  # type: ignore[arg-type]
    found: Tensor = layer(x)
    return found


def untouched(layer: nn.Module | None) -> bool:
    """Whether a layer is torch's own, has no bias, and nobody listens to it: its matrix is then all that there is."""
    return type(layer) is nn.Linear and layer.bias is None and not heard(layer)


def heard(part: nn.Module) -> bool:
    """Whether somebody listens to what goes into a part or comes out of it."""
    return bool(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks)


class _Product(torch.autograd.Function):
    """y = x W^T; dx = g W and dW = g^T x, each of bfloat16 factors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_ED: Tensor, wide: bool) -> Tensor:
        x_ND, narrow_ED = x.reshape(-1, x.shape[-1]).to(torch.bfloat16), weight_ED.to(torch.bfloat16)
        ctx.save_for_backward(x_ND, narrow_ED)
        ctx.shape, ctx.dtype = x.shape, x.dtype
        y_NE = x_ND @ narrow_ED.mT
        return (y_NE.float() if wide else y_NE).view(*x.shape[:-1], len(weight_ED))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x_ND, narrow_ED = ctx.saved_tensors
        g_NE = gradient.reshape(-1, gradient.shape[-1]).to(torch.bfloat16)
        return (g_NE @ narrow_ED).to(ctx.dtype).view(ctx.shape), (g_NE.mT @ x_ND).float(), None
