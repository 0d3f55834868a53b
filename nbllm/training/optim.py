"""The optimizers behind one learning rate: Muon for the hidden matrices and fused AdamW for the rest, or AdamW for all.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) orthogonalises the momentum of each matrix by a
Newton-Schulz iteration. Its update is scaled by 0.2 sqrt(max(rows, columns)) so that its size matches AdamW's
(Liu et al. 2025, arXiv:2502.16982, section 2.2): one learning rate then serves both.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn

from nbllm.config import TrainConfig

MOMENTUM = 0.95
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration
_ITERATIONS = 5


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
        x = a * x + (b * gram + c * gram @ gram) @ x
    if tall:
        x = x.mT
    return x.to(matrices_NRC.dtype)


class Muon:
    """Momentum orthogonalised, with decoupled weight decay; matrices of one shape are worked through together."""

    def __init__(self, named: dict[str, nn.Parameter], weight_decay: float):
        self.named = named
        self.weight_decay = weight_decay
        self.momentum = {name: torch.zeros_like(p) for name, p in named.items()}
        device = next(iter(named.values())).device.type if named else "cpu"
        self._dtype = torch.bfloat16 if device == "cuda" or (device == "cpu" and _cpu_has_bf16()) else torch.float32
        shapes: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for name, parameter in named.items():
            shapes[tuple(parameter.shape)].append(name)
        self._groups = list(shapes.values())

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One update at this learning rate. Parameters without a gradient stay."""
        for names in self._groups:
            names = [n for n in names if self.named[n].grad is not None]
            if not names:
                continue
            parameters: list[Tensor] = [self.named[n] for n in names]
            gradients = [p.grad for p in parameters if p.grad is not None]
            momenta = [self.momentum[n] for n in names]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            nesterov = torch._foreach_lerp(gradients, momenta, MOMENTUM)
            updates = orthogonalize(torch.stack(nesterov), self._dtype)
            rows, columns = parameters[0].shape
            torch._foreach_mul_(parameters, 1 - lr * self.weight_decay)
            torch._foreach_add_(parameters, list(updates.unbind()), alpha=-lr * 0.2 * max(rows, columns) ** 0.5)


class Optimizers:
    """All optimizers of a run as one: `step(lr)`, `zero_grad()`, and the state as a flat dict of tensors."""

    def __init__(self, module: nn.Module, train: TrainConfig):
        named = {n: p for n, p in module.named_parameters() if p.requires_grad}
        muon = {n: p for n, p in named.items() if train.optimizer == "muon" and is_hidden_matrix(n, p)}
        rest = {n: p for n, p in named.items() if n not in muon}
        self.parameters = list(named.values())
        self.muon = Muon(muon, train.weight_decay)
        decayed = [n for n, p in rest.items() if p.ndim >= 2]
        plain = [n for n in rest if n not in set(decayed)]
        self._names = [*decayed, *plain]
        groups = [
            {"params": [rest[n] for n in decayed], "weight_decay": train.weight_decay},
            {"params": [rest[n] for n in plain], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(
            [g for g in groups if g["params"]] or [{"params": []}],
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
                group["lr"] = lr
            self.adamw.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

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


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon takes it: a matrix inside the stack of blocks, not an embedding, a head or a recurrent weight."""
    outside = ("embedding", "head", "weight_hh", "weight_ih")
    return parameter.ndim == 2 and min(parameter.shape) > 1 and not any(part in name for part in outside)


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware (AMX or AVX-512 BF16)."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()) or bool(
        getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    )
