"""The same network for less: its matrices rounded to whole numbers, or their smallest weights left out."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.utils import prune

from nbllm.errors import ModelError
from nbllm.models.int8 import Int8Embedding, Int8Linear, rounded
from nbllm.models.stack import Head, Stack

M = TypeVar("M", bound=nn.Module)


def quantized(module: M) -> M:
    """A copy whose linear layers and embeddings are int8, to write with. It does not learn, and what is neither (norms,
    recurrent layers) stays as it is. ModelError where there is no such layer."""
    found = copy.deepcopy(module).eval().requires_grad_(False)
    tied = [part for part in found.modules() if isinstance(part, Head) and part.linear is None]
    tables: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def table(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rounded once, however many parts share it."""
        if id(weight) not in tables:
            tables[id(weight)] = rounded(weight)
        return tables[id(weight)]

    shared = [(head, head.embedding().weight) for head in tied]
    for parent in list(found.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear:
                setattr(parent, name, Int8Linear(*table(layer.weight), layer.bias))
            elif type(layer) is nn.Embedding and isinstance(parent, Stack) and name == "embedding":
                setattr(parent, name, Int8Embedding(*table(layer.weight)))
    for head, weight in shared:
        head.linear = Int8Linear(*table(weight))  # type: ignore[assignment]
    if not tables:
        raise ModelError(f"A {type(module).__name__} has no linear layer to round.", "Use a model of nbllm's own.")
    return found


def pruned(module: M, share: float) -> M:
    """A copy in which this share of the weights of all linear layers of its blocks, the smallest, is zero (Han et al.
    2015; one threshold for all layers). ModelError for a share out of range, or where there is no such layer."""
    if not 0 <= share < 1:
        raise ModelError(f"A share of {share} cannot be left out.", "Give one from 0 to less than 1, as in 0.5.")
    found = copy.deepcopy(module)
    layers: list[Any] = [
        (layer, "weight")
        for name, layer in found.named_modules()
        if isinstance(layer, nn.Linear) and ".blocks." in f".{name}"
    ]
    if not layers:
        raise ModelError(f"A {type(module).__name__} has no linear layer in its blocks.", "Use a model with attention.")
    prune.global_unstructured(layers, prune.L1Unstructured, amount=share)
    for layer, name in layers:
        prune.remove(layer, name)
    return found


def size(module: nn.Module) -> int:
    """Bytes of what the network holds, what is shared counted once."""
    tensors = {each.data_ptr(): each for each in [*module.parameters(), *module.buffers()]}
    return sum(each.numel() * each.element_size() for each in tensors.values())


def is_rounded(module: nn.Module) -> bool:
    """Whether it is a quantized copy, by whole numbers or by half of the digits."""
    short = any(each.dtype == torch.bfloat16 for each in module.parameters())
    return short or any(isinstance(part, Int8Linear | Int8Embedding) for part in module.modules())
