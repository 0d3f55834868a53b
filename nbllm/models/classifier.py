"""A classifier: any stack, its answer pooled to one vector a text, and a matrix to the labels. A tagger (tagger.py) is
the same without the pooling.

An encoder of kind bert has the layer between them that its layout in transformers has, and a one-way Transformer no
bias in the matrix, as its own has none there; see `huggingface`.

B batch, T tokens, D width, L labels.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.answers import GivesLabels
from nbllm.models.norm import norm
from nbllm.models.stack import Stack

# Where labels are read from the sum of the embeddings and no norm follows them, their size says how much a word counts:
# small at first, so that words that say nothing stay so.
BAG_STD = 0.05


class Pooler(nn.Module):
    """BERT's tanh(P x + b) (Devlin et al. 2019), or ModernBERT's norm(gelu(P x)) (Warner et al. 2024)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        bert = config.pooler == "bert"
        self.linear = nn.Linear(config.width, config.width, bias=bert or config.bias)
        self.norm = None if bert else norm(config)
        nn.init.normal_(self.linear.weight, std=config.width**-0.5)
        if self.linear.bias is not None:
            nn.init.zeros_(self.linear.bias)

    def forward(self, x_BD: torch.Tensor) -> torch.Tensor:
        x_BD = self.linear(x_BD)
        return torch.tanh(x_BD) if self.norm is None else self.norm(F.gelu(x_BD))


class Labelling(nn.Module):
    """tokens_BT (int64) -> logits_BL of the text where it pools, else logits_BTL of each token."""

    pools: ClassVar[bool]

    def __init__(self, config: ModelConfig, vocab_size: int, context: int, outputs: int):
        super().__init__()
        self.stack = Stack(config, config.stack(), vocab_size, context, causal=not config.bidirectional)
        self.pool = config.pooling
        self.pooler = Pooler(config) if self.pools and config.pooler != "none" else None
        self.bag = self.pools and config.bag
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width * (1 + self.bag), outputs, bias=config.labels_bias)
        self.stack.init_weights(tied=False)
        if self.bag and config.plain:
            nn.init.normal_(self.stack.embedding.weight, std=BAG_STD)
        nn.init.zeros_(self.head.weight)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def forward(
        self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None, segments_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The logits of the labels."""
        words_BTD = self.stack.embed(tokens_BT, segments_BT=segments_BT)
        x, _ = self.stack.run(words_BTD, real_BT=real_BT)
        if self.pools:
            x = pooled(x, real_BT, self.pool)
        if self.pooler is not None:
            x = self.pooler(x)
        if self.bag:
            x = torch.cat((x, bag(words_BTD, real_BT)), dim=-1)
        return self.head(self.dropout(x))


class Classifier(Labelling, GivesLabels):
    """logits_BL are for a softmax over the labels, or a sigmoid each."""

    pools = True


def bag(x_BTD: torch.Tensor, real_BT: torch.Tensor | None) -> torch.Tensor:
    """The sum of the vectors of a row's real places by the root of how many they are: what a text says whatever the
    order of its words (Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods")."""
    if real_BT is None:
        return x_BTD.sum(1) / x_BTD.shape[1] ** 0.5
    real_BT1 = real_BT.unsqueeze(-1).to(x_BTD.dtype)
    return (x_BTD * real_BT1).sum(1) / real_BT1.sum(1).clamp(min=1).sqrt()


def pooled(x_BTD: torch.Tensor, real_BT: torch.Tensor | None, how: str) -> torch.Tensor:
    """One vector a row, x_BD, of its real places: the first, the last, their mean, the largest value a unit, or the
    ends of a two-way layer: what its forward half says at the last place and its backward half at the first."""
    if real_BT is None:
        real_BT = torch.ones(x_BTD.shape[:2], dtype=torch.bool, device=x_BTD.device)
    match how:
        case "first":
            return x_BTD[:, 0]
        case "last":
            last_B = real_BT.sum(1).clamp(min=1) - 1
            return x_BTD[torch.arange(x_BTD.shape[0], device=x_BTD.device), last_B]
        case "ends":
            half = x_BTD.shape[2] // 2
            return torch.cat((pooled(x_BTD, real_BT, "last")[:, :half], x_BTD[:, 0, half:]), dim=1)
        case "max":
            return x_BTD.masked_fill(~real_BT.unsqueeze(-1), torch.finfo(x_BTD.dtype).min).amax(1)
        case "mean":
            real_BT1 = real_BT.unsqueeze(-1).to(x_BTD.dtype)
            return (x_BTD * real_BT1).sum(1) / real_BT1.sum(1).clamp(min=1)
    raise AssertionError(how)
