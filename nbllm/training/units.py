"""Dead parts of a network: layers whose output no longer depends on what they read, or that no gradient reaches.

inspect_units(module, forward) -> [DeadPart, ...]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nbllm.models.evaluating import evaluating
from nbllm.training.checkpoint import generator_states, set_generator_states

DEAD_SHARE = 0.95  # of a layer's units that must be constant
FEWEST_ROWS = 16  # places a layer must have answered at, before a constant answer means something
_SAME = 1e-6  # of the largest value: less is rounding


@dataclass(frozen=True)
class DeadPart:
    """A layer by its name in the module: `activations` are the same whatever it reads, or its `gradient` is zero."""

    name: str
    kind: str
    share: float = 1.0

    def __str__(self) -> str:
        if self.kind == "gradient":
            return f"{self.name} (its gradient is zero)"
        units = "all units give" if self.share == 1 else f"{self.share:.0%} of its units give"
        return f"{self.name} ({units} the same whatever they read)"


def inspect_units(module: nn.Module, forward: Callable[[], Any]) -> list[DeadPart]:
    """The dead parts of a module, by one forward pass, and by the gradients that its parameters hold.

    `forward()` runs the module on a few examples; it is called in evaluation mode, without gradients, and draws nothing
    from the training's generators. The module is left as it was, without hooks.
    """
    generators = generator_states(module)
    try:
        with torch.no_grad(), evaluating(module), _eager(module), _watching(module) as shares:
            forward()
    finally:
        set_generator_states(generators, module)
    dead = [DeadPart(name, "activations", share) for name, share in shares.items() if share >= DEAD_SHARE]
    return dead + [DeadPart(name, "gradient") for name in without_gradient(module)]


def without_gradient(module: nn.Module) -> list[str]:
    """Parts whose own parameters all hold a gradient that is zero everywhere. Where there is none (frozen parts, or
    before the first step), nothing is said."""
    found = []
    for name, part in module.named_modules():
        gradients = [p.grad for p in part.parameters(recurse=False) if p.requires_grad and p.grad is not None]
        if gradients and not any(bool(gradient.any()) for gradient in gradients):
            found.append(name or type(part).__name__)
    return found


@contextmanager
def _watching(module: nn.Module) -> Iterator[dict[str, float]]:
    """For each layer that is run the share of its units that answer the same everywhere."""
    shares: dict[str, float] = {}
    hooks = []

    def watch(name: str) -> Callable[..., None]:
        def look(part: nn.Module, inputs: Any, output: Any) -> None:
            values = output[0] if isinstance(output, tuple) and output else output
            share = constant_share(values)
            if share is not None:  # a layer that is run several times is dead where it always is
                shares[name] = min(share, shares.get(name, 1.0))

        return look

    try:
        for name, part in module.named_modules():
            leaf = next(part.children(), None) is None
            if leaf and not isinstance(part, nn.Embedding):  # one segment, or one position, is a constant that is right
                hooks.append(part.register_forward_hook(watch(name)))
        yield shares
    finally:
        for hook in hooks:
            hook.remove()


def constant_share(values: Any) -> float | None:
    """Share of the units (last axis) that hold one value at all places; None where that says nothing."""
    if not isinstance(values, Tensor) or not values.is_floating_point() or values.ndim < 2 or values.numel() == 0:
        return None
    rows_NU = values.detach().reshape(-1, values.shape[-1])
    if len(rows_NU) < FEWEST_ROWS:
        return None
    low_U, high_U = rows_NU.float().aminmax(dim=0)
    size_U = torch.maximum(low_U.abs(), high_U.abs())
    return float((high_U - low_U <= _SAME * size_U).float().mean())


def _eager(module: nn.Module) -> Any:
    """Hooks are for the plain module: a compiled one would be compiled anew for them, and again without."""
    compiled = getattr(module, "_compiled_call_impl", None) is not None
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()
