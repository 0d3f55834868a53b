"""The gates and states of recurrent layers at every step, computed by their equations.

L layers, B batch, T tokens, U units.
"""

from __future__ import annotations

import torch
from torch import nn

from nbllm.errors import ModelError
from nbllm.inspection.capture import inputs, run
from nbllm.models.evaluating import evaluating
from nbllm.models.mixers.recurrent import Recurrent


def gates(module: nn.Module, tokens_BT: torch.Tensor) -> dict[str, torch.Tensor]:
    """Each float32 (L, B, T, U): of an LSTM input, forget, output (0 to 1), cell and hidden; of a GRU reset, update,
    candidate and hidden; of a simple layer hidden. Where kinds are mixed, those of the lowest layer's kind.

    Raises ModelError where the model has no recurrent layer.
    """
    mixers = recurrent_layers(module)
    if not mixers:
        raise ModelError(
            f"A {type(module).__name__} without recurrent layers has no gates.", "Use a model of kind lstm, gru or rnn."
        )
    with torch.no_grad(), evaluating(module), inputs(list(mixers)) as found:
        run(module, tokens_BT)
        layers = [mixer.gates(found[index]) for index, mixer in enumerate(mixers) if index in found]
    return {name: torch.stack([layer[name] for layer in layers]).float() for name in layers[0]}


def recurrent_layers(module: nn.Module) -> list[Recurrent]:
    """The recurrent mixers that read a text, lowest first: those of an encoder where there are two stacks."""
    part = getattr(module, "encoder", module)
    found = [each for each in part.modules() if isinstance(each, Recurrent)]
    return [each for each in found if type(each) is type(found[0])]
