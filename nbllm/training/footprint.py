"""What one step of a training really takes: bytes by kind, and products by torch's counter. The weights are used up."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nbllm.objectives.base import Batch, split
from nbllm.training.loop import Training


@dataclass(frozen=True)
class Footprint:
    """Bytes of the kinds that the estimate knows, those at the peak of a step, FLOPs of the step, and its batch."""

    memory: dict[str, int]
    peak: int
    flops: float
    batch: Batch


def footprint(training: Training) -> Footprint:
    """One step, measured. Activations are the peak of forward and backward pass beyond the gradients, and at least the
    tensors that are saved for the backward pass. On a CPU every allocation is counted by torch's profiler, on CUDA by
    its allocator."""
    module, optimizers = training.module.train(), training.optimizers
    whole = training.batch(training.progress.step)
    batch = split(whole, training.progress.accumulate)[0] if training.progress.accumulate > 1 else whole
    _backward(training, batch)
    optimizers.step(0.0)  # so that its moments are there
    optimizers.zero_grad()
    saved = _saved(training, batch)
    optimizers.zero_grad()
    beyond = _peak(next(module.parameters()).device, lambda: _backward(training, batch))
    weights, gradients = (sum(t.nbytes for t in each) for each in (_weights(module), _gradients(module)))
    memory = {
        "weights": weights,
        "gradients": gradients,
        "optimizer": sum(value.nbytes for value in optimizers.state().values()),
        "activations": max(saved, beyond - gradients),
    }
    optimizers.zero_grad()
    return Footprint(memory, weights + memory["optimizer"] + beyond, _flops(training, batch), batch)


def cache(module: Any, context: int, target_context: int) -> int | None:
    """Bytes of the state that writing one text takes; None where the module writes none."""
    device = next(module.parameters()).device
    if not hasattr(module, "init_state"):
        return None
    if hasattr(module, "bridges"):
        with torch.no_grad():
            state = module.init_state(torch.zeros(1, context, dtype=torch.long, device=device), target_context)
    else:
        state = module.init_state(1, context)
    return sum({t.data_ptr(): t.nbytes for t in _tensors(state)}.values())


def _backward(training: Training, batch: Batch) -> None:
    with training.autocast() if training.autocast is not None else nullcontext():
        loss, _ = training.objective.loss(training.module, batch, training.progress.step)
    loss.backward()


def _saved(training: Training, batch: Batch) -> int:
    """Bytes that autograd keeps from the forward pass, without the weights themselves."""
    own = {t.untyped_storage().data_ptr() for t in (*_weights(training.module), *batch.values())}
    kept: dict[int, tuple[torch.Tensor, int]] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (tensor, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _, _ = training.objective.loss(training.module, batch, training.progress.step)
    return sum(nbytes for _, nbytes in kept.values())


def _peak(device: torch.device, call: Callable[[], None]) -> int:
    """Bytes that a call allocates at its peak, beyond what is there."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device) - before)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # its library writes to the terminal otherwise
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as seen:
        call()
    found = seen.profiler.kineto_results.events() if seen.profiler is not None else []
    level = most = 0
    for event in sorted((e for e in found if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        level += event.nbytes()
        most = max(most, level)
    return most


def _flops(training: Training, batch: Batch) -> float:
    """FLOPs of forward and backward pass by torch's counter, in plain products, in float64 on a CPU: its fused
    recurrent kernels for float32 are unknown to the counter. NaN where the module cannot be counted so."""
    module = training.module
    dtype = next(module.parameters()).dtype
    device = next(module.parameters()).device
    try:
        if device.type == "cpu":
            module.double()
            batch = {name: t.double() if t.is_floating_point() else t for name, t in batch.items()}
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            loss, _ = training.objective.loss(module, batch, training.progress.step)
            loss.backward()
        return float(counter.get_total_flops())
    except (RuntimeError, AssertionError, NotImplementedError):
        return float("nan")
    finally:
        training.optimizers.zero_grad()
        module.to(dtype)


def _weights(module: nn.Module) -> list[torch.Tensor]:
    return list(module.parameters())


def _gradients(module: nn.Module) -> list[torch.Tensor]:
    return [p.grad for p in module.parameters() if p.grad is not None]


def _tensors(state: Any) -> list[torch.Tensor]:
    """Every tensor inside a state of our own making: lists, tuples and dataclasses."""
    if isinstance(state, torch.Tensor):
        return [state]
    if isinstance(state, list | tuple):
        return [t for each in state for t in _tensors(each)]
    if hasattr(state, "__dataclass_fields__"):
        return [t for name in state.__dataclass_fields__ for t in _tensors(getattr(state, name))]
    return []
