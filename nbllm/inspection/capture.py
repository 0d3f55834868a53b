"""What went into chosen parts of a model during one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def run(module: nn.Module, tokens_BT: torch.Tensor) -> None:
    """Let the module read a text: its stack, or its encoder where it has two, or the whole of a foreign one."""
    stack = getattr(module, "encoder", getattr(module, "stack", module))
    stack(tokens_BT)


@contextmanager
def inputs(parts: list[nn.Module]) -> Iterator[dict[int, Any]]:
    """While open, every call of a part enters its first argument under the part's place in the list.

    The hooks go when the block is left, however it is left; training code is untouched.
    """
    found: dict[int, Any] = {}

    def remember(index: int) -> Any:
        def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            found[index] = arguments[0].detach()

        return hook

    hooks = [part.register_forward_pre_hook(remember(index)) for index, part in enumerate(parts)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
