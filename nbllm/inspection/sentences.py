"""A vector a text, by which texts of like meaning lie near each other where the encoder was trained for that.

B texts, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.inspection.reading import reading
from nbllm.models.answers import ShowsAttention, WritesTarget
from nbllm.models.classifier import pooled
from nbllm.models.evaluating import evaluating
from nbllm.objectives.base import padded

TOGETHER = 64


def embed(module: nn.Module, objective: Any, texts: Sequence[str]) -> np.ndarray:
    """float32 (texts, D): the mean of what the last layer has at each token, of length 1 (Reimers and Gurevych 2019,
    "Sentence-BERT"). A text is read in the frame that the model knows, cut to its context.

    Raises ModelError for an empty text, and for a network of another make.
    """
    read = [reading(module, objective, text).ids for text in texts]
    order = sorted(range(len(read)), key=lambda index: len(read[index]))
    found: list[np.ndarray] = [np.empty(0)] * len(read)
    with torch.inference_mode(), evaluating(module):
        for start in range(0, len(order), TOGETHER):
            chosen = order[start : start + TOGETHER]
            tokens_BT, real_BT = padded([np.array(read[index]) for index in chosen])
            tokens_BT, real_BT = (each.to(device_of(module)) for each in (tokens_BT, real_BT))
            vectors_BD = F.normalize(pooled(_hidden(module, tokens_BT, real_BT).float(), real_BT, "mean"), dim=-1)
            for index, vector in zip(chosen, vectors_BD.cpu().numpy(), strict=True):
                found[index] = vector
    return np.stack(found) if found else np.empty((0, 0), np.float32)


def _hidden(module: Any, tokens_BT: Tensor, real_BT: Tensor) -> Tensor:
    """What the last layer of the network, or of its encoder, has at each token: x_BTD."""
    if isinstance(module, ShowsAttention):
        model = module.model  # type: ignore[attr-defined]
        part = model.get_encoder() if isinstance(module, WritesTarget) else model.base_model
        return part(input_ids=tokens_BT, attention_mask=real_BT.long()).last_hidden_state
    stack = getattr(module, "encoder", getattr(module, "stack", None))
    if stack is None:
        raise ModelError(f"A {type(module).__name__} has no encoder that is known here.", "Use a built-in model.")
    return stack(tokens_BT, real_BT=real_BT)[0]
