"""The analytic count of FLOPs against torch's own counter, for every family with every objective, preset and choice.

TOLERANCE is what the two may differ by. Backward differs from twice the forward pass in one place alone: nothing asks
for the gradient of the state that a recurrent layer begins with.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nbllm.models import flops
from nbllm.models.estimate import Shape
from tests.contract.cases import CASES, Made, configure, made

FORWARD, TOLERANCE = 1e-9, 0.02
ROWS, TOKENS, TARGETS = 2, 32, 20
LONG = {"train.context": 2 * TOKENS, "train.target_context": 2 * TOKENS}


def counted(run: Any) -> float:
    """FLOPs of a call by torch's counter; by plain products, for it knows no fused kernel of a CPU."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def passes(case: Made) -> tuple[Any, int]:
    """A forward pass of full rows that gives one number, and the places of a row at which the head runs."""
    tokens = torch.randint(0, 8, (ROWS, TOKENS))
    target = torch.randint(0, 8, (ROWS, TARGETS))
    module = case.module.train()
    if case.head == "target":
        return lambda: module(tokens, target).sum(), TARGETS
    if case.head == "latent":
        return lambda: module(tokens, None, target).sum(), TARGETS
    if case.head == "masked":
        pairs = case.config.objective.kind == "nsp" or case.config.objective.next_sentence
        places = 0 if case.config.objective.kind == "nsp" else 6

        def masked() -> torch.Tensor:
            x = module.hidden(tokens)
            total = module.head(x[:, :places]).sum() if places else 0.0
            return total + module.pair_head(x).sum() if pairs else total

        return masked, places
    return lambda: module(tokens).sum(), TOKENS if case.head in ("next", "tags", "ends") else 1


@pytest.mark.parametrize("case", CASES)
def test_the_count_agrees_with_torch(case: str) -> None:
    """Masks are counted whole here, as the counter does."""
    model = made(case, **LONG)
    call, answers = passes(model)
    task = model.objective.task
    vocabulary = task.tokenizer.get_vocab_size()
    shape = Shape.of(model.config, vocabulary)
    if task.target_tokenizer is not None:
        shape = Shape(**{**vars(shape), "target_vocab": task.target_tokenizer.get_vocab_size()})
    parts = flops.row(model.config, shape, TOKENS, TARGETS, answers, seen="all")
    forward = ROWS * sum(parts.values())
    assert forward == pytest.approx(counted(call), rel=FORWARD)
    assert flops.TRAINING * forward == pytest.approx(counted(lambda: call().backward()), rel=TOLERANCE)


@pytest.mark.parametrize("part", flops.PARTS)
def test_no_part_is_beside_the_point(part: str) -> None:
    """The agreement is not that of a count in which one part drowns the others."""
    parts = flops.row(configure("clm transformer", **LONG), Shape(60), TOKENS, TARGETS, seen="all")
    assert parts[part] > 3 * TOLERANCE * sum(parts.values())
