"""Attention of a decoder to what an encoder has read: by dot products (Vaswani et al. 2017; Luong et al. 2015), or
additive, score(q, k) = v . tanh(q + k) (Bahdanau et al. 2015).

B batch, T queries, S tokens of the memory, D width, H heads, K units of a head.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models import masks
from nbllm.models.mixers.base import Memory, Mixer


class CrossState(NamedTuple):
    """The memory's keys and values, each (B, H, S, K), and its real places: made once for all steps."""

    keys: torch.Tensor
    values: torch.Tensor
    real: torch.Tensor | None


class CrossAttention(Mixer):
    """Queries from the decoder, keys and values from the memory."""

    unbounded: ClassVar[bool] = True

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads = config.heads
        self.head_dim = config.head_dim
        units = self.heads * self.head_dim
        self.query = nn.Linear(config.width, units, bias=config.bias)
        self.key = nn.Linear(config.width, units, bias=config.bias)
        self.value = nn.Linear(config.width, units, bias=config.bias)
        self.out = nn.Linear(units, config.width, bias=config.bias)
        self.score = nn.Parameter(torch.empty(self.heads, self.head_dim)) if config.cross == "additive" else None

    def forward(
        self,
        x_BTD: torch.Tensor,
        *,
        real_BT: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        memory: Memory | None = None,
        state: CrossState | None = None,
    ) -> tuple[torch.Tensor, CrossState | None]:
        assert mask is None, "every token of the memory may be looked at"
        known = self.remember(memory) if state is None else state
        q_BHTK = self._split(self.query(x_BTD))
        if self.score is None:
            allowed = masks.cross(known.real, x_BTD.shape[1])
            y_BHTK = F.scaled_dot_product_attention(q_BHTK, known.keys, known.values, allowed)
        else:
            y_BHTK = self._weights(q_BHTK, known) @ known.values
        return self.out(y_BHTK.transpose(1, 2).flatten(2)), state

    def remember(self, memory: Memory | None) -> CrossState:
        """Keys and values of a memory."""
        assert memory is not None, "cross-attention needs a memory to look at"
        return CrossState(self._split(self.key(memory.x)), self._split(self.value(memory.x)), memory.real)

    def weights(self, x_BTD: torch.Tensor, memory: Memory | None, state: CrossState | None = None) -> torch.Tensor:
        """weights_BHTS of these queries over the memory, or over what a state has kept of it."""
        return self._weights(self._split(self.query(x_BTD)), self.remember(memory) if state is None else state)

    def init_state(self, batch: int, length: int, device: torch.device, dtype: torch.dtype) -> CrossState:
        raise AssertionError("the state of cross-attention is made from a memory: remember(memory)")

    def select(self, state: CrossState, rows_B: torch.Tensor) -> CrossState:
        real = None if state.real is None else state.real.index_select(0, rows_B)
        return CrossState(state.keys.index_select(0, rows_B), state.values.index_select(0, rows_B), real)

    def init_weights(self) -> None:
        """Scaled by fan-in; the way out begins at zero."""
        for layer in (self.query, self.key, self.value):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        nn.init.zeros_(self.out.weight)
        for layer in (self.query, self.key, self.value, self.out):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if self.score is not None:
            nn.init.normal_(self.score, std=self.head_dim**-0.5)

    def _weights(self, q_BHTK: torch.Tensor, known: CrossState) -> torch.Tensor:
        if self.score is None:
            scores_BHTS = q_BHTK @ known.keys.transpose(2, 3) / self.head_dim**0.5
        else:
            sums_BHTSK = torch.tanh(q_BHTK.unsqueeze(3) + known.keys.unsqueeze(2))
            scores_BHTS = (sums_BHTSK * self.score[:, None, None, :]).sum(-1)
        return masks.masked_softmax(scores_BHTS, masks.cross(known.real, q_BHTK.shape[2]))

    def _split(self, x_BTE: torch.Tensor) -> torch.Tensor:
        return x_BTE.view(*x_BTE.shape[:2], self.heads, self.head_dim).transpose(1, 2)
