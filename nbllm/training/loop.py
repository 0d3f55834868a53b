"""The one loop, for every model and objective.

It yields frozen events and asks its control once a step; it knows nothing of files, widgets or clusters. Whoever runs
it saves a checkpoint when a `SaveCheckpoint` comes, before asking for the next event. Everything that it does is a
function of the step, so that a run that goes on from a checkpoint equals one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from nbllm.config import TrainConfig
from nbllm.objectives.base import Batch
from nbllm.objectives.evaluate import evaluate
from nbllm.training.checkpoint import set_generator_states
from nbllm.training.diagnosis import runaway, spoiled
from nbllm.training.events import (
    Applied,
    Ended,
    Evaluation,
    Event,
    Paused,
    Probed,
    Resumed,
    Sampled,
    SaveCheckpoint,
    Step,
)
from nbllm.training.optim import Optimizers
from nbllm.training.schedules import lr_factor
from nbllm.training.update import update

if TYPE_CHECKING:
    from nbllm.training.parallel import Peers

CALIBRATION_SECONDS = 3.0
CALIBRATION_STEPS = 10
SAFETY = 0.93  # share of a budget in minutes that is planned for; the rest is for the checkpoint and a busy machine


class Control(Protocol):
    """What the loop asks once a step."""

    def take(self, step: int) -> list[dict[str, Any]]:
        """Commands to apply now, in order."""

    def idle(self) -> None:
        """Wait a moment while the run is paused."""


@dataclass
class Progress:
    """All that changes while training, beside weights, optimizer and generators: what state.json holds."""

    step: int = 0
    steps: int | None = None
    lr: float = 0.0
    accumulate: int = 1
    tokens: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best_loss: float = math.inf
    patience_used: int = 0
    smooth_loss: float = 0.0
    first_loss: float = 0.0
    window: list[dict[str, float]] = field(default_factory=list)  # steps since the last logged one
    timed: bool = True  # whether a budget in minutes still holds: until steps are set by hand

    def state(self) -> dict[str, Any]:
        """As JSON holds it: no infinity."""
        values = dict(vars(self))
        values["best_loss"] = self.best_loss if math.isfinite(self.best_loss) else None
        return values

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Progress:
        """Take back what `state` gave."""
        values = {name: state[name] for name in cls.__dataclass_fields__ if name in state}
        values["best_loss"] = math.inf if values.get("best_loss") is None else values["best_loss"]
        return cls(**values)


@dataclass
class Training:
    """What the loop works with. `batch(step)` is the batch of that step, a pure function of it; `measure`, where
    there is one, tells more of the held-out examples at each evaluation (metrics of the user's own, dead units)."""

    module: nn.Module
    optimizers: Optimizers
    objective: Any
    config: TrainConfig
    batch: Callable[[int], Batch]
    held_out: Callable[[], Sequence[Batch] | Iterator[Batch]]
    tokens_per_byte: float = 1.0
    progress: Progress = field(default_factory=Progress)
    autocast: Callable[[], AbstractContextManager[Any]] | None = None
    sampler: Callable[[int], list[tuple[str, str]]] | None = None
    sample_every: int = 0
    probe: Callable[[int], dict[str, Any]] | None = None
    probe_every: int = 0
    measure: Callable[[], dict[str, float]] | None = None
    data_state: Callable[[int], dict[str, Any]] | None = None  # where the data stand before a step, for a checkpoint
    load_data_state: Callable[[dict[str, Any]], None] | None = None
    steps_pending: bool = False  # a budget fixed before a resume will be set again: none is to be calibrated
    peers: Peers | None = None  # the other processes that learn the same model, each from its rows of the batch

    def restore(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take what a checkpoint holds beside the weights: optimizer, counters, generators, place in the data."""
        self.optimizers.load(tensors)
        planned = self.progress.steps
        self.progress = Progress.from_state(state)
        if self.progress.steps is None:
            self.progress.steps = planned
        set_generator_states(tensors, self.module)
        if self.load_data_state is not None and state.get("data"):
            self.load_data_state(state["data"])


def train(training: Training, control: Control) -> Iterator[Event]:
    """Train until the budget is used, the held-out loss has stopped falling, or control says stop.

    Raises Diverged where the loss is not a number or runs away, and ModelError where even one window does not fit into
    memory. The weights are then not to be saved: the last checkpoint is the last good one.
    """
    config, progress, module = training.config, training.progress, training.module
    clock = _Clock(progress)
    calibrates = config.minutes and progress.steps is None and not training.steps_pending
    calibration = _Calibration(config.minutes, progress) if config.minutes and calibrates else None
    deadline = config.minutes * 60 if config.minutes else math.inf
    module.train()
    if progress.step == 0:
        yield from _look(training, 0)
    clock.restart()
    reason = "finished"
    while True:
        commands = control.take(progress.step)
        outcome = yield from _obey(training, commands, control, clock)
        if outcome == "stop":
            reason = "stopped"
            break
        if progress.steps is not None:
            calibration = None
        if progress.steps is not None and progress.step >= progress.steps:
            break
        if progress.timed and progress.seconds > deadline:
            reason = "time"
            break
        factor = lr_factor(progress.step, progress.steps, config)
        loss, norm, metrics, halved = update(training, progress.lr * factor)
        progress.step += 1
        if halved:
            yield Applied(progress.step - 1, "batch", {"accumulate": progress.accumulate})
        clock.tick()
        progress.window.append({"loss": loss, "grad_norm": norm, **metrics})
        if progress.step % _log_interval(progress.step) == 0 or progress.step == progress.steps:
            yield _logged(progress, progress.lr * factor)
        runaway(progress, loss)
        if calibration and calibration.done():
            progress.steps = calibration.steps()
            calibration = None
            yield Applied(progress.step, "budget", {"steps": progress.steps})
        last = progress.steps is not None and progress.step >= progress.steps
        save = progress.step % config.checkpoint_every == 0
        if progress.step % config.evaluate_every == 0 or save or last:
            yield _evaluate(training, clock)
            if config.patience and progress.patience_used >= config.patience:
                reason = "patience"
                break
        yield from _look(training, progress.step, last)
        clock.tick()
        if save and not last and not spoiled(progress, loss):  # the last good one stays the last
            yield SaveCheckpoint(progress.step, "schedule")
            clock.tick()
    yield SaveCheckpoint(progress.step, reason)
    yield Ended(progress.step, reason)


def follow(training: Training, announced: Iterable[tuple[int, float, int]]) -> None:
    """What a process does whose peer runs `train`: the steps that it announces (its number, learning rate, parts
    of the batch), as long as there are any. What is measured, looked at, saved or commanded is the other's alone."""
    training.module.train()
    progress = training.progress
    for step, lr, accumulate in announced:
        progress.step, progress.accumulate = step, max(accumulate, progress.accumulate)
        update(training, lr)


def _logged(progress: Progress, lr: float) -> Step:
    """The means over the steps since the last logged one."""
    rows = progress.window
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    progress.window = []
    loss, norm = means.pop("loss"), means.pop("grad_norm")
    return Step(progress.step, loss, lr, norm, progress.tokens, progress.seconds, means)


def _evaluate(training: Training, clock: _Clock) -> Evaluation:
    progress = training.progress
    with training.autocast() if training.autocast is not None else nullcontext():
        loss, metrics = evaluate(training.objective, training.module, training.held_out(), training.tokens_per_byte)
        if training.measure is not None:
            metrics |= training.measure()
    if loss < progress.best_loss:
        progress.best_loss, progress.best_step, progress.patience_used = loss, progress.step, 0
    else:
        progress.patience_used += 1
    clock.tick()
    return Evaluation(progress.step, loss, metrics, progress.seconds)


def _look(training: Training, step: int, last: bool = False) -> Iterator[Event]:
    """Samples and maps that are due at this step, drawn in evaluation mode with generators of their own. Maps are kept
    of the last step too: they are of the model that is then looked at."""
    sample = training.sampler and training.sample_every and step % training.sample_every == 0 and step > 0
    probe = training.probe and training.probe_every and (last or step % training.probe_every == 0)
    if not (sample or probe):
        return
    training.module.eval()
    try:
        if probe and training.probe:
            yield Probed(step, training.probe(step))
        if sample and training.sampler:
            for prompt, text in training.sampler(step):
                yield Sampled(step, prompt, text)
    finally:
        training.module.train()


def _obey(training: Training, commands: list[dict[str, Any]], control: Control, clock: _Clock) -> Any:
    """Apply commands; while paused, wait for more. Yields events and returns "stop" or None."""
    progress = training.progress
    paused = False
    while True:
        for command in commands:
            match command["command"]:
                case "stop":
                    return "stop"
                case "pause" if not paused:
                    paused = True
                    clock.tick()
                    yield SaveCheckpoint(progress.step, "pause")
                    yield Paused(progress.step)
                case "resume" if paused:
                    paused = False
                    yield Resumed(progress.step)
                    clock.restart()
                case "checkpoint":
                    yield SaveCheckpoint(progress.step, "asked")
                case "set":
                    values = {k: v for k, v in command.items() if k in ("lr", "steps", "accumulate") and v is not None}
                    kind = command.get("kind", "command")
                    for name, value in values.items():
                        setattr(progress, name, value)
                    if "steps" in values and kind == "command":
                        progress.timed = False
                    if values:
                        yield Applied(progress.step, kind, values)
        if not paused:
            return None
        control.idle()
        commands = control.take(progress.step)


def _log_interval(step: int) -> int:
    """Every step up to 10,000, every 10th up to 100,000, every 100th up to a million, and so on."""
    return 10 ** max(0, math.ceil(math.log10(max(step, 1))) - 4)


class _Clock:
    """Counts the seconds of the loop into progress; what passes while it is not ticking (pauses) is left out."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._mark = time.perf_counter()

    def restart(self) -> None:
        self._mark = time.perf_counter()

    def tick(self) -> None:
        now = time.perf_counter()
        self._progress.seconds += now - self._mark
        self._mark = now


class _Calibration:
    """Turns a budget in minutes into steps once, from the pace of the first few seconds."""

    def __init__(self, minutes: float, progress: Progress):
        self._minutes = minutes
        self._progress = progress
        self._first: tuple[int, float] | None = None

    def done(self) -> bool:
        progress = self._progress
        if self._first is None:
            self._first = (progress.step, progress.seconds)  # the first step is slow: caches, allocations
            return False
        steps, seconds = progress.step - self._first[0], progress.seconds - self._first[1]
        wanted = min(CALIBRATION_SECONDS, self._minutes * 60 * 0.2)
        return steps >= CALIBRATION_STEPS and seconds >= wanted

    def steps(self) -> int:
        assert self._first is not None
        progress = self._progress
        pace = (progress.seconds - self._first[1]) / max(1, progress.step - self._first[0])
        left = self._minutes * 60 * SAFETY - progress.seconds
        return progress.step + max(1, int(left / pace))
