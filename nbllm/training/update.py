"""One update of the weights: the loss of a batch and its gradients, clipped, and the optimizers' step."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

from nbllm.errors import ModelError
from nbllm.objectives.base import split
from nbllm.training.checkpoint import generator_states, set_generator_states
from nbllm.training.diagnosis import Diverged

if TYPE_CHECKING:
    from nbllm.training.loop import Training


def update(training: Training, lr: float) -> tuple[float, float, dict[str, float], bool]:
    """One update. Returns loss, gradient norm, metrics, and whether memory ran out and the batch was cut smaller."""
    if training.peers is not None:
        training.peers.begin(training.progress.step, lr, training.progress.accumulate)
    halved = False
    while True:
        generators = generator_states(training.module)
        try:
            loss, norm, metrics = gradients(training)
            break
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            training.optimizers.zero_grad()
            progress = training.progress
            if progress.accumulate * 2 > training.config.batch_size:
                raise ModelError(
                    "Even one window at a time does not fit into memory.",
                    "Take a smaller train.context, model.width or --size.",
                ) from None
            progress.accumulate *= 2
            while training.config.batch_size % progress.accumulate:
                progress.accumulate += 1
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            set_generator_states(generators, training.module)
            halved = True
    try:
        training.optimizers.step(lr)
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            "There is no memory for the optimizer's state; the last checkpoint is kept.",
            "Take a smaller model.width, model.layers or --size.",
        ) from None
    return loss, norm, metrics, halved


def gradients(training: Training) -> tuple[float, float, dict[str, float]]:
    """Loss and gradients of the batch of this step, part by part, clipped. Where several processes learn together each
    works through its own rows, and all end with the loss and the gradients of the whole batch."""
    module, optimizers, progress, config = training.module, training.optimizers, training.progress, training.config
    batch, objective, peers = training.batch(progress.step), training.objective, training.peers
    optimizers.zero_grad(progress.step)
    total = 0.0
    sums: dict[str, float] = {}
    own = batch if peers is None else peers.rows(batch)
    parts = split(own, progress.accumulate) if progress.accumulate > 1 else [own]
    weighed = len(parts) > 1 or peers is not None  # the loss is then a mean over the answers of the whole batch
    whole = objective.weight(batch) if weighed else 1
    for part in parts:
        share = objective.weight(part) / (whole or 1) if weighed else 1.0
        with training.autocast() if training.autocast is not None else nullcontext():
            loss, metrics = objective.loss(module, part, progress.step)
        (loss * share if weighed else loss).backward()
        total += float(loss.detach()) * share
        for name, value in metrics.items():
            sums[name] = sums.get(name, 0.0) + float(value) * share
    if peers is not None:
        total, sums = peers.add_up(optimizers.parameters, total, sums)
    limit = config.clip or math.inf
    norm = float(torch.nn.utils.clip_grad_norm_(optimizers.parameters, limit))
    if not (math.isfinite(total) and math.isfinite(norm)):
        raise Diverged.not_a_number(progress.step, total)
    progress.tokens += objective.tokens(batch)
    return total, norm, sums


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "can't allocate memory", "not enough memory"))
