"""Next tokens, plain and behind a prefix.

B examples, T tokens, N answers that count, V vocabulary.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch

from nbllm.objectives.base import IGNORED
from nbllm.objectives.evaluate import evaluate
from tests.contract.cases import batch, made


def test_the_prefix_is_seen_both_ways_and_only_what_is_behind_it_counts() -> None:
    found = made("prefix-lm transformer")
    each = batch(found, rows=64)
    length = each["tokens"].shape[1]
    assert each["prefix"].min() >= 1
    assert each["prefix"].max() <= length // 2
    assert len(each["prefix"].unique()) > 4
    for row in range(64):
        counts = (each["targets"][row] != IGNORED).tolist()
        n = int(each["prefix"][row])
        assert counts == [False] * (n - 1) + [True] * (length - n + 1), "its last token answers for the first behind it"
    assert found.objective.weight(each) == int((each["targets"] != IGNORED).sum())


def test_bits_per_byte_and_perplexity_follow_from_the_loss() -> None:
    found = made("clm lstm")
    loss, told = evaluate(found.objective, found.module, [batch(found)], tokens_per_byte=0.5)
    assert told["bits_per_byte"] == pytest.approx(loss / math.log(2) * 0.5)
    assert told["perplexity"] == pytest.approx(math.exp(loss))


def test_a_teacher_is_learned_from_while_training_and_never_held_out() -> None:
    """The loss and its gradient against the formula written out: (1 - w) hard + w S^2 KL(teacher || student)."""
    found = made("clm transformer", **{"objective.teacher_weight": 0.3, "objective.teacher_temperature": 4.0})
    objective, module, each = found.objective, found.module, batch(found)
    plain, _ = objective.loss(module, each, 0)
    teacher = copy.deepcopy(module).eval().requires_grad_(False)
    for parameter in teacher.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    objective.learn_from(teacher)
    try:
        loss, told = objective.loss(module.train(), each, 0)
        student, taught = ((net(each["tokens"]) / 4).softmax(-1).flatten(0, 1) for net in (module, teacher))
        soft = 16 * (taught * (taught.log() - student.log())).sum(-1).mean()
        torch.testing.assert_close(loss, (1 - 0.3) * plain + 0.3 * soft)
        assert set(told) == {"hard_loss", "soft_loss"}
        loss.backward()
        assert all(parameter.grad is None for parameter in teacher.parameters())
        held_out, _ = evaluate(objective, module, [each])
        assert held_out == pytest.approx(float(plain.detach()))
    finally:
        del objective.teacher
        module.eval()


def test_windows_are_turned_so_that_the_middle_comes_last_and_held_out_ones_are_not() -> None:
    found = made("clm transformer", **{"objective.fill_middle": 0.5})
    objective, each = found.objective, batch(found, rows=200)
    prefix, suffix, middle = objective.marks  # type: ignore[attr-defined]
    turned = objective.turned(each)  # type: ignore[attr-defined]
    whole = torch.cat((each["tokens"], each["targets"][:, -1:]), dim=1).tolist()
    told = torch.cat((turned["tokens"], turned["targets"][:, -1:]), dim=1).tolist()
    changed = 0
    for before, after in zip(whole, told, strict=True):
        if after == before:
            continue
        changed += 1
        a, c, end = after.index(suffix), after.index(middle), after.index(objective.task.end)
        assert after[0] == prefix
        assert [*after[1:a], *after[c + 1 : end], *after[a + 1 : c], *after[end + 1 :]] == before[:-4]
    assert 60 < changed < 140
    held_out, _ = evaluate(objective, found.module.eval(), [each])
    plain = {name: tensor for name, tensor in each.items() if name != "draws"}
    assert held_out == pytest.approx(evaluate(objective, found.module, [plain])[0])
