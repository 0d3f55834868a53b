"""A module without its training behaviour, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """No dropout meanwhile; the mode that was is put back."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
