"""The small picture of a fixed text that a run keeps while it trains.

L layers, H heads, T tokens (at most 64), U units (at most 64).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from nbllm.inspection.attention import attention, cross_attention, device_of, looks_at_source, shows_attention
from nbllm.inspection.gates import gates, recurrent_layers
from nbllm.models.mixers.gru import GRU
from nbllm.models.mixers.lstm import LSTM

MAX_TOKENS = 64
MAX_UNITS = 64


def probe(module: nn.Module, ids: Sequence[int], target: Sequence[int] = ()) -> dict[str, np.ndarray]:
    """float16 arrays of the first 64 tokens: "attention" (L, H, T, T), "gates" (L, G, T, U), or neither.

    Of a decoder that looks at its encoder the attention is the cross-attention (L, H, T, S) of the `target`. The gates
    stand in the order of `gate_names`, of units spread evenly over the layer.
    """
    device = device_of(module)
    tokens_BT = torch.tensor([list(ids[:MAX_TOKENS])], device=device)
    maps: dict[str, np.ndarray] = {}
    if looks_at_source(module) and target:
        target_BT = torch.tensor([list(target[:MAX_TOKENS])], device=device)
        maps["attention"] = cross_attention(module, tokens_BT, target_BT)[:, 0].to("cpu", torch.float16).numpy()
    elif shows_attention(module):
        maps["attention"] = attention(module, tokens_BT)[:, 0].to("cpu", torch.float16).numpy()
    if recurrent_layers(module):
        found = gates(module, tokens_BT)
        names = gate_names(module)
        width = found[names[0]].shape[-1]
        units = np.linspace(0, width - 1, min(width, MAX_UNITS)).round().astype(int).tolist()
        stacked = torch.stack([found[name][:, 0][..., units] for name in names], dim=1)
        maps["gates"] = stacked.to("cpu", torch.float16).numpy()
    return maps


def gate_names(module: nn.Module) -> tuple[str, ...]:
    """What the second axis of the gates holds: of an LSTM input, forget, output and cell."""
    names = {LSTM: ("input", "forget", "output", "cell"), GRU: ("reset", "update", "candidate", "hidden")}
    return next((names.get(type(layer), ("hidden",)) for layer in recurrent_layers(module)), ())
