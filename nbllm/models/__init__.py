"""The networks: mixers, the blocks around them, and the language model they make.

A class of your own, written in a notebook cell, trains like a built-in one:

    @nbllm.models.register("mine")
    class Mine(torch.nn.Module):
        def __init__(self, config, vocab_size, context): ...    # config.options holds your own settings
        def forward(self, tokens_BT): ...                       # -> logits_BTV
"""

from __future__ import annotations

from typing import Any

from nbllm.registry import MODELS

__all__ = ["build", "register"]

register = MODELS.register


def __getattr__(name: str) -> Any:
    if name == "build":
        from nbllm.models.factory import build

        return build
    raise AttributeError(f"module 'nbllm.models' has no attribute '{name}'")
