"""Matrices of whole numbers from -127 to 127 with a scale a row: a quarter of the room, for a network that only writes.

    W[e] is about scale[e] * int8[e]        scale[e] = max |W[e]| / 127

Only the weights are rounded to so few (Dettmers et al. 2022, "LLM.int8()", section 3.1: vector-wise). The product is
torch's; torchao 0.18 turns all weights back for every token on a CPU, forty times as slow. E outputs, D inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def rounded(weight_ED: Tensor) -> tuple[Tensor, Tensor]:
    """int8_ED and scale_E of a matrix."""
    scale_E = (weight_ED.detach().abs().amax(1) / 127).clamp(min=torch.finfo(weight_ED.dtype).tiny)
    return (weight_ED.detach() / scale_E[:, None]).round().to(torch.int8), scale_E


def times_int8(x: Tensor, int8_ED: Tensor, scale_E: Tensor, bias_E: Tensor | None = None) -> Tensor:
    """x (..., D) -> (..., E): x W^T + b, its factors and products as bfloat16, in which torch has a kernel of its own
    for it on a CPU: five times as quick as float32, where activations of float32 would be twenty times as slow."""
    flat = x.reshape(-1, x.shape[-1])
    if x.device.type == "cpu":
        ones_E = torch.ones(len(int8_ED), dtype=torch.bfloat16)
        y = torch._weight_int8pack_mm(flat.bfloat16(), int8_ED, ones_E).to(x.dtype)
    else:
        y = flat @ int8_ED.to(x.dtype).T
    y = (y * scale_E).view(*x.shape[:-1], -1)
    return y if bias_E is None else y + bias_E


class Int8Linear(nn.Module):
    """A linear layer whose matrix is int8; it does not learn."""

    int8: Tensor
    scale: Tensor

    def __init__(self, int8_ED: Tensor, scale_E: Tensor, bias_E: nn.Parameter | None = None):
        super().__init__()
        self.register_buffer("int8", int8_ED)
        self.register_buffer("scale", scale_E)
        self.bias = bias_E

    def forward(self, x: Tensor) -> Tensor:
        """x (..., D) -> (..., E)."""
        return times_int8(x, self.int8, self.scale, self.bias)


class Int8Embedding(nn.Module):
    """An embedding whose table is int8."""

    int8: Tensor
    scale: Tensor

    def __init__(self, int8_VD: Tensor, scale_V: Tensor):
        super().__init__()
        self.num_embeddings = int8_VD.shape[0]
        self.register_buffer("int8", int8_VD)
        self.register_buffer("scale", scale_V)

    @property
    def weight(self) -> Tensor:
        """The whole table as it is read."""
        return self.int8.to(self.scale.dtype) * self.scale[:, None]

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (...) -> (..., D)."""
        return self.int8[tokens].to(self.scale.dtype) * self.scale[tokens].unsqueeze(-1)
