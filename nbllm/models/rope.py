"""Rotary positions (Su et al. 2021, "RoFormer"), in the rotate-half convention of Llama and Qwen3.

Unit i and unit i + K/2 of a head are a pair, turned by the angle position * base^(-2i/K).
B batch, H heads, T tokens, K units of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Rope(nn.Module):
    """Turns queries and keys by their place. Holds a table of `length` places, which grows when more are asked."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(self, head_dim: int, length: int, base: float):
        super().__init__()
        self.head_dim = head_dim
        self.base = base
        self._fill(length, torch.get_default_dtype(), torch.device("cpu"))

    def forward(self, x_BHTK: torch.Tensor, start: int) -> torch.Tensor:
        """The same shape, turned; the first token stands at place `start`."""
        cos_TK, sin_TK = (table.to(x_BHTK.dtype) for table in self.table(start, x_BHTK.shape[2]))
        first, second = x_BHTK.chunk(2, dim=-1)
        return torch.addcmul(x_BHTK * cos_TK, torch.cat((second, first), dim=-1), sin_TK)

    def table(self, start: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """cos_TK and sin_TK (its first half negative) of `count` places from `start` on."""
        end = start + count
        if end > self.cos.shape[0]:
            self._fill(max(end, 2 * self.cos.shape[0]), self.cos.dtype, self.cos.device)
        return self.cos[start:end], self.sin[start:end]

    def _fill(self, length: int, dtype: torch.dtype, device: torch.device) -> None:
        # Outside inference mode, for a table first grown while generating is later part of a training step.
        with torch.inference_mode(False):
            pair = torch.arange(0, self.head_dim, 2, dtype=torch.float64, device="cpu")
            place = torch.arange(length, dtype=torch.float64, device="cpu")
            angle = torch.outer(place, self.base ** -(pair / self.head_dim))
            # The first half of the sines is negative: the minus of the rotation, so that it costs nothing later.
            cos, sin = torch.cat((angle.cos(), angle.cos()), dim=-1), torch.cat((-angle.sin(), angle.sin()), dim=-1)
            self.register_buffer("cos", cos.to(device, dtype), persistent=False)
            self.register_buffer("sin", sin.to(device, dtype), persistent=False)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        # `module.double()` would widen numbers already rounded to float32: compute them anew instead.
        super()._apply(fn, recurse)
        self._fill(self.cos.shape[0], self.cos.dtype, self.cos.device)
        return self
