"""Weights of one model put into another: the same head or a new one, one stack into the half of two that fits.

stack.*  <->  encoder.* or decoder.*       a language model becomes a decoder, an encoder an encoder
embeddings and heads with more rows        the rows that both have
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.training.checkpoint import weights
from nbllm.training.finetune import in_block

_HALVES = ("encoder.", "decoder.")
# Where an encoder has learned what its classifier pools with: BERT in its second head, ModernBERT in its first.
_POOLERS = {
    "bert": {"pooler.linear": "pair_head.pool"},
    "modernbert": {"pooler.linear": "head.transform", "pooler.norm": "head.norm"},
}
_GROWS = ("embedding.weight", "head.linear.weight", "head.linear.bias", "head.bias")


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
    state = module.state_dict()
    own = {name: state[name] for name in weights(module)}
    causal = bool(getattr(getattr(module, "stack", None), "causal", False))
    # What answers labels has no row a token.
    grows = _GROWS[:-1] if "head.weight" in own or head == "labels" else _GROWS
    poolers = _POOLERS["modernbert" if "pooler.norm.weight" in own else "bert"]
    taken: list[str] = []
    fresh: list[str] = []
    differs = ""
    parameters = 0
    for name, tensor in own.items():
        shared = [n for n, t in state.items() if t.data_ptr() == tensor.data_ptr() and t.shape == tensor.shape]
        candidates = [each for n in (name, *shared) for each in _names(n, head, causal, poolers) if each in found]
        given = found[candidates[0]] if candidates else None
        if given is not None and given.shape == tensor.shape:
            tensor.copy_(given)
        elif given is not None and name.endswith(grows) and given.shape[1:] == tensor.shape[1:]:
            rows = min(len(given), len(tensor))
            tensor[:rows].copy_(given[:rows])
        else:
            if given is not None and not differs:
                differs = f"'{name}' has shape {tuple(given.shape)} there and {tuple(tensor.shape)} here"
            fresh.append(name)
            continue
        taken.append(name)
        parameters += tensor.numel()
    if not any(in_block(name) and own[name].ndim > 1 for name in taken):  # a norm alone carries nothing over
        raise ModelError(
            f"No block of {source} fits this model{f': {differs}' if differs else ''}.",
            "Leave model and size out, so that its own are taken.",
        )
    return Transfer(taken, fresh, parameters)


def _names(name: str, head: str, causal: bool, poolers: Mapping[str, str]) -> list[str]:
    """The names that a tensor may have in the parent, the likeliest first. `causal`: the new model's stack reads one
    way, and is a decoder rather than an encoder."""
    names = [name]
    for half in _HALVES:
        if name.startswith(half):
            fits = half == ("decoder." if head == "next" else "encoder.")
            if fits and head in ("next", "masked", "labels"):
                names.append("stack." + name.removeprefix(half))
    names += [there + name.removeprefix(here) for here, there in poolers.items() if name.startswith(here)]
    if name.startswith("stack."):
        names += [half + name.removeprefix("stack.") for half in sorted(_HALVES, reverse=not causal)]
    return names
