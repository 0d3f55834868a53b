"""A tagger: any stack, and a matrix from each token's vector to the tags; and the same with two answers a token, which
say where an answer begins and ends.

B batch, T tokens, D width, L tags.
"""

from __future__ import annotations

import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.answers import MarksAnswer, MarksTokens
from nbllm.models.stack import Stack


class _ATokenEach(nn.Module):
    """tokens_BT (int64) -> logits_BTL."""

    def __init__(self, config: ModelConfig, vocab_size: int, context: int, outputs: int):
        super().__init__()
        self.stack = Stack(config, config.stack(), vocab_size, context, causal=not config.bidirectional)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, outputs, bias=config.labels_bias)
        self.stack.init_weights(tied=False)
        nn.init.zeros_(self.head.weight)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def forward(
        self,
        tokens_BT: torch.Tensor,
        real_BT: torch.Tensor | None = None,
        segments_BT: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The logits of each token: logits_BTL."""
        x_BTD, _ = self.stack(tokens_BT, real_BT=real_BT, segments_BT=segments_BT)
        return self.head(self.dropout(x_BTD))


class Tagger(_ATokenEach, MarksTokens):
    """logits_BTL are for a softmax over the tags of each token."""


class AnswerMarker(_ATokenEach, MarksAnswer):
    """logits_BT2 are for a softmax over the places, one for the start of an answer and one for its end."""
