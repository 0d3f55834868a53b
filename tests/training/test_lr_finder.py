"""The learning-rate test: everything put back, the time kept, the suggestion read off curves that are known."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nbllm.errors import ModelError
from nbllm.training import lr_finder
from nbllm.training.checkpoint import generator_states
from nbllm.training.loop import Training, train
from nbllm.training.lr_finder import read, sweep
from tests.training.test_loop import Commands, losses, run, training_of


def state_of(training: Training) -> dict[str, Tensor]:
    """Every tensor that training changes, and the generators."""
    module = training.module
    parts = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    parts |= {f"optimizer.{name}": tensor for name, tensor in training.optimizers.state().items()}
    return {name: tensor.detach().clone() for name, tensor in (parts | generator_states(module)).items()}


@pytest.mark.parametrize("settings", [{}, {"optimizer": "adamw"}, {"unfreeze_every": 3}])
def test_a_sweep_in_the_middle_of_a_training_changes_nothing(settings: dict[str, Any]) -> None:
    """Bit for bit: the course with a sweep at step 7 equals the one without."""
    whole = losses(run(training_of(steps=30, **settings)))
    training = training_of(steps=30, **settings)
    told: dict[int, float] = {}
    for event in train(training, Commands()):
        told |= losses([event])
        if told and max(told) == 7 and len(told) == 7:
            before, progress = state_of(training), vars(training.progress).copy()
            modes = [part.training for part in training.module.modules()]
            learns = [p.requires_grad for p in training.module.parameters()]
            seen = sweep(training, steps=40)
            assert len(seen.rates) >= 20
            after = state_of(training)
            assert before.keys() == after.keys()
            assert all(torch.equal(before[name], after[name]) for name in before)
            assert vars(training.progress) == progress
            assert [part.training for part in training.module.modules()] == modes
            assert [p.requires_grad for p in training.module.parameters()] == learns
    assert told == whole


def test_a_sweep_before_the_first_step_leaves_a_fresh_optimizer() -> None:
    training = training_of()
    sweep(training, steps=30)
    assert losses(run(training)) == losses(run(training_of()))


def test_the_rate_rises_by_equal_factors_until_the_loss_explodes() -> None:
    seen = sweep(training_of(), steps=80, high=1000.0)
    factors = seen.rates[1:] / seen.rates[:-1]
    assert np.allclose(factors, factors[0])
    assert seen.rates[0] == pytest.approx(lr_finder.LOWEST)
    assert seen.ended == "exploded"
    assert seen.losses[-1] > lr_finder.EXPLODED * seen.losses.min()
    assert seen.rates[-1] < 1000
    assert seen.lr is not None
    assert 1e-3 < seen.lr < 1


def test_a_loss_that_is_no_number_ends_it_too() -> None:
    training = training_of()
    original, calls = training.objective.loss, itertools.count()

    def loss(module: Any, batch: Any, step: int) -> Any:
        value, metrics = original(module, batch, step)
        return (value * float("nan") if next(calls) > 60 else value), metrics

    training.objective.loss = loss
    seen = sweep(training, steps=90)
    assert seen.ended == "exploded"
    assert np.isfinite(seen.losses).all()


def test_it_fits_into_its_time_by_making_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of the test's own, on which each step takes a second."""
    now = itertools.count()
    monkeypatch.setattr(lr_finder.time, "perf_counter", lambda: float(next(now)))
    seen = sweep(training_of(), steps=500, seconds=90)
    assert 20 <= len(seen.rates) + 4 <= 90
    with pytest.raises(ModelError, match=r"Only \d+ steps fit into 3 seconds.*seconds=300"):
        sweep(training_of(), steps=500, seconds=3)


def curve(place: np.ndarray, centre: float, noise: float) -> np.ndarray:
    """A loss that falls from 4 to 2 around 10^centre, and rises again two decades later."""
    rng = np.random.default_rng(0)
    falls = 4 - 2 / (1 + np.exp(-6 * (place - centre)))
    return falls + np.maximum(0, place - centre - 1.5) ** 2 * 4 + noise * rng.standard_normal(len(place))


@pytest.mark.parametrize("centre", [-3.0, -2.0])
def test_the_suggestion_stands_where_most_of_the_fall_is_done(centre: float) -> None:
    place = np.linspace(-5, 0.5, 100)
    smooth, lr, steepest, lowest = read(10**place, curve(place, centre, 0.08))
    assert len(smooth) == 100
    assert lr is not None
    assert np.log10(steepest) == pytest.approx(centre, abs=0.2)
    assert centre + 0.1 < np.log10(lr) < centre + 0.8
    assert lr < lowest


def test_a_loss_that_falls_nowhere_suggests_nothing() -> None:
    place = np.linspace(-5, 0.5, 100)
    rng = np.random.default_rng(0)
    rising = 1.4 + np.maximum(0, place + 2) ** 2 + 0.02 * rng.standard_normal(100)
    assert read(10**place, rising)[1] is None
    assert read(np.empty(0), np.empty(0))[1] is None
