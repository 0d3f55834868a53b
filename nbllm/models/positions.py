"""Positions that are added to the embeddings. (Rotary ones are the attention's own: see `rope`.)

T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def sinusoids(length: int, width: int) -> torch.Tensor:
    """table_TD (float64) of Vaswani et al. 2017, section 3.5, sines in the first half, cosines in the second:

    sin(t / 10000^(2i / D)) at unit i, cos of the same at unit D/2 + i
    """
    place = torch.arange(length, dtype=torch.float64)
    pair = torch.arange(0, width, 2, dtype=torch.float64)
    angle = torch.outer(place, 10_000.0 ** -(pair / width))
    return torch.cat((angle.sin(), angle.cos()), dim=1)


class Sinusoidal(nn.Module):
    """Fixed waves; the table grows where a longer text is read."""

    table: torch.Tensor

    def __init__(self, width: int, length: int):
        super().__init__()
        self.width = width
        self.register_buffer("table", sinusoids(length, width).to(torch.get_default_dtype()), persistent=False)

    def forward(self, start: int, count: int) -> torch.Tensor:
        """positions_TD of `count` tokens from place `start` on."""
        if start + count > self.table.shape[0]:
            longer = sinusoids(max(start + count, 2 * self.table.shape[0]), self.width)
            with torch.inference_mode(False):
                self.register_buffer("table", longer.to(self.table.device, self.table.dtype), persistent=False)
        return self.table[start : start + count]

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        # `module.double()` would widen numbers already rounded to float32: compute them anew instead.
        super()._apply(fn, recurse)
        table = sinusoids(self.table.shape[0], self.width)
        self.register_buffer("table", table.to(self.table.device, self.table.dtype), persistent=False)
        return self


class Learned(nn.Module):
    """A vector a place, learned; there are as many places as the context has."""

    def __init__(self, width: int, length: int):
        super().__init__()
        self.length = length
        self.position_embedding = nn.Embedding(length, width)
        nn.init.normal_(self.position_embedding.weight, std=0.02)

    def forward(self, start: int, count: int) -> torch.Tensor:
        """positions_TD of `count` tokens from place `start` on."""
        assert start + count <= self.length, f"a model with {self.length} places is asked for place {start + count}"
        return self.position_embedding.weight[start : start + count]
