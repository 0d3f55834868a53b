"""From a configuration to a module."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.errors import ModelError
from nbllm.registry import MODELS

SIGNATURE = "def __init__(self, config, vocab_size, context)"


def build(config: ModelConfig, vocab_size: int, context: int) -> nn.Module:
    """The module that `config.kind` names, with fresh weights drawn from torch's own generator.

    Every module maps tokens_BT (int64) to logits_BTV; a class registered in a notebook that does not is a ModelError.
    """
    cls = MODELS.get(config.kind)
    if MODELS.is_builtin(config.kind):
        return cls(config, vocab_size, context)
    module = _construct(cls, config, vocab_size, context)
    _check_output(module, config.kind, vocab_size, context)
    return module


def _construct(cls: Any, config: ModelConfig, vocab_size: int, context: int) -> nn.Module:
    """Call a registered class, or a registered function that makes a module."""
    try:
        inspect.signature(cls).bind(config, vocab_size, context)
    except TypeError as error:
        raise ModelError(f"The model '{config.kind}' cannot be made: {error}.", f"Write: {SIGNATURE}") from None
    module = cls(config, vocab_size, context)
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"The model '{config.kind}' made a {type(module).__name__}, not a torch.nn.Module.",
            f"Write: class {getattr(cls, '__name__', 'Mine')}(torch.nn.Module)",
        )
    return module


def _check_output(module: nn.Module, kind: str, vocab_size: int, context: int) -> None:
    """Run one empty window through a foreign module, so that a wrong shape is told before anything trains."""
    training = module.training
    tokens_BT = torch.zeros(1, context, dtype=torch.long)
    try:
        with torch.no_grad():
            logits = module.eval()(tokens_BT)
    finally:
        module.train(training)
    wanted = (1, context, vocab_size)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != wanted:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModelError(
            f"The model '{kind}' answers {got} where {wanted} is wanted (batch, tokens, vocabulary).",
            "Let forward(tokens_BT) return one row of vocab_size logits for every token.",
        )
