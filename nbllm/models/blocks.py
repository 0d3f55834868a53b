"""The block around a mixer.

B batch, T tokens, D width, M units inside the MLP.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from nbllm.models.mixers.base import Mixer
from nbllm.models.norm import RMSNorm


class MLP(nn.Module):
    """SwiGLU (Shazeer 2020, "GLU Variants Improve Transformer"): down(silu(gate x) * up x)."""

    def __init__(self, width: int, units: int):
        super().__init__()
        self.gate = nn.Linear(width, units, bias=False)
        self.up = nn.Linear(width, units, bias=False)
        self.down = nn.Linear(units, width, bias=False)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x_BTD)) * self.up(x_BTD))

    def init_weights(self) -> None:
        """Scaled by fan-in; the way out begins at zero, so that a fresh block passes its input on."""
        nn.init.normal_(self.gate.weight, std=self.gate.in_features**-0.5)
        nn.init.normal_(self.up.weight, std=self.up.in_features**-0.5)
        nn.init.zeros_(self.down.weight)


class Block(nn.Module):
    """Pre-norm residual block: x + mixer(norm(x)), then x + mlp(norm(x)) where it has an MLP."""

    def __init__(self, mixer: Mixer, width: int, mlp_units: int | None, dropout: float):
        super().__init__()
        self.mixer_norm = RMSNorm(width)
        self.mixer = mixer
        self.mlp_norm = RMSNorm(width) if mlp_units else None
        self.mlp = MLP(width, mlp_units) if mlp_units else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        mixed_BTD, state = self.mixer(self.mixer_norm(x_BTD), state=state)
        x_BTD = x_BTD + self.dropout(mixed_BTD)
        if self.mlp is not None and self.mlp_norm is not None:
            x_BTD = x_BTD + self.dropout(self.mlp(self.mlp_norm(x_BTD)))
        return x_BTD, state

    def init_weights(self) -> None:
        self.mixer.init_weights()
        if self.mlp is not None:
            self.mlp.init_weights()


class PlainBlock(nn.Module):
    """The textbook's layer: the mixer alone, no residual and no norm."""

    def __init__(self, mixer: Mixer, dropout: float):
        super().__init__()
        self.mixer = mixer
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        y_BTD, state = self.mixer(x_BTD, state=state)
        return self.dropout(y_BTD), state

    def init_weights(self) -> None:
        self.mixer.init_weights()
