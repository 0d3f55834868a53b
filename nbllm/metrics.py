"""Metrics: what is measured on held-out text beside the loss, `train.metrics: [accuracy, top5]`.

One of your own is a function from a notebook cell:

    @nbllm.metrics.register("confidence")
    def confidence(logits_NV, targets_N):                       # torch tensors: N positions that count, V tokens
        return logits_NV.softmax(-1).max(-1).values.mean()      # -> a number

It is called for each batch of held-out text, and its means, weighed by positions, stand in the run's metrics under its
name. A metric that fails, or gives no finite number, is left out and said once; the training goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbllm.errors import ConfigError
from nbllm.registry import METRICS

__all__ = ["register"]

_TAKEN = {"t", "event", "step", "loss", "val_loss", "lr", "grad_norm", "tokens", "seconds", "memory_mb"}


def register(name: str) -> Callable[[Any], Any]:
    """Decorator: a function of (logits_NV, targets_N) as the metric of that name. ConfigError for a column's name."""
    if name in _TAKEN:
        raise ConfigError(f"'{name}' is a column of every run's metrics.", "Take another name for the metric.")
    return METRICS.register(name)
