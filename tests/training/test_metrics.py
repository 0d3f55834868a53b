"""Metrics on held-out text: right, weighed by positions, harmless to the training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nbllm.objectives.base import IGNORED, Batch, Objective
from nbllm.training.metrics import accuracy, measure, top5

V = 9


class Told(Objective):
    """The logits stand in the batch."""

    def __init__(self) -> None:
        pass

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        raise NotImplementedError

    def predict(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        return batch["logits"], batch["targets"]


def batch(count: int, right: int) -> Batch:
    """`count` positions, of which the first `right` are right."""
    targets_N = torch.arange(count) % V
    logits_NV = torch.zeros(count, V)
    guessed_N = torch.where(torch.arange(count) < right, targets_N, (targets_N + 1) % V)
    logits_NV[torch.arange(count), guessed_N] = 1.0
    return {"logits": logits_NV, "targets": targets_N}


def test_accuracy_and_top5() -> None:
    logits_NV = torch.tensor([[6.0, 5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5, 6]])
    assert float(accuracy(logits_NV, torch.tensor([0, 0]))) == 0.5
    assert float(top5(logits_NV, torch.tensor([4, 1]))) == 0.5
    assert float(top5(logits_NV[:, :2], torch.tensor([1, 0]))) == 1.0


def test_batches_weigh_by_their_positions() -> None:
    found = measure({"accuracy": accuracy}, Told(), nn.Linear(1, 1), [batch(30, 30), batch(10, 0)])
    assert found == {"accuracy": pytest.approx(0.75)}


def test_positions_that_do_not_count_are_left_out() -> None:
    half = batch(10, 5)
    half["targets"][5:] = IGNORED
    nothing = batch(4, 4)
    nothing["targets"][:] = IGNORED
    assert measure({"accuracy": accuracy}, Told(), nn.Linear(1, 1), [half, nothing])["accuracy"] == 1.0


def test_a_metric_that_raises_is_taken_out_and_said_once() -> None:
    calls: list[int] = []

    def faulty(logits_NV: Tensor, targets_N: Tensor) -> float:
        calls.append(1)
        raise KeyError("a\nb")

    metrics: dict[str, Any] = {"faulty": faulty, "accuracy": accuracy, "odd": lambda *_: float("nan")}
    said: list[str] = []
    for _ in range(2):
        found = measure(metrics, Told(), nn.Linear(1, 1), [batch(4, 4), batch(4, 4)], said.append)
        assert found == {"accuracy": 1.0}
    assert len(calls) == 1
    assert said == ["metric 'faulty' is switched off: KeyError: 'a\\nb'"]
    assert "\n" not in said[0]


def test_mode_gradients_and_generators_are_as_before() -> None:
    module = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
    seen: list[bool] = []

    def drawing(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
        seen.append(module.training or torch.is_grad_enabled())
        return torch.rand(())

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert 0 <= measure({"drawing": drawing}, Told(), module, [batch(4, 4)])["drawing"] <= 1
    assert torch.equal(torch.rand(3), expected)
    assert module.training
    assert seen == [False]
