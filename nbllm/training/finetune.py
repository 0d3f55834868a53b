"""Which parameters learn when a model that was trained before goes on learning, and how fast each.

freeze           those that never do, by patterns of their names
layer_rates      lower blocks more slowly (Howard and Ruder 2018, "ULMFiT": discriminative fine-tuning)
unfreeze_steps   from the top block down, one more every so many steps (gradual unfreezing, the same paper)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from nbllm.errors import ConfigError, did_you_mean

_BLOCK = re.compile(r"^(?!bridges\.)(.*?)(?:blocks|layers|layer|block|h)\.(\d+)\.")
_INPUT = ("embed", "wte", "wpe")


def in_block(name: str) -> bool:
    """Whether a part or a parameter of that name stands in a block of a stack, ours or of transformers."""
    return _BLOCK.match(name) is not None


def freeze(module: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Freeze every parameter that a pattern fits, and return their names. ConfigError for one that fits none, or where
    nothing is left to learn."""
    named = dict(module.named_parameters())
    frozen: list[str] = []
    for pattern in patterns:
        fits = [name for name in named if fnmatchcase(name, pattern)]
        if not fits:
            near = did_you_mean(pattern, named)
            hint = near if near.startswith("Did") else f"Names look like {', '.join(list(named)[:4])}."
            raise ConfigError(f"No parameter fits train.freeze '{pattern}'.", hint)
        frozen += fits
    for name in frozen:
        named[name].requires_grad_(False)
    if all(not parameter.requires_grad for parameter in named.values()):
        raise ConfigError("train.freeze leaves nothing to learn.", "Freeze fewer parameters.")
    return frozen


def layer_rates(module: nn.Module, decay: float) -> dict[str, float]:
    """The share of the learning rate of each parameter: 1 for what stands above the blocks, decay^d for a block with d
    above it, decay^n for what stands below all n of its stack."""
    return {name: decay**depth for name, depth in _depths(module).items()}


def unfreeze_steps(module: nn.Module, every: int) -> dict[str, int]:
    """The step from which each parameter learns: 0 for what stands above the blocks, then block by block. Where nothing
    stands above them, the top block learns from the beginning."""
    above = {name: _above_blocks(name) for name in _depths(module)}
    first = 1 if any(above.values()) else 0
    return {name: 0 if above[name] else every * (depth + first) for name, depth in _depths(module).items()}


def _depths(module: nn.Module) -> dict[str, int]:
    """How many blocks of its stack stand above each parameter; n for embeddings."""
    counts: dict[str, int] = {}
    names = [name for name, _ in module.named_parameters()]
    for name in names:
        match = _BLOCK.match(name)
        if match:
            counts[match[1]] = max(counts.get(match[1], 0), int(match[2]) + 1)
    depths = {}
    for name in names:
        match = _BLOCK.match(name)
        if match:
            depths[name] = counts[match[1]] - 1 - int(match[2])
        elif any(part in name for part in _INPUT):
            prefix = max((p for p in counts if name.startswith(p)), key=len, default=None)
            depths[name] = counts[prefix] if prefix is not None else max(counts.values(), default=0)
        else:
            depths[name] = 0
    return depths


def _above_blocks(name: str) -> bool:
    return not _BLOCK.match(name) and not any(part in name for part in _INPUT)
