"""The small picture of a fixed text that a run keeps while it trains.

L layers, H heads, T tokens (at most 64), U units (at most 64).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from nbllm.inspection.attention import attention, attention_layers
from nbllm.inspection.gates import GATES, gates, recurrent_layers

MAX_TOKENS = 64
MAX_UNITS = 64


def probe(module: nn.Module, ids: Sequence[int]) -> dict[str, np.ndarray]:
    """float16 arrays of the first 64 tokens: "attention" (L, H, T, T), "gates" (L, 4, T, U), or neither.

    The gates stand in the order input, forget, output, cell, of units spread evenly over the layer.
    """
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    tokens_BT = torch.tensor([list(ids[:MAX_TOKENS])], device=device)
    maps: dict[str, np.ndarray] = {}
    if attention_layers(module):
        maps["attention"] = attention(module, tokens_BT)[:, 0].to("cpu", torch.float16).numpy()
    if recurrent_layers(module):
        found = gates(module, tokens_BT)
        width = found["cell"].shape[-1]
        units = np.linspace(0, width - 1, min(width, MAX_UNITS)).round().astype(int).tolist()
        stacked = torch.stack([found[name][:, 0][..., units] for name in GATES], dim=1)
        maps["gates"] = stacked.to("cpu", torch.float16).numpy()
    return maps
