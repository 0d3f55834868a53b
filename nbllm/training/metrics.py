"""Metrics on held-out text beside the loss: measured over batches, with two built in.

N is the number of positions that count, V the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nbllm.errors import one_line
from nbllm.models.evaluating import evaluating
from nbllm.objectives.base import IGNORED
from nbllm.training.checkpoint import generator_states, set_generator_states

Metric = Callable[[Tensor, Tensor], Any]


def accuracy(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Share of the positions whose likeliest token is the right one."""
    return (logits_NV.argmax(-1) == targets_N).float().mean()


def top5(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Share of the positions whose right token is among the five likeliest."""
    likeliest_N5 = logits_NV.topk(min(5, logits_NV.shape[-1])).indices
    return (likeliest_N5 == targets_N.unsqueeze(-1)).any(-1).float().mean()


@torch.inference_mode()
def measure(
    metrics: dict[str, Metric],
    objective: Any,
    module: nn.Module,
    batches: Iterable[Any],
    say: Callable[[str], None] = print,
) -> dict[str, float]:
    """The mean of each metric over the batches, weighed by their positions, in evaluation mode.

    `objective.predict(module, batch)` gives (logits_NV, targets_N). A metric that raises is taken out of `metrics`,
    which `say` is told in one line; one whose mean is not finite is left out of the answer.
    """
    if not metrics:
        return {}
    generators = generator_states(module)  # a metric that draws changes nothing in the training
    sums = dict.fromkeys(metrics, 0.0)
    positions = 0
    with evaluating(module):
        for batch in batches:
            logits_NV, targets_N = objective.predict(module, batch)
            if targets_N.dtype == torch.int64 and bool((targets_N == IGNORED).any()):
                logits_NV, targets_N = logits_NV[targets_N != IGNORED], targets_N[targets_N != IGNORED]
            count = len(targets_N)
            if not count:
                continue
            positions += count
            for name, metric in list(metrics.items()):
                try:
                    sums[name] += float(metric(logits_NV, targets_N)) * count
                except Exception as error:
                    del metrics[name]
                    say(f"metric '{name}' is switched off: {one_line(f'{type(error).__name__}: {error}')}")
    set_generator_states(generators, module)
    means = {name: sums[name] / max(positions, 1) for name in metrics}
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}
