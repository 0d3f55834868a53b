"""The held-out loss of an objective, and what it measures beside it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from nbllm.models.evaluating import evaluating
from nbllm.objectives.base import Batch, Objective


@torch.inference_mode()
def evaluate(
    objective: Objective, module: nn.Module, batches: Iterable[Batch], tokens_per_byte: float = 1.0
) -> tuple[float, dict[str, float]]:
    """The mean loss over held-out batches, each weighed by its answers, and the measures, in evaluation mode."""
    total, weight = 0.0, 0.0
    sums: dict[str, list[float]] = {}
    with evaluating(module):
        for batch in batches:
            loss, _ = objective.loss(module, batch, 0)
            count = objective.weight(batch)
            total += float(loss) * count
            weight += count
            for name, (part, number) in objective.measures(module, batch).items():
                held = sums.setdefault(name, [0.0, 0.0])
                held[0] += part
                held[1] += number
    mean = total / weight if weight else 0.0
    measures = {name: part / number if number else 0.0 for name, (part, number) in sums.items()}
    return mean, objective.summary(mean, measures, tokens_per_byte)
