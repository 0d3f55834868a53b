"""The optimizers behind one learning rate: Muon for the hidden matrices and fused AdamW for the rest, or AdamW for all.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) orthogonalises the momentum of each matrix by a
Newton-Schulz iteration. Its update is scaled by 0.2 sqrt(max(rows, columns)) so that its size matches AdamW's
(Liu et al. 2025, arXiv:2502.16982, section 2.2): one learning rate then serves both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nbllm.config import TrainConfig
from nbllm.models.products import cpu_has_bf16
from nbllm.training.finetune import layer_rates, unfreeze_steps

MOMENTUM = 0.95
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration
_ITERATIONS = 4  # they even out singular values that are 300 apart; a fifth would cost a quarter more


def orthogonalize(matrices_NRC: Tensor, dtype: torch.dtype) -> Tensor:
    """For each of N matrices an approximation of U V^T of its singular value decomposition U S V^T.

    The quintic Newton-Schulz iteration X <- a X + (b A + c A A) X with A = X X^T, from X scaled to a norm of at most 1.
    """
    a, b, c = _COEFFICIENTS
    x = matrices_NRC.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) * 1.01 + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    if tall:
        x = x.mT
    return x.to(matrices_NRC.dtype)


class Muon:
    """Momentum orthogonalised, with decoupled weight decay; matrices of one shape are worked through together."""

    def __init__(self, named: dict[str, nn.Parameter], weight_decay: float, rates: Mapping[str, float] | None = None):
        self.named = named
        self.rates = rates or {}
        self.weight_decay = weight_decay
        device = next(iter(named.values())).device.type if named else "cpu"
        self._dtype = torch.bfloat16 if device == "cuda" or (device == "cpu" and cpu_has_bf16()) else torch.float32
        groups: dict[tuple[int | float, ...], list[str]] = defaultdict(list)
        for name, parameter in named.items():
            groups[(*parameter.shape, self.rates.get(name, 1.0))].append(name)
        # The momenta of a group lie one behind another, so that they are worked through as one.
        self._groups = [(names, torch.stack([torch.zeros_like(named[n]) for n in names])) for names in groups.values()]
        found = {
            name: part for names, momenta_NRC in self._groups for name, part in zip(names, momenta_NRC, strict=True)
        }
        self.momentum = {name: found[name].detach() for name in named}

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One update at this learning rate. Parameters without a gradient stay."""
        for names, all_momenta_NRC in self._groups:
            learning = [i for i, n in enumerate(names) if self.named[n].grad is not None]
            if not learning:
                continue
            some = len(learning) < len(names)
            parameters: list[Tensor] = [self.named[names[i]] for i in learning]
            gradients_NRC = torch.stack([p.grad for p in parameters if p.grad is not None])
            momenta_NRC = all_momenta_NRC[learning] if some else all_momenta_NRC
            momenta_NRC.lerp_(gradients_NRC, 1 - MOMENTUM)
            if some:
                all_momenta_NRC[learning] = momenta_NRC
            updates_NRC = orthogonalize(gradients_NRC.lerp_(momenta_NRC, MOMENTUM), self._dtype)  # Nesterov's
            rows, columns = parameters[0].shape
            rate = lr * self.rates.get(names[0], 1.0)
            torch._foreach_mul_(parameters, 1 - rate * self.weight_decay)
            torch._foreach_add_(parameters, list(updates_NRC.unbind()), alpha=-rate * 0.2 * max(rows, columns) ** 0.5)


class Optimizers:
    """All optimizers of a run as one: `step(lr)`, `zero_grad()`, and the state as a flat dict of tensors."""

    def __init__(self, module: nn.Module, train: TrainConfig):
        named = {n: p for n, p in module.named_parameters() if p.requires_grad}
        rates = layer_rates(module, train.layer_decay) if train.layer_decay != 1 else {}
        for name in named:
            if (own := rate_of(name, train)) != 1:
                rates[name] = rates.get(name, 1.0) * own
        starts = unfreeze_steps(module, train.unfreeze_every) if train.unfreeze_every else {}
        self._waiting = [(named[n], step) for n, step in starts.items() if step and n in named]
        muon = {n: p for n, p in named.items() if train.optimizer == "muon" and is_hidden_matrix(n, p)}
        rest = {n: p for n, p in named.items() if n not in muon}
        self.parameters = list(named.values())
        self.muon = Muon(muon, train.weight_decay, rates)
        grouped: dict[tuple[float, float], list[str]] = defaultdict(list)
        for name, parameter in rest.items():
            grouped[(train.weight_decay if parameter.ndim >= 2 else 0.0, rates.get(name, 1.0))].append(name)
        groups: list[dict[str, Any]] = [
            {"params": [rest[n] for n in names], "weight_decay": decay, "rate": rate}
            for (decay, rate), names in grouped.items()
        ]
        self.adamw = torch.optim.AdamW(
            groups or [{"params": [], "rate": 1.0}],
            lr=train.lr,
            betas=(train.beta1, train.beta2),
            eps=1e-9,
            fused=bool(rest) and all(p.device.type in ("cpu", "cuda", "mps") for p in rest.values()),
        )
        self._rest = rest

    def step(self, lr: float) -> None:
        """One update of every parameter at this learning rate."""
        self.muon.step(lr)
        if self._rest:
            for group in self.adamw.param_groups:
                group["lr"] = lr * group["rate"]
            self.adamw.step()

    def zero_grad(self, step: int | None = None) -> None:
        """Forget the gradients. With the number of the step that comes, the parameters that are still to wait (gradual
        unfreezing) get none in it."""
        for parameter in self.parameters:
            parameter.grad = None
        if step is not None:
            for parameter, begins in self._waiting:
                parameter.requires_grad_(step >= begins)

    def state(self) -> dict[str, Tensor]:
        """Every tensor of the state under a name of its own."""
        tensors = {f"muon.{name}": value for name, value in self.muon.momentum.items()}
        for name, parameter in self._rest.items():
            for part, value in self.adamw.state.get(parameter, {}).items():
                tensors[f"adamw.{part}.{name}"] = value
        return tensors

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take the state back, in place."""
        for name, value in self.muon.momentum.items():
            value.copy_(tensors[f"muon.{name}"])
        for name, parameter in self._rest.items():
            parts = {
                part: tensors[f"adamw.{part}.{name}"]
                for part in ("step", "exp_avg", "exp_avg_sq")
                if f"adamw.{part}.{name}" in tensors
            }
            if parts:
                self.adamw.state[parameter] = {
                    part: value.to(parameter.device, copy=True) for part, value in parts.items()
                }


_EMBEDDINGS = ("embed", "wte", "wpe", "shared")
_HEADS = ("head", "classifier", "score")


def rate_of(name: str, train: TrainConfig) -> float:
    """The learning rate of a parameter by what it is for, times lr: those of embeddings, and of a head of its own."""
    if any(part in name for part in _EMBEDDINGS):
        return train.embedding_rate
    return train.head_rate if any(part in name for part in _HEADS) else 1.0


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon takes it: a matrix inside the stack of blocks, not an embedding, a head, an adapter or a recurrent
    weight."""
    outside = (*_EMBEDDINGS, *_HEADS, "lora_", "weight_hh", "weight_ih")
    return parameter.ndim == 2 and min(parameter.shape) > 1 and not any(part in name for part in outside)
