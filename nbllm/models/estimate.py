"""How large a model is and how much memory its training takes, from the configuration alone: no torch, no weights.

Counts are exact (tested against the modules). Memory is an estimate of what training holds at its peak: the weights,
a gradient each, the optimizer's moments, and the numbers kept for the backward pass.
"""

from __future__ import annotations

from nbllm.config import ModelConfig, RunConfig
from nbllm.errors import ModelError
from nbllm.registry import MODELS

FLOAT = 4
"""Bytes of a float32, which weights, gradients and moments are kept in."""


def parameters(config: ModelConfig, vocab_size: int) -> dict[str, int]:
    """Parameters by part (embedding, mixers, mlps, norms, head) and in all (total).

    Raises ModelError for a kind of the user's own.
    """
    if not MODELS.is_builtin(config.kind):
        raise ModelError(f"The parameters of '{config.kind}' are known once it is built.", "Count module.parameters().")
    width, layers = config.width, config.layers
    mlps = layers * 3 * width * _mlp_units(config)
    if config.kind == "lstm":
        mixers = layers * (8 * width * width + 8 * width)
        norms = 0 if config.plain else width * (layers * (2 if mlps else 1) + 1)
    else:
        queries, keys = config.heads * config.head_dim, config.key_heads * config.head_dim
        mixers = layers * (2 * width * queries + 2 * width * keys)
        norms = width * (2 * layers + 1) + (layers * 2 * config.head_dim if config.qk_norm else 0)
    parts = {
        "embedding": vocab_size * width,
        "mixers": mixers,
        "mlps": mlps,
        "norms": norms,
        "head": 0 if config.tied else vocab_size * width,
    }
    return {**parts, "total": sum(parts.values())}


def memory(config: RunConfig, vocab_size: int) -> dict[str, int]:
    """Bytes that training holds at its peak: weights, gradients, optimizer, activations, total.

    The runtime itself (torch and its libraries, about 0.3 GB) is not counted.
    """
    count = parameters(config.model, vocab_size)
    hidden = count["mixers"] + count["mlps"] if config.train.optimizer == "muon" else 0
    moments = hidden + 2 * (count["total"] - hidden)
    parts = {
        "weights": FLOAT * count["total"],
        "gradients": FLOAT * count["total"],
        "optimizer": FLOAT * moments,
        "activations": _activations(config, vocab_size),
    }
    return {**parts, "total": sum(parts.values())}


def _activations(config: RunConfig, vocab_size: int) -> int:
    """Bytes kept for the backward pass of one micro-batch, counted from what each layer's backward reads."""
    model, tokens = config.model, config.train.batch_size // config.train.accumulate * config.train.context
    width, mlp = model.width, _mlp_units(model)
    if model.kind == "lstm":
        mixer = 7 * width  # four gates, cell, its tanh, hidden
        mixer += 0 if model.plain else 2 * width  # the norm's input and output
    else:
        queries, keys = model.heads * model.head_dim, model.key_heads * model.head_dim
        mixer = 2 * width + 2 * queries + 2 * keys  # norm's input and output; turned q and k, v, the kernel's output
        mixer += queries + keys if model.qk_norm else 0  # q and k before their norms
    block = mixer + (2 * width + 4 * mlp if mlp else 0)  # gate, up, silu(gate) and their product
    number = 2 if config.train.precision == "bf16" else FLOAT
    dropped = 2 * width * model.layers if model.dropout else 0  # masks
    logits = 3 * vocab_size  # the logits, their log-softmax and its gradient, always float32
    return tokens * (number * (model.layers * block + dropped + 2 * width) + FLOAT * logits)


def _mlp_units(config: ModelConfig) -> int:
    """Units inside the MLP; 0 where the blocks have none."""
    return (config.mlp_width or 0) if config.kind == "lstm" else config.mlp_units
