"""Next-token prediction, plain and behind a prefix.

B windows, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nbllm.config import GOALS, Goal
from nbllm.models import masks
from nbllm.objectives.base import IGNORED, Batch, Objective


class NextToken(Objective):
    """Causal language modelling, in nats a token:

    loss = -1/(B T) * sum_{b,t} log p(x_{b,t+1} | x_{b,1..t})
    """

    goal: ClassVar[Goal] = GOALS["clm"]

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """tokens_BT and the targets_BT that stand one place on."""
        windows = torch.from_numpy(examples)
        return {"tokens": windows[:, :-1], "targets": windows[:, 1:]}

    def predict(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Every place of every window counts."""
        return module(batch["tokens"]).flatten(0, 1), batch["targets"].flatten()

    def weight(self, batch: Batch) -> int:
        return batch["targets"].numel()

    def summary(self, loss: float, measures: dict[str, float], tokens_per_byte: float) -> dict[str, float]:
        """Bits per byte, comparable between tokenizers, and perplexity, which is not."""
        bits = loss / math.log(2) * tokens_per_byte
        return {"bits_per_byte": bits, "perplexity": math.exp(min(loss, 700.0)), **measures}


class PrefixNextToken(NextToken):
    """Next-token prediction behind a prefix that is seen both ways (Raffel et al. 2020, "prefix LM"); P its length:

    loss = -1/(sum_b T - P_b + 1) * sum_b sum_{t >= P_b} log p(x_{b,t+1} | x_{b,1..t}, prefix both ways)
    """

    goal: ClassVar[Goal] = GOALS["prefix-lm"]
    prefix = True

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """As for next-token prediction, with prefix_B: up to half of the window, drawn evenly."""
        batch = super().collate(examples, rng)
        rows, length = batch["tokens"].shape
        prefix_B = torch.from_numpy(rng.integers(1, max(2, length // 2 + 1), rows))
        inside = torch.arange(length) < prefix_B[:, None] - 1
        return {**batch, "targets": batch["targets"].masked_fill(inside, IGNORED), "prefix": prefix_B}

    def predict(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The places behind the prefix, its last one included."""
        logits_BTV = module(batch["tokens"], masks.prefix(batch["prefix"], batch["tokens"].shape[1]))
        counts = batch["targets"] != IGNORED
        return logits_BTV[counts], batch["targets"][counts]

    def weight(self, batch: Batch) -> int:
        return int((batch["targets"] != IGNORED).sum())
