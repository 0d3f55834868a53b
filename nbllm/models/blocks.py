"""The blocks around the mixers.

B batch, T tokens, D width, M units inside the MLP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models import products
from nbllm.models.mixers.base import Memory, Mixer
from nbllm.models.norm import norm


def squared_relu(x: torch.Tensor) -> torch.Tensor:
    """max(0, x)^2 (So et al. 2021, "Primer"); a product, for torch's square has a slow backward pass on a CPU."""
    positive = F.relu(x)
    return positive * positive


ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "swiglu": F.silu,
    "geglu": F.gelu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "relu2": squared_relu,
    "silu": F.silu,
}
GATED = ("swiglu", "geglu")


class BlockState(NamedTuple):
    """What a block carries on: its mixer's state, and that of its cross-attention where it has one."""

    mixer: Any
    cross: Any = None


class MLP(nn.Module):
    """down(f(up x)); gated (Shazeer 2020, "GLU Variants Improve Transformer"): down(f(gate x) * up x)."""

    def __init__(self, width: int, units: int, activation: str, bias: bool):
        super().__init__()
        self.activation = activation
        self.gate = nn.Linear(width, units, bias=bias) if activation in GATED else None
        self.up = nn.Linear(width, units, bias=bias)
        self.down = nn.Linear(units, width, bias=bias)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        f = ACTIVATIONS[self.activation]
        if self._untouched() and products.rounds(x_BTD, self.up.weight):
            return self._in_bf16(x_BTD)
        if self.gate is None:
            return self.down(f(self.up(x_BTD)))
        return self.down(f(self.gate(x_BTD)) * self.up(x_BTD))

    def _untouched(self) -> bool:
        return all(products.untouched(layer) for layer in (self.gate, self.up, self.down) if layer is not None)

    def _in_bf16(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """The same with all in between in bfloat16, gate and up by one product."""
        f = ACTIVATIONS[self.activation]
        if self.gate is None:
            inside_BTM = f(products.product(x_BTD, self.up.weight, wide=False))
        else:
            both_BTM = products.product(x_BTD, torch.cat((self.gate.weight, self.up.weight)), wide=False)
            gate_BTM, up_BTM = both_BTM.chunk(2, dim=-1)
            inside_BTM = f(gate_BTM) * up_BTM
        return products.product(inside_BTM, self.down.weight)

    def init_weights(self) -> None:
        """Scaled by fan-in; the way out begins at zero, so that a fresh block passes its input on."""
        for layer in (self.gate, self.up):
            if layer is not None:
                nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        nn.init.zeros_(self.down.weight)
        for layer in (self.gate, self.up, self.down):
            if layer is not None and layer.bias is not None:
                nn.init.zeros_(layer.bias)


class Block(nn.Module):
    """Residual block: x + mixer(norm(x)), then x + cross(norm(x)) in a decoder and x + mlp(norm(x)) where it has them.

    With the norm after (Vaswani et al. 2017): norm(x + mixer(x)), and so on. `normed`: x is normalised already.
    """

    def __init__(
        self, mixer: Mixer, cross: Mixer | None, config: ModelConfig, mlp_units: int | None, normed: bool = False
    ):
        super().__init__()
        self.before = config.norm_place == "before"
        self.mixer_norm = nn.Identity() if normed else norm(config)
        self.mixer = mixer
        self.cross_norm = norm(config) if cross is not None else None
        self.cross = cross
        self.mlp_norm = norm(config) if mlp_units else None
        self.mlp = MLP(config.width, mlp_units, config.activation, config.bias) if mlp_units else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x_BTD: torch.Tensor,
        *,
        real_BT: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        memory: Memory | None = None,
        state: BlockState | None = None,
    ) -> tuple[torch.Tensor, BlockState | None]:
        mixed_BTD, mixer_state = self.mixer(
            self._in(self.mixer_norm, x_BTD), real_BT=real_BT, mask=mask, state=state and state.mixer
        )
        x_BTD = self._out(self.mixer_norm, x_BTD, mixed_BTD)
        cross_state = None
        if self.cross is not None and self.cross_norm is not None:
            looked_BTD, cross_state = self.cross(
                self._in(self.cross_norm, x_BTD), memory=memory, state=state and state.cross
            )
            x_BTD = self._out(self.cross_norm, x_BTD, looked_BTD)
        if self.mlp is not None and self.mlp_norm is not None:
            x_BTD = self._out(self.mlp_norm, x_BTD, self.mlp(self._in(self.mlp_norm, x_BTD)))
        return x_BTD, None if state is None else BlockState(mixer_state, cross_state)

    def init_weights(self) -> None:
        """Each part by its own rule."""
        for part in (self.mixer, self.cross, self.mlp):
            if part is not None:
                part.init_weights()

    def _in(self, normalise: nn.Module, x_BTD: torch.Tensor) -> torch.Tensor:
        return normalise(x_BTD) if self.before else x_BTD

    def _out(self, normalise: nn.Module, x_BTD: torch.Tensor, y_BTD: torch.Tensor) -> torch.Tensor:
        x_BTD = x_BTD + self.dropout(y_BTD)
        return x_BTD if self.before else normalise(x_BTD)


class PlainBlock(nn.Module):
    """The textbook's layer: the mixer alone, no residual and no norm. What a decoder looks up is added to it."""

    def __init__(self, mixer: Mixer, cross: Mixer | None, config: ModelConfig):
        super().__init__()
        self.mixer = mixer
        self.cross = cross
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x_BTD: torch.Tensor,
        *,
        real_BT: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        memory: Memory | None = None,
        state: BlockState | None = None,
    ) -> tuple[torch.Tensor, BlockState | None]:
        y_BTD, mixer_state = self.mixer(x_BTD, real_BT=real_BT, mask=mask, state=state and state.mixer)
        cross_state = None
        if self.cross is not None:
            looked_BTD, cross_state = self.cross(y_BTD, memory=memory, state=state and state.cross)
            y_BTD = y_BTD + looked_BTD
        return self.dropout(y_BTD), None if state is None else BlockState(mixer_state, cross_state)

    def init_weights(self) -> None:
        """Each part by its own rule; a plain convolution has no residual beside it, so its way out is not zero."""
        for part in (self.mixer, self.cross):
            if part is not None:
                part.init_weights()
                out = getattr(part, "out", None)
                if isinstance(out, nn.Linear):
                    nn.init.normal_(out.weight, std=out.in_features**-0.5)
