"""Labels by softmax and sigmoids, their weights and scores, and how a text is framed.

B examples, T tokens, N answers that count, V vocabulary.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from torch import nn

from nbllm.errors import DataError
from nbllm.objectives.classification import Classify
from nbllm.objectives.evaluate import evaluate
from tests.contract.cases import made
from tests.objectives.parts import RNG, SPECIAL, Says, task


def classify(labels: tuple[str, ...] = ("x", "y", "z"), **more: Any) -> Classify:
    return Classify(task(labels=labels, **more))


def rows_of(labels: list[str]) -> list[dict[str, str]]:
    return [{"text": "ab", "label": label} for label in labels]


def test_weights_of_labels_are_torchs() -> None:
    objective = classify(class_weights="balanced")
    objective.balance([6, 2, 1])
    each = objective.collate(objective.encode(rows_of(["x", "y", "z", "x"])), RNG(0))
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([9 / (3 * 6), 9 / (3 * 2), 9 / (3 * 1)])
    expected = nn.CrossEntropyLoss(weight=weights)(logits, torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(objective.loss(Says(logits), each, 0)[0], expected)
    by_hand = sum(weights[y] * -logits[i].log_softmax(-1)[y] for i, y in enumerate((0, 1, 2, 0)))
    torch.testing.assert_close(expected, by_hand / sum(weights[y] for y in (0, 1, 2, 0)))


def test_one_sigmoid_answers_yes_or_no() -> None:
    objective = classify(("no", "yes"), answer="sigmoid")
    assert objective.outputs == 1
    each = objective.collate(objective.encode(rows_of(["yes", "no", "yes"])), RNG(0))
    assert each["targets"].tolist() == [[1.0], [0.0], [1.0]]
    logits = torch.tensor([[2.0], [1.0], [-1.0]])
    shares = logits.sigmoid()[:, 0]
    expected = -(shares[0].log() + (1 - shares[1]).log() + shares[2].log()) / 3
    loss, told = objective.loss(Says(logits), each, 0)
    torch.testing.assert_close(loss, expected)
    assert told["accuracy"].item() == pytest.approx(1 / 3)
    objective = classify(("no", "yes"), answer="sigmoid", class_weights="balanced")
    objective.balance([3, 1])
    expected = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))(logits, each["targets"])
    torch.testing.assert_close(objective.loss(Says(logits), each, 0)[0], expected)
    with pytest.raises(DataError, match="One sigmoid answers yes or no, and the data has 3 labels"):
        classify(answer="sigmoid")


def test_several_labels_of_a_text_are_sigmoids() -> None:
    objective = classify(multi_label=True)
    each = objective.collate(objective.encode(rows_of(["x|z", "y", "z | y"])), RNG(0))
    assert each["targets"].tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 1]]
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        objective.loss(Says(logits), each, 0)[0], nn.BCEWithLogitsLoss()(logits, each["targets"])
    )
    _, told = evaluate(objective, Says(torch.where(each["targets"] > 0, 3.0, -3.0)), [each])
    assert told["accuracy"] == told["f1"] == 1.0


@pytest.mark.parametrize("case", ["classification bert", "classification bert sigmoid", "classification bert several"])
def test_f1_and_accuracy_by_counting(case: str) -> None:
    """Macro F1, the mean over the labels of 2 right / (said + there), over several batches of different sizes."""
    found = made(case)
    objective: Any = found.objective
    labels = list(objective.labels)
    rng = RNG(3)
    said_of, there_of, batches, modules = [], [], [], []
    for size in (5, 7, 3):
        names = ["|".join(rng.choice(labels, 2)) if objective.several else str(rng.choice(labels)) for _ in range(size)]
        each = objective.collate(objective.encode(rows_of(names)), rng)
        logits = torch.from_numpy(rng.standard_normal((size, objective.outputs)))
        if objective.several:
            said = logits > 0
        elif objective.sigmoid:
            said = torch.cat((logits <= 0, logits > 0), dim=1)
        else:
            said = nn.functional.one_hot(logits.argmax(-1), len(labels)).bool()
        there = torch.tensor([[label in name.split("|") for label in labels] for name in names])
        said_of.append(said)
        there_of.append(there)
        batches.append(each)
        modules.append(logits)

    class Turns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answers = {id(each["tokens"]): logits for each, logits in zip(batches, modules, strict=True)}

        def forward(self, tokens: torch.Tensor, *_: Any) -> torch.Tensor:
            return self.answers[id(tokens)]

    _, told = evaluate(objective, Turns(), batches)
    said, there = torch.cat(said_of), torch.cat(there_of)
    assert told["accuracy"] == pytest.approx((said == there).all(1).double().mean().item())
    scores = []
    for label in range(len(labels)):
        right = int((said[:, label] & there[:, label]).sum())
        precision = right / max(1, int(said[:, label].sum()))
        recall = right / max(1, int(there[:, label].sum()))
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    assert told["f1"] == pytest.approx(sum(scores) / len(scores))
    if importlib.util.find_spec("sklearn") is not None:
        metrics = importlib.import_module("sklearn.metrics")
        score = metrics.f1_score(there.numpy(), said.numpy(), average="macro", zero_division=0)
        assert told["f1"] == pytest.approx(score)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("abcdef", "", "<cls>abcdef<sep>"),
        ("abcdefghij", "", "<cls>abcdefgh<sep>"),
        ("abc", "de", "<cls>abc<sep>de<sep>"),
        ("abcdefgh", "ij", "<cls>abcde<sep>ij<sep>"),
        ("ab", "cdefghij", "<cls>ab<sep>cdefg<sep>"),
        ("abcdefgh", "abcdefgh", "<cls>abcd<sep>abc<sep>"),
    ],
)
def test_a_text_or_a_pair_is_framed_and_the_longer_is_cut(first: str, second: str, expected: str) -> None:
    objective = Classify(task(special=SPECIAL, context=10, labels=("x", "y")))
    row = {"text": first, "label": "x", **({"pair": second} if second else {})}
    (example,) = objective.encode([row])
    assert example is not None
    tokenizer = objective.task.tokenizer
    assert "".join(tokenizer.id_to_token(int(i)) for i in example["tokens"]) == expected
    assert len(example["tokens"]) <= 10
    behind = expected.index("<sep>") if second else len(expected)
    assert example["segments"].sum() == (len(expected[behind + 5 :].replace("<sep>", "#")) if second else 0)
    assert objective.cut == (len(first) + len(second) + (3 if second else 2) > 10)


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(DataError, match=r"The label 'q' is not among objective.labels. Known: x, y, z"):
        classify().encode(rows_of(["q"]))
