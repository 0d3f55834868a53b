"""From a configuration to a module."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.errors import ModelError
from nbllm.models.classifier import Classifier
from nbllm.models.encoder import MaskedModel
from nbllm.models.encoder_decoder import EncoderDecoder
from nbllm.models.language_model import LanguageModel
from nbllm.models.tagger import AnswerMarker, Tagger
from nbllm.models.vae import VAE
from nbllm.registry import MODELS

SIGNATURE = "def __init__(self, config, vocab_size, context)"


@dataclass(frozen=True)
class Sizes:
    """What the data ask of a model: entries of the vocabulary, tokens of the context, labels."""

    vocab: int
    context: int
    target_vocab: int | None = None
    target_context: int | None = None
    outputs: int = 0


# What a model answers, by the name that an objective asks for it with.
HEADS: dict[str, Callable[[ModelConfig, Sizes], nn.Module]] = {
    "next": lambda config, s: LanguageModel(config, s.vocab, s.context),
    "masked": lambda config, s: MaskedModel(config, s.vocab, s.context),
    "labels": lambda config, s: Classifier(config, s.vocab, s.context, s.outputs),
    "tags": lambda config, s: Tagger(config, s.vocab, s.context, s.outputs),
    "ends": lambda config, s: AnswerMarker(config, s.vocab, s.context, s.outputs),
    "target": lambda config, s: EncoderDecoder(config, s.vocab, s.context, s.target_vocab, s.target_context),
    "latent": lambda config, s: VAE(config, s.vocab, s.context),
}


def build(config: ModelConfig, sizes: Sizes, head: str = "next") -> nn.Module:
    """The module that `config.kind` names with this head, with fresh weights drawn from torch's own generator.

    Heads: `next` and `masked` map tokens_BT (int64) to logits_BTV, `labels` to logits_BL, `target` takes a source too,
    `latent` is a VAE. A class registered in a notebook always maps tokens_BT to logits_BTV; one that does not is a
    ModelError.
    """
    if MODELS.is_builtin(config.kind):
        return HEADS[head](config, sizes)
    module = _construct(MODELS.get(config.kind), config, sizes.vocab, sizes.context)
    _check_output(module, config.kind, sizes.vocab, sizes.context)
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
