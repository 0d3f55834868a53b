"""Normalisation over the last axis D.

rms (Zhang and Sennrich 2019, "Root Mean Square Layer Normalization"): y = x / sqrt(mean(x^2) + eps) * weight
layer (Ba et al. 2016, "Layer Normalization"):        y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from nbllm.config import ModelConfig

EPS = 1e-6


def norm(config: ModelConfig) -> nn.Module:
    """The norm that a configuration asks for, over its width."""
    if config.norm == "layer":
        return nn.LayerNorm(config.width, config.norm_eps, bias=config.bias)
    return RMSNorm(config.width, config.norm_eps)


class RMSNorm(nn.Module):
    """x (..., D) -> (..., D), with a learned scale a unit and no bias."""

    def __init__(self, width: int, eps: float = EPS):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise over the last axis."""
        weight = self.weight if self.weight.dtype == x.dtype else self.weight.to(x.dtype)
        wide = x.dtype in (torch.float32, torch.float64)
        if wide and x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return _CpuRMSNorm.apply(x, weight, self.eps)
        return F.rms_norm(x, weight.shape, weight, self.eps)


class _CpuRMSNorm(torch.autograd.Function):
    """The same numbers, with a backward pass made of a fused kernel; torch has none for the CPU and is twice as slow.

    With r = 1 / rms(x) and u = gradient * weight, dx = r (u - x r mean(u x r)). The fused backward of layer norm, told
    that the mean is 0, gives r (u - mean(u) - x r mean(u x r)); adding r mean(u) makes it ours.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        # Products and sums, no matrix product: autocast would round those to bfloat16.
        scale = torch.rsqrt((x * x).mean(-1, keepdim=True).add_(eps))
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        x, weight, scale = ctx.saved_tensors
        dx, dweight, _ = torch.ops.aten.native_layer_norm_backward(
            gradient.contiguous(), x, weight.shape, torch.zeros_like(scale), scale, weight, None, [True, True, False]
        )
        return dx.addcmul_((gradient * weight).mean(-1, keepdim=True), scale), dweight, None
