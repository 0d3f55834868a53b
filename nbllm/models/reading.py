"""Extras to how a stack reads its tokens: what speeds learning and no published layout has (see the preset `fast`).

B batch, T tokens, D width, V vocabulary, R rows of a table.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

_SPREAD = 0x9E3779B1  # a prime near 2^32 over the golden ratio (Knuth 1973, section 6.4): neighbours fall far apart


class Before(NamedTuple):
    """What stood before the next token: its token_B1 (V where there was none) and what it was read as, x_B1D."""

    token: torch.Tensor
    x: torch.Tensor


class Bigrams(nn.Module):
    """A learned vector for each pair of a token and the one before it, zero at first.

    Row p V + t for token t behind token p where the table has a row a pair; else pairs share rows by a hash
    (Svenstrup et al. 2017, "Hash Embeddings for Efficient Word Representations").
    """

    def __init__(self, rows: int, vocab_size: int, width: int):
        super().__init__()
        self.vocab_size = vocab_size
        self.embedding_table = nn.Parameter(torch.zeros(rows, width))

    def forward(self, tokens_BT: torch.Tensor, before_B1: torch.Tensor) -> torch.Tensor:
        """pairs_BTD; `before_B1` are the tokens before the first ones."""
        previous_BT = torch.cat((before_B1, tokens_BT[:, :-1]), dim=1)
        place_BT = previous_BT * self.vocab_size + tokens_BT
        rows = len(self.embedding_table)
        if rows < self.vocab_size * (self.vocab_size + 1):
            place_BT = (place_BT * _SPREAD >> 16) % rows
        return F.embedding(place_BT, self.embedding_table)


class Smear(nn.Module):
    """x_t + s . x_{t-1} with a learned share s_D, zero at first: a token sees the one before it with no attention."""

    def __init__(self, width: int):
        super().__init__()
        self.share = nn.Parameter(torch.zeros(width))

    def forward(self, x_BTD: torch.Tensor, before_B1D: torch.Tensor) -> torch.Tensor:
        """`before_B1D` is what the token before the first ones was read as."""
        return torch.addcmul(x_BTD, torch.cat((before_B1D, x_BTD[:, :-1]), dim=1), self.share)


class Mix(nn.Module):
    """What a block reads beside the stream: a x + b x_0, with x_0 the embeddings; a is one and b zero at first."""

    def __init__(self, blocks: int):
        super().__init__()
        self.stream = nn.Parameter(torch.ones(blocks))
        self.input = nn.Parameter(torch.zeros(blocks))

    def forward(self, index: int, x_BTD: torch.Tensor, first_BTD: torch.Tensor) -> torch.Tensor:
        """What block `index` (from 1) reads."""
        return self.stream[index - 1] * x_BTD + self.input[index - 1] * first_BTD
