"""A language model: a stack that reads one way, and a head over the vocabulary.

With attention it has exactly the layout of transformers' Qwen3 (with `qk_norm`), Llama or GPT-2; see `huggingface`.

B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.mixers.base import Mixer
from nbllm.models.stack import Head, Stack, State


class LanguageModel(nn.Module):
    """tokens_BT (int64) -> logits_BTV; `step` does the same a few tokens at a time with a state."""

    def __init__(self, config: ModelConfig, vocab_size: int, context: int):
        super().__init__()
        self.stack = Stack(config, config.stack(), vocab_size, context)
        self.head = Head(config, vocab_size, self.stack)
        self.stack.init_weights(config.tied)

    def forward(self, tokens_BT: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The logits of the token after each one: logits_BTV. `mask_B1TT` takes the place of the causal one (see
        `masks.prefix`)."""
        return self.head(self.stack(tokens_BT, mask=mask)[0])

    def step(
        self, tokens_BT: torch.Tensor, state: State, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, State]:
        """The logits after the last of these further tokens, logits_BV, and the state to go on with. `mask` takes the
        place of the causal one, as in `forward`."""
        x_BTD, after = self.stack(tokens_BT, mask=mask, state=state)
        return self.head(x_BTD[:, -1]), after

    def init_state(self, batch: int, length: int) -> State:
        """The state before any token, with room for `length` tokens."""
        return self.stack.init_state(batch, length)

    def select(self, state: State, rows_B: torch.Tensor) -> State:
        """The state of these rows of its batch, in this order."""
        return self.stack.select(state, rows_B)

    def mixers(self) -> list[Mixer]:
        """The mixer of each block, lowest first."""
        return self.stack.mixers()

    @property
    def unbounded(self) -> bool:
        """Whether a state can be carried past any length."""
        return self.stack.unbounded
