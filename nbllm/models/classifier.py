"""A classifier: any stack, its answer pooled to one vector a text, and a matrix to the labels.

On an encoder of kind bert it is BERT's own (Devlin et al. 2019): tanh(P x_0 + b) of the first token, then the matrix.
On a one-way Transformer it has no bias, as transformers' classifiers have none there; see `huggingface`.

B batch, T tokens, D width, L labels.
"""

from __future__ import annotations

import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.stack import Stack


class Classifier(nn.Module):
    """tokens_BT (int64) -> logits_BL: for a softmax over the labels, or a sigmoid each."""

    def __init__(self, config: ModelConfig, vocab_size: int, context: int, outputs: int):
        super().__init__()
        self.stack = Stack(config, config.stack(), vocab_size, context, causal=not config.bidirectional)
        self.pool = how_pooled(config)
        self.pooler = nn.Linear(config.width, config.width) if has_pooler(config) else None
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, outputs, bias=has_head_bias(config))
        self.stack.init_weights(tied=False)
        if self.pooler is not None:
            nn.init.normal_(self.pooler.weight, std=config.width**-0.5)
            nn.init.zeros_(self.pooler.bias)
        nn.init.zeros_(self.head.weight)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def forward(
        self,
        tokens_BT: torch.Tensor,
        real_BT: torch.Tensor | None = None,
        segments_BT: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The logits of the labels: logits_BL."""
        x_BTD, _ = self.stack(tokens_BT, real_BT=real_BT, segments_BT=segments_BT)
        x_BD = pooled(x_BTD, real_BT, self.pool)
        if self.pooler is not None:
            x_BD = torch.tanh(self.pooler(x_BD))
        return self.head(self.dropout(x_BD))


def how_pooled(config: ModelConfig) -> str:
    """The pool that `auto` stands for."""
    if config.pool != "auto":
        return config.pool
    if config.kind == "bert":
        return "first"
    return "mean" if config.bidirectional else "last"


def has_pooler(config: ModelConfig) -> bool:
    """Whether a layer of its own stands between the first token and the labels, as in BERT."""
    return config.kind == "bert" and how_pooled(config) == "first"


def has_head_bias(config: ModelConfig) -> bool:
    """Whether the matrix to the labels has a bias."""
    return config.bidirectional or config.all_mixers() != {"attention"}


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
