"""Labels for texts: how likely a classifier holds each.

B texts, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.models.evaluating import evaluating

TOGETHER = 64


def classify(module: nn.Module, objective: Any, texts: Sequence[str], pairs: Sequence[str] = ()) -> np.ndarray:
    """float32 (B, L): the probability of each label; rows sum to 1 unless a text may have several labels.

    `objective` is the classifier's own (it frames the texts as in training). Texts of like length go together.
    """
    if not hasattr(objective, "framed"):
        raise ModelError("This model gives no labels.", "Train one: objective: classification")
    tokenizer = objective.task.tokenizer
    seconds = list(pairs) or [""] * len(texts)
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    others = [tokenizer.encode(text, add_special_tokens=False).ids if text else [] for text in seconds]
    framed = [objective.framed(first, second) for first, second in zip(ids, others, strict=True)]
    order = np.argsort([len(tokens) for tokens, _ in framed], kind="stable")
    found = np.zeros((len(texts), len(objective.labels)), dtype=np.float32)
    device = device_of(module)
    with torch.no_grad(), evaluating(module):
        for start in range(0, len(order), TOGETHER):
            chosen = order[start : start + TOGETHER]
            examples = [{"tokens": framed[i][0], "segments": framed[i][1], "labels": np.zeros(1, int)} for i in chosen]
            batch = objective.collate(examples, np.random.default_rng(0))
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            logits_BL, _ = objective.predict(module, batch)
            found[chosen] = probabilities(logits_BL, objective).float().cpu().numpy()
    return found


def probabilities(logits_BL: torch.Tensor, objective: Any) -> torch.Tensor:
    """Logits as probabilities of the labels: by softmax, by one sigmoid for two labels, or by a sigmoid each."""
    if not objective.sigmoid:
        return logits_BL.softmax(-1)
    if objective.several:
        return logits_BL.sigmoid()
    yes_B1 = logits_BL.sigmoid()
    return torch.cat((1 - yes_B1, yes_B1), dim=1)
