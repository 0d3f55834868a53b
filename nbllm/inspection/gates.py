"""The gates of an LSTM at every step, computed by its equations.

L layers, B batch, T tokens, U units.
"""

from __future__ import annotations

import torch
from torch import nn

from nbllm.errors import ModelError
from nbllm.inspection.capture import inputs
from nbllm.models.evaluating import evaluating
from nbllm.models.mixers.lstm import LSTM

GATES = ("input", "forget", "output", "cell")


def gates(module: nn.Module, tokens_BT: torch.Tensor) -> dict[str, torch.Tensor]:
    """input, forget, output (from 0 to 1), cell and hidden: each float32 (L, B, T, U).

    Raises ModelError where the model has no LSTM layer.
    """
    mixers = recurrent_layers(module)
    if not mixers:
        raise ModelError(f"A {type(module).__name__} without LSTM layers has no gates.", "Use a model of kind lstm.")
    with torch.no_grad(), evaluating(module), inputs(list(mixers)) as found:
        module(tokens_BT)
        layers = [mixer.gates(found[index]) for index, mixer in enumerate(mixers)]
    return {name: torch.stack([layer[name] for layer in layers]).float() for name in layers[0]}


def recurrent_layers(module: nn.Module) -> list[LSTM]:
    """The LSTM mixers of a module, lowest first."""
    return [part for part in module.modules() if isinstance(part, LSTM)]
