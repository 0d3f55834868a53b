"""What the tests of the objectives share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from nbllm.config import ObjectiveConfig, TokenizerConfig
from nbllm.data import tokenizers
from nbllm.objectives.base import Task

RNG = np.random.default_rng
SPECIAL = ("<pad>", "<cls>", "<sep>", "<mask>")


def task(
    texts: str | list[str] = "abcdefghij .", kind: str = "char", special: tuple[str, ...] = (), **more: Any
) -> Task:
    config = ObjectiveConfig(**{k: v for k, v in more.items() if k in ObjectiveConfig.model_fields})
    texts = [texts] if isinstance(texts, str) else texts
    tokenizer = tokenizers.train(TokenizerConfig(kind=kind, vocab_size=2000), iter(texts), special)
    rest = {k: v for k, v in more.items() if k not in ObjectiveConfig.model_fields or k == "labels"}
    return Task(config, tokenizer, rest.pop("context", 16), **{"labels": (), **rest})


class Says(nn.Module):
    """Answers what it was given, whatever it is asked."""

    def __init__(self, logits: torch.Tensor):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, *_: Any) -> torch.Tensor:
        return self.logits
