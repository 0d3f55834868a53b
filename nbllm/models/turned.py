"""Queries and keys normalised and turned in one go, with a backward pass of its own: the plain way is a norm and a turn
for each of them, and on a CPU four times as many passes over the same numbers.

B batch, T tokens, N heads of queries and of keys together, K units of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def normed_and_turned(x_BTNK: Tensor, weight_NK: Tensor, cos_TK: Tensor, sin_TK: Tensor, eps: float) -> Tensor:
    """RMSNorm over K with a scale a head, then the rotary turn (see `norm`, `rope`; the first half of the sines is
    negative)."""
    found: Tensor = _NormedAndTurned.apply(x_BTNK, weight_NK, cos_TK, sin_TK, eps)
    return found


class _NormedAndTurned(torch.autograd.Function):
    """With r = 1 / rms(x), n = x r w and S the exchange of the halves: y = n cos + S(n) sin.

    The gradient of n is h = g cos + S(g sin); then dw = sum(h x r) and dx = r (u - x r mean(u x r)) with u = h w.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_NK: Tensor, cos_TK: Tensor, sin_TK: Tensor, eps: float) -> Tensor:
        scale = torch.rsqrt((x * x).mean(-1, keepdim=True).add_(eps))
        cos, sin = cos_TK.unsqueeze(1), sin_TK.unsqueeze(1)
        ctx.save_for_backward(x, weight_NK, cos, sin, scale)
        return torch.addcmul(x * (weight_NK * cos), _exchanged(x), _exchanged(weight_NK) * sin).mul_(scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, weight_NK, cos, sin, scale = ctx.saved_tensors
        half = x.shape[-1] // 2
        h, crossed = gradient * cos, gradient * sin
        h[..., :half] += crossed[..., half:]
        h[..., half:] += crossed[..., :half]
        unit = x * scale
        dweight = (h * unit).sum((0, 1))
        u = h.mul_(weight_NK)
        dx = torch.addcmul(u, unit, (u * unit).mean(-1, keepdim=True), value=-1).mul_(scale)
        return dx, dweight, None, None, None


def _exchanged(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((second, first), dim=-1)
