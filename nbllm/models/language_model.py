"""A language model: embedding, a stack of blocks that each hold one mixer, a final norm and a head.

With attention it has exactly the layout of transformers' Qwen3 (with `qk_norm`) or Llama (without); see `huggingface`.

B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from nbllm.config import ModelConfig
from nbllm.errors import ModelError
from nbllm.models.blocks import Block, PlainBlock
from nbllm.models.mixers.attention import Attention
from nbllm.models.mixers.base import Mixer
from nbllm.models.mixers.lstm import LSTM
from nbllm.models.norm import RMSNorm
from nbllm.models.rope import Rope

State = list[Any]
"""What generation carries from token to token: one state a block."""

# Measured by the held-out loss of short runs: small where a norm follows, for each block's answer then soon outweighs
# it; a plain network reads the embedding as it is and learns slowly from small numbers.
EMBEDDING_STD = 0.02
PLAIN_TIED_STD = 0.3
PLAIN_STD = 1.0


class LanguageModel(nn.Module):
    """tokens_BT (int64) -> logits_BTV; `step` does the same a few tokens at a time with a state."""

    def __init__(self, config: ModelConfig, vocab_size: int, context: int):
        super().__init__()
        if config.plain and config.mlp_width:
            raise ModelError("A plain network has no MLP.", "Leave out plain or mlp_width.")
        self.embedding = nn.Embedding(vocab_size, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_block(mixer, config) for mixer in _mixers(config, context))
        self.norm = nn.Identity() if config.plain else RMSNorm(config.width)
        self.head = None if config.tied else nn.Linear(config.width, vocab_size, bias=False)
        self.init_weights()

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        """The logits of the token after each one: logits_BTV."""
        return self.logits(self.hidden(tokens_BT)[0])

    def step(self, tokens_BT: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """The logits after the last of these further tokens, logits_BV, and the state to go on with."""
        x_BTD, state = self.hidden(tokens_BT, state)
        return self.logits(x_BTD[:, -1]), state

    def hidden(self, tokens_BT: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """What the head reads, x_BTD, and the state after these tokens (a None a block where none was given)."""
        x_BTD = self.dropout(self.embedding(tokens_BT))
        after: State = []
        for index, block in enumerate(self.blocks):
            x_BTD, block_state = block(x_BTD, None if state is None else state[index])
            after.append(block_state)
        return self.norm(x_BTD), after

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """The head: (..., D) -> (..., V)."""
        return F.linear(x, self.embedding.weight if self.head is None else self.head.weight)

    def init_state(self, batch: int, length: int) -> State:
        """The state before any token, with room for `length` tokens."""
        weight = self.embedding.weight
        return [mixer.init_state(batch, length, weight.device, weight.dtype) for mixer in self.mixers()]

    def mixers(self) -> list[Mixer]:
        """The mixer of each block, lowest first."""
        return [block.mixer for block in self.blocks]  # type: ignore[misc]

    @property
    def unbounded(self) -> bool:
        """Whether a state can be carried past any length."""
        return all(mixer.unbounded for mixer in self.mixers())

    def init_weights(self) -> None:
        """Small embeddings, hidden matrices scaled by fan-in, the ways out of a block and the head zero."""
        plain_std = PLAIN_TIED_STD if self.head is None else PLAIN_STD
        plain = isinstance(self.norm, nn.Identity)
        nn.init.normal_(self.embedding.weight, std=plain_std if plain else EMBEDDING_STD)
        if self.head is not None:
            nn.init.zeros_(self.head.weight)
        for block in self.blocks:
            block.init_weights()  # type: ignore[operator]


def _mixers(config: ModelConfig, context: int) -> list[Mixer]:
    """The stack's mixers by the kind of model; one table of angles serves all attention layers."""
    if config.kind == "lstm":
        return [LSTM(config) for _ in range(config.layers)]
    rope = Rope(config.head_dim, context, config.rope_base)
    return [Attention(config, rope) for _ in range(config.layers)]


def _block(mixer: Mixer, config: ModelConfig) -> nn.Module:
    if config.plain:
        return PlainBlock(mixer, config.dropout)
    mlp_units = config.mlp_width if config.kind == "lstm" else config.mlp_units
    return Block(mixer, config.width, mlp_units, config.dropout)
