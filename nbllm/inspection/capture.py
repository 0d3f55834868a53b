"""What goes into chosen parts of a model during one forward pass, what comes out, and what may stand in its place.

B batch, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn


def run(module: nn.Module, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None) -> None:
    """Let the module read a text: its stack, or its encoder where it has two, or the whole of a foreign one."""
    stack = getattr(module, "encoder", getattr(module, "stack", module))
    if real_BT is None:
        stack(tokens_BT)
    else:
        stack(tokens_BT, real_BT=real_BT)


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

    with ExitStack() as hooks:
        for index, part in enumerate(parts):
            hooks.enter_context(part.register_forward_pre_hook(remember(index)))
        yield found


@contextmanager
def outputs(parts: Sequence[nn.Module]) -> Iterator[dict[int, torch.Tensor]]:
    """While open, what each part gives back stands under its place in the list: the first of several things.

    The hooks go when the block is left, however it is left.
    """
    found: dict[int, torch.Tensor] = {}

    def remember(index: int) -> Any:
        def hook(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            found[index] = (output[0] if isinstance(output, tuple) else output).detach()

        return hook

    with ExitStack() as hooks:
        for index, part in enumerate(parts):
            hooks.enter_context(part.register_forward_hook(remember(index)))
        yield found


@contextmanager
def embedded(layer: nn.Module, tokens_BT: torch.Tensor, x_BTD: torch.Tensor) -> Iterator[list[bool]]:
    """While open, the layer answers x_BTD where it is asked for these tokens; the list then holds a True a time.

    This is how a model of any make reads vectors in place of tokens. The hook goes when the block is left.
    """
    asked: list[bool] = []

    def answer(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:
        given = arguments[0] if arguments else None
        if isinstance(given, torch.Tensor) and given.shape == tokens_BT.shape and torch.equal(given, tokens_BT):
            asked.append(True)
            return x_BTD
        return output

    with layer.register_forward_hook(answer):
        yield asked
