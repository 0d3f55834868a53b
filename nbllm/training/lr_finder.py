"""The learning-rate range test (Smith 2017, "Cyclical learning rates for training neural networks", arXiv:1506.01186,
section 3.3): train a few steps while the learning rate rises exponentially, and watch the loss.

    sweep(training) -> Sweep

The loop does the training; here stand only the rates it is given, when it is enough, and what the curve says. Weights,
optimizer, generators and modes are as before when it is done, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from nbllm.errors import ModelError
from nbllm.training.checkpoint import generator_states, set_generator_states
from nbllm.training.diagnosis import Diverged
from nbllm.training.events import Step
from nbllm.training.loop import Training, train

LOWEST, HIGHEST = 1e-5, 3.0
STEPS, SECONDS = 100, 60.0
FEWEST = 20  # steps that still draw a curve
EXPLODED = 4.0  # times the lowest loss
SHARE = 0.9  # of the fall of the loss, at which the suggested rate stands
_WARM = 4  # steps at the lowest rate, before the rise: they measure the pace
_WIDTH = 0.15  # of the smoothing, in decades of the learning rate
_LEAST_FALL = 0.02  # of the loss; less is noise
_LOGGED_ALL = 5_000  # the loop tells every step until 10,000


@dataclass(frozen=True)
class Sweep:
    """What the range test saw: a row a step, and the suggestion read off the smoothed curve (None where there is none).

    `ended` is why it stopped: exploded, range (the highest rate was reached) or time.
    """

    rates: np.ndarray
    losses: np.ndarray
    smooth: np.ndarray
    lr: float | None
    steepest: float
    lowest: float
    ended: str
    seconds: float


def sweep(
    training: Training,
    *,
    steps: int = STEPS,
    seconds: float = SECONDS,
    low: float = LOWEST,
    high: float = HIGHEST,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Sweep:
    """Run the range test on what `training` holds, and put everything back.

    `steps` are cut to what fits into `seconds`, by the pace of the first few, and the rates are then spread over fewer.
    `progress(done, of)` is called after each step. Raises ModelError where fewer than 20 steps fit.
    """
    assert 0 < low < high, (low, high)
    assert steps >= FEWEST, steps
    began = time.perf_counter()
    settings = training.config.model_copy(
        update={
            "schedule": "constant", "warmup": 0, "minutes": None, "patience": None,
            "evaluate_every": 10**9, "checkpoint_every": 10**9,
        }
    )  # fmt: skip
    first = min(training.progress.step, _LOGGED_ALL)
    copy = replace(
        training,
        config=settings,
        progress=replace(training.progress, step=first, steps=None, lr=low, window=[], timed=False),
        sampler=None, probe=None, measure=None,
    )  # fmt: skip
    control = _Rise(first, steps, seconds, low, high)
    rates: list[float] = []
    losses: list[float] = []
    with _restored(training):
        try:
            for event in train(copy, control):
                if isinstance(event, Step):
                    rates.append(event.lr)
                    losses.append(event.loss)
                    progress(len(losses), control.steps)
                    control.exploded = event.loss > EXPLODED * min(losses)
        except Diverged:
            control.exploded = True
    ended = "exploded" if control.exploded else "time" if control.late else "range"
    if len(losses) < FEWEST and ended == "time":
        raise ModelError(
            f"Only {len(losses)} steps fit into {seconds:g} seconds, and {FEWEST} are wanted.",
            "Give more time, as in seconds=300, or a smaller train.batch_size, train.context or --size.",
        )
    x, y = np.array(rates[_WARM:]), np.array(losses[_WARM:])
    return Sweep(x, y, *read(x, y), ended, time.perf_counter() - began)


class _Rise:
    """The loop's control: the next rate before each step, and a stop when it is enough."""

    def __init__(self, first: int, steps: int, seconds: float, low: float, high: float):
        self.steps = steps
        self.exploded = self.late = False
        self._first, self._seconds = first, seconds
        self._low, self._high = low, high
        self._began = self._paced = time.perf_counter()

    def take(self, step: int) -> list[dict[str, Any]]:
        done, now = step - self._first, time.perf_counter()
        if done == 1:
            self._paced = now  # the very first step is slow: caches, allocations
        if done == _WARM:
            pace = (now - self._paced) / (_WARM - 1)
            left = self._seconds - (now - self._began)
            self.steps = max(FEWEST, min(self.steps, int(left / max(pace, 1e-9)) + _WARM))
        self.late = now - self._began > 1.5 * self._seconds
        if self.exploded or self.late or done >= self.steps:
            return [{"command": "stop"}]
        risen = max(0.0, (done - _WARM) / max(1, self.steps - 1 - _WARM))
        return [{"command": "set", "lr": self._low * (self._high / self._low) ** risen}]

    def idle(self) -> None:
        raise AssertionError("a range test is never paused")


def read(rates: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, float | None, float, float]:
    """The smoothed losses, the suggested rate (None for a loss that falls nowhere), that of the steepest descent, and
    that of the lowest loss.

    Suggested is the lowest rate at which nine tenths of the fall of the loss are done. Measured on held-out loss at
    the end of short trainings with Muon and AdamW, it lands nearer the best than the steepest descent or a tenth of the
    rate of the lowest loss, which are too low by far where the test itself trains much (tests/benchmarks/rates.py).
    """
    if not len(rates):
        return losses, None, math.nan, math.nan
    place = np.log10(rates)
    shown = np.minimum(np.nan_to_num(losses, nan=np.inf, posinf=np.inf), EXPLODED * np.nanmin(losses))
    weight = np.exp(-0.5 * ((place[:, None] - place[None]) / _WIDTH) ** 2)
    smooth = weight @ shown / weight.sum(1)
    lowest = int(smooth.argmin())
    start = float(smooth[: max(3, len(smooth) // 10)].mean())
    fall = start - float(smooth[lowest])
    if lowest == 0 or fall < _LEAST_FALL * abs(start):
        return smooth, None, math.nan, float(rates[lowest])
    steepest = int(np.gradient(smooth, place)[: lowest + 1].argmin())
    done = int(np.argmax(smooth <= start - SHARE * fall))
    return smooth, two_figures(float(rates[done])), float(rates[steepest]), float(rates[lowest])


def two_figures(rate: float) -> float:
    """As people type a learning rate: 0.0083."""
    return float(f"{rate:.2g}")


@contextmanager
def _restored(training: Training) -> Iterator[None]:
    """Weights, buffers, optimizer, generators, gradients, modes and frozen parts are afterwards what they were."""
    module, optimizers = training.module, training.optimizers
    tensors = [(tensor, tensor.detach().clone()) for tensor in (*module.parameters(), *module.buffers())]
    state = {name: tensor.detach().clone() for name, tensor in optimizers.state().items()}
    rates = [group["lr"] for group in optimizers.adamw.param_groups]
    modes = [(part, part.training) for part in module.modules()]
    learning = [(p, p.requires_grad, None if p.grad is None else p.grad.clone()) for p in module.parameters()]
    generators = generator_states(module)
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in tensors:
                tensor.copy_(before)
        optimizers.adamw.state.clear()
        optimizers.load(state)
        for group, rate in zip(optimizers.adamw.param_groups, rates, strict=True):
            group["lr"] = rate
        for part, mode in modes:
            part.training = mode
        for parameter, learns, gradient in learning:
            parameter.requires_grad_(learns)
            parameter.grad = gradient
        set_generator_states(generators, module)
