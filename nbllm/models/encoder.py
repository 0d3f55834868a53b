"""An encoder that was hidden some of its tokens, with BERT's two heads (Devlin et al. 2019).

It has the layout of transformers' ModernBERT, or with the preset `bert` of BERT; see `huggingface`.

B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.answers import FillsMasks
from nbllm.models.blocks import ACTIVATIONS, GATED
from nbllm.models.classifier import pooled
from nbllm.models.norm import norm
from nbllm.models.stack import Stack


class MaskedHead(nn.Module):
    """norm(f(W x + b)) E^T + c: a layer of its own, then the embedding's weights (or a matrix) and a bias a token."""

    def __init__(self, config: ModelConfig, vocab_size: int, stack: Stack):
        super().__init__()
        self.transform = nn.Linear(config.width, config.width, bias=config.bias)
        self.activation = "gelu" if config.activation in GATED else config.activation
        self.norm = norm(config)
        self.linear = None if config.tied else nn.Linear(config.width, vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self._stack = [stack]
        nn.init.normal_(self.transform.weight, std=config.width**-0.5)
        if self.transform.bias is not None:
            nn.init.zeros_(self.transform.bias)
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., D) -> logits (..., V)."""
        x = self.norm(ACTIVATIONS[self.activation](self.transform(x)))
        weight = self._stack[0].embedding.weight if self.linear is None else self.linear.weight
        return F.linear(x, weight, self.bias)


class PairHead(nn.Module):
    """BERT's pooler and its answer whether the second sentence follows the first: W tanh(P x_0 + b) + c.

    Where the first token does not see the whole text, another vector stands for x_0 (`config.pair_pooling`).
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.where = config.pair_pooling
        self.pool = nn.Linear(config.width, config.width)
        self.answer = nn.Linear(config.width, 2)
        nn.init.normal_(self.pool.weight, std=config.width**-0.5)
        nn.init.normal_(self.answer.weight, std=0.02)
        nn.init.zeros_(self.pool.bias)
        nn.init.zeros_(self.answer.bias)

    def forward(self, x_BTD: torch.Tensor, real_BT: torch.Tensor | None = None) -> torch.Tensor:
        """logits_B2: class 0 says that the second follows, class 1 that it is another's (as in BERT)."""
        return self.answer(torch.tanh(self.pool(pooled(x_BTD, real_BT, self.where))))


class MaskedModel(nn.Module, FillsMasks):
    """tokens_BT (int64), some of them masks -> logits_BTV of what stands at every place, seen from both sides."""

    def __init__(self, config: ModelConfig, vocab_size: int, context: int):
        super().__init__()
        self.stack = Stack(config, config.stack(), vocab_size, context, causal=not config.bidirectional)
        self.head = MaskedHead(config, vocab_size, self.stack)
        self.pair_head = PairHead(config)
        self.stack.init_weights(config.tied)

    def forward(
        self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None, segments_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The logits of the token at each place: logits_BTV."""
        return self.head(self.hidden(tokens_BT, real_BT, segments_BT))

    def hidden(
        self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None, segments_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What the heads read: x_BTD."""
        return self.stack(tokens_BT, real_BT=real_BT, segments_BT=segments_BT)[0]
