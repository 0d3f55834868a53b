"""The loop on its own, without files: exactness, commands, budgets, faults."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nbllm.config import ObjectiveConfig, TokenizerConfig, TrainConfig
from nbllm.data import tokenizers
from nbllm.errors import ModelError
from nbllm.objectives.base import Batch, Task
from nbllm.objectives.clm import NextToken
from nbllm.training import loop
from nbllm.training.checkpoint import generator_states, set_generator_states
from nbllm.training.diagnosis import Diverged
from nbllm.training.events import Applied, Ended, Evaluation, Event, Paused, Resumed, SaveCheckpoint, Step
from nbllm.training.loop import Progress, Training, train
from nbllm.training.optim import Optimizers

VOCABULARY, CONTEXT = 11, 8


class Commands:
    """A control that gives commands at the steps they are meant for."""

    def __init__(self, commands: dict[int, list[dict[str, Any]]] | None = None):
        self.commands = dict(commands or {})
        self.idled = 0
        self.on_idle: Callable[[], list[dict[str, Any]]] = list

    def take(self, step: int) -> list[dict[str, Any]]:
        return self.commands.pop(step, []) + (self.on_idle() if self.idled else [])

    def idle(self) -> None:
        self.idled += 1


class Small(nn.Module):
    """A model with dropout, so that the generators matter."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.blocks = nn.Sequential(nn.Linear(16, 16), nn.Tanh(), nn.Dropout(0.2))
        self.head = nn.Linear(16, VOCABULARY)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return self.head(self.blocks(self.embedding(tokens_BT)))


def objective() -> NextToken:
    tokenizer = tokenizers.train(TokenizerConfig(kind="char"), iter(["abcdefghi"]))
    return NextToken(Task(ObjectiveConfig(), tokenizer, CONTEXT))


def batch_of(step: int, size: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(step)
    start = torch.randint(VOCABULARY, (size, 1), generator=generator)
    windows = (start + torch.arange(CONTEXT + 1)) % VOCABULARY
    return objective().collate(windows.numpy(), np.random.default_rng(0))


def training_of(module: nn.Module | None = None, steps: int | None = 30, **settings: Any) -> Training:
    torch.manual_seed(0)
    module = module or Small()
    config = TrainConfig(
        **{"batch_size": 4, "context": CONTEXT, "evaluate_every": 10, "checkpoint_every": 10, **settings}
    )
    return Training(
        module=module,
        optimizers=Optimizers(module, config),
        objective=objective(),
        config=config,
        batch=batch_of,
        held_out=lambda: [batch_of(10_000), batch_of(10_001)],
        progress=Progress(steps=steps, lr=config.lr, accumulate=config.accumulate),
    )


def run(training: Training, control: Commands | None = None) -> list[Event]:
    return list(train(training, control or Commands()))


def collect(events: Iterable[Event], into: list[Event]) -> None:
    """Keep what comes before a fault."""
    for event in events:
        into.append(event)


def losses(events: list[Event]) -> dict[int, float]:
    return {e.step: e.loss for e in events if isinstance(e, Step)}


def test_it_learns_and_says_everything_in_order() -> None:
    events = run(training_of(steps=60))
    found = losses(events)
    assert list(found) == list(range(1, 61))
    assert found[1] == pytest.approx(math.log(VOCABULARY), abs=0.7)
    assert found[60] < 0.75 * found[1]
    assert [e.step for e in events if isinstance(e, Evaluation)] == [10, 20, 30, 40, 50, 60]
    assert [e.step for e in events if isinstance(e, SaveCheckpoint)] == [10, 20, 30, 40, 50, 60]
    assert events[-1] == Ended(60, "finished")


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_going_on_from_a_checkpoint_is_exact(optimizer: str) -> None:
    whole_training = training_of(optimizer=optimizer)
    whole = losses(run(whole_training))
    first = training_of(optimizer=optimizer)
    seen = {}
    for event in train(first, Commands()):
        if isinstance(event, Step):
            seen[event.step] = event.loss
        if isinstance(event, SaveCheckpoint) and event.step == 20:
            kept = (
                copy.deepcopy(first.module.state_dict()),
                copy.deepcopy(first.optimizers.state()),
                first.progress.state(),
                generator_states(first.module),
            )
            break
    weights, optimizer_state, progress, generators = kept
    torch.manual_seed(999)
    second = training_of(optimizer=optimizer)
    second.module.load_state_dict(weights)
    second.optimizers.load(optimizer_state)
    second.progress = Progress.from_state(progress)
    set_generator_states(generators, second.module)
    again = losses(run(second))
    assert {**seen, **again} == whole
    for name, value in whole_training.module.state_dict().items():
        assert torch.equal(value, second.module.state_dict()[name]), name


def test_accumulation_is_the_same_update() -> None:
    whole, parts = training_of(steps=12, accumulate=1), training_of(steps=12, accumulate=4)
    for training in (whole, parts):
        training.module.blocks[2].p = 0.0  # type: ignore[index,union-attr]
    a, b = losses(run(whole)), losses(run(parts))
    assert list(a.values()) == pytest.approx(list(b.values()), rel=1e-4)


def test_pause_saves_and_waits_and_resume_goes_on() -> None:
    control = Commands({7: [{"command": "pause"}]})
    control.on_idle = lambda: [{"command": "resume"}] if control.idled == 3 else []
    events = run(training_of(steps=12), control)
    where = next(i for i, e in enumerate(events) if isinstance(e, Paused))
    assert events[where - 1] == SaveCheckpoint(7, "pause")
    assert events[where + 1] == Resumed(7)
    assert control.idled == 3
    assert losses(events) == losses(run(training_of(steps=12)))


def test_stop_while_paused() -> None:
    control = Commands({3: [{"command": "pause"}]})
    control.on_idle = lambda: [{"command": "stop"}]
    events = run(training_of(), control)
    assert events[-2:] == [SaveCheckpoint(3, "stopped"), Ended(3, "stopped")]


def test_set_changes_the_rate_and_the_budget_and_says_so() -> None:
    control = Commands({5: [{"command": "set", "lr": 1e-4, "steps": 8}]})
    events = run(training_of(steps=30, schedule="constant", warmup=0), control)
    rates = {e.step: e.lr for e in events if isinstance(e, Step)}
    assert rates[5] == TrainConfig().lr
    assert rates[6] == 1e-4
    assert events[-1] == Ended(8, "finished")
    assert Applied(5, "command", {"lr": 1e-4, "steps": 8}) in events


def test_no_number_ends_it_before_the_weights_are_touched() -> None:
    training = training_of()
    original = training.objective.loss
    training.objective.loss = lambda m, b, s: (original(m, b, s)[0] * (float("nan") if s == 6 else 1), {})
    seen: list[Event] = []
    with pytest.raises(Diverged, match=r"not a number after step 6; .* learning rate"):
        collect(train(training, Commands()), seen)
    assert all(torch.isfinite(p).all() for p in training.module.parameters())
    assert max(losses(seen)) == 6


@pytest.mark.parametrize("start", [2, 40])
def test_a_runaway_loss_ends_it(start: int) -> None:
    training = training_of(steps=300, checkpoint_every=2)
    original = training.objective.loss
    training.objective.loss = lambda m, b, s: (original(m, b, s)[0] * (1 if s < start else 20), {})
    seen: list[Event] = []
    with pytest.raises(Diverged, match=r"ran away: \d.* at the start; .* learning rate"):
        collect(train(training, Commands()), seen)
    assert start < max(losses(seen)) < max(22, start + 20)
    saved = [event.step for event in seen if isinstance(event, SaveCheckpoint)]
    assert saved[-1] == start, "what came after is not worth a checkpoint"


class Greedy(Small):
    """Runs out of memory with more than two windows."""

    def forward(self, tokens_BT: Tensor) -> Tensor:
        if self.training and len(tokens_BT) > 2:
            raise torch.OutOfMemoryError("out of memory: tried to allocate 7 GB")
        return super().forward(tokens_BT)


def test_out_of_memory_halves_the_batch_and_goes_on() -> None:
    events = run(training_of(Greedy(), steps=6))
    assert Applied(0, "batch", {"accumulate": 2}) in events
    assert len(losses(events)) == 6
    assert events[-1].step == 6


def test_out_of_memory_with_one_window_is_one_line() -> None:
    with pytest.raises(ModelError, match=r"one window .* smaller train.context"):
        run(_hopeless())


def _hopeless() -> Training:
    class Hopeless(Small):
        def forward(self, tokens_BT: Tensor) -> Tensor:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    return training_of(Hopeless())


def test_patience_stops_early(monkeypatch: pytest.MonkeyPatch) -> None:
    training = training_of(steps=500, patience=2, lr=1e-9, schedule="constant")
    training.held_out = lambda: [batch_of(10_000)]
    values = iter([1.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr(loop, "evaluate", lambda *_: (next(values), {}))
    events = run(training)
    assert events[-1] == Ended(30, "patience")


def test_minutes_become_steps_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CALIBRATION_SECONDS", 0.05)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=itertools.count(0, 0.002).__next__))  # its own clock
    training = training_of(steps=None, minutes=0.01)
    events = run(training)
    fixed = [e for e in events if isinstance(e, Applied) and e.kind == "budget"]
    assert len(fixed) == 1
    assert isinstance(events[-1], Ended)
    assert events[-1].step <= fixed[0].values["steps"]
    assert training.progress.seconds < 0.01 * 60


def test_what_is_logged_depends_on_the_step_alone() -> None:
    logged = [s for s in range(1, 120_001) if s % loop._log_interval(s) == 0]
    assert logged[:10_000] == list(range(1, 10_001))
    assert logged[10_000:10_003] == [10_010, 10_020, 10_030]
    assert logged[-1] - logged[-2] == 100
    assert len([s for s in logged if s <= 100_000]) == 19_000
