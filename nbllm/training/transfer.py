"""Weights of one model put into another: the same head or a new one, one stack into the half of two that fits.

stack.*  <->  encoder.* or decoder.*       a language model becomes a decoder, an encoder an encoder
embeddings and heads with more rows        the rows that both have
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.training.checkpoint import weights

_HALVES = ("encoder.", "decoder.")
_GROWS = ("embedding.weight", "head.linear.weight", "head.bias")


@dataclass(frozen=True)
class Transfer:
    """What came of it: tensors that were taken, those of the new model that are fresh, and parameters taken."""

    taken: list[str]
    fresh: list[str]
    parameters: int

    def __str__(self) -> str:
        fresh = f"; fresh: {', '.join(self.fresh[:6])}{' ...' if len(self.fresh) > 6 else ''}" if self.fresh else ""
        return f"{len(self.taken)} of {len(self.taken) + len(self.fresh)} tensors taken{fresh}"


@torch.no_grad()
def transfer(module: nn.Module, found: dict[str, Tensor], source: str, head: str) -> Transfer:
    """Copy what fits of `found` into the module. `head` is the parent's (next, masked, labels, target, latent), and
    `source` its name. Raises ModelError where nothing fits, with the first shape that differs."""
    own = {name: module.state_dict()[name] for name in weights(module)}
    taken: list[str] = []
    fresh: list[str] = []
    differs = ""
    parameters = 0
    for name, tensor in own.items():
        candidates = [each for each in _names(name, head) if each in found]
        given = found[candidates[0]] if candidates else None
        if given is not None and given.shape == tensor.shape:
            tensor.copy_(given)
        elif given is not None and name.endswith(_GROWS) and given.shape[1:] == tensor.shape[1:]:
            rows = min(len(given), len(tensor))
            tensor[:rows].copy_(given[:rows])
        else:
            if given is not None and not differs:
                differs = f"'{name}' has shape {tuple(given.shape)} there and {tuple(tensor.shape)} here"
            fresh.append(name)
            continue
        taken.append(name)
        parameters += tensor.numel()
    blocks = [name for name in taken if ".blocks." in name]
    if not blocks:
        raise ModelError(
            f"No block of {source} fits this model{f': {differs}' if differs else ''}.",
            "Leave model and size out, so that its own are taken.",
        )
    return Transfer(taken, fresh, parameters)


def _names(name: str, head: str) -> list[str]:
    """The names that a tensor may have in the parent, the likeliest first."""
    names = [name]
    for half in _HALVES:
        if name.startswith(half):
            fits = half == ("decoder." if head == "next" else "encoder.")
            if fits and head in ("next", "masked", "labels"):
                names.append("stack." + name.removeprefix(half))
    if name.startswith("stack."):
        names += [half + name.removeprefix("stack.") for half in _HALVES]
    return names
