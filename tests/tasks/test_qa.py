"""Question answering: scores by SQuAD's definition, the text and its question read together, what stands beside it."""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nbllm
from nbllm.errors import DataError, NbllmError
from nbllm.tasks import rows
from nbllm.tasks.qa import QuestionAnswering, overlapping
from nbllm.tasks.squad import exact, f1, says_nothing


@pytest.fixture(scope="module")
def task() -> QuestionAnswering:
    found = nbllm.tasks.get("qa")
    assert isinstance(found, QuestionAnswering)
    return found


def plain(text: str) -> list[str]:
    """The definition, written out step by step: small letters, no punctuation, no articles, words."""
    kept = "".join(" " if c in "\t\n" else c for c in text.lower() if c not in set(string.punctuation))
    return [word for word in re.split(r"\s+", re.sub(r"\b(?:a|an|the)\b", " ", kept)) if word]


def defined(said: str, true: str) -> float:
    """F1 of the script of SQuAD 2.0."""
    a, b = plain(said), plain(true)
    if not a or not b:
        return float(a == b)
    same = sum((Counter(a) & Counter(b)).values())
    if not same:
        return 0.0
    precision, recall = same / len(a), same / len(b)
    return 2 * precision * recall / (precision + recall)


def test_scores_are_those_of_squad() -> None:
    """200 pairs of chance, some empty, against the definition."""
    draw = random.Random(3)
    parts = ["the", "The", "a", "an", "cat", "Cat", "sat.", "on", "3.5", "it's", "re-read", "été", "<b>", "“x”", "."]
    for _ in range(200):
        said, true = (" ".join(draw.choices(parts, k=draw.randint(0, 6))) for _ in range(2))
        assert f1(said, true) == pytest.approx(defined(said, true)), (said, true)
        assert exact(said, true) == float(plain(said) == plain(true))


@pytest.mark.parametrize(
    ("said", "true", "match", "share"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1, 1),
        ("in the Eiffel Tower", "Eiffel Tower", 0, 0.8),
        ("", "Paris", 0, 0),
        ("the", "Paris", 0, 0),
        ("", "unknown", 1, 1),
        ("Paris", "unknown", 0, 0),
        ("anthem", "them", 0, 0),
        ("厨房。", "厨房", 1, 1),
        ("在厨房", "厨房", 0, 0.8),
        ("不知道", "unknown", 1, 1),
    ],
)
def test_cases_of_the_scores(said: str, true: str, match: float, share: float) -> None:
    assert exact(said, true) == match
    assert f1(said, true) == pytest.approx(share)


def test_abstention_is_the_f1_of_saying_that_there_is_no_answer(task: QuestionAnswering) -> None:
    true = ["unknown", "unknown", "kitchen", "garden"]
    found = task.measure(
        task.judge([{"answer": each} for each in true], [{"answer": each} for each in ("unknown", "b", "", "garden")])
    )
    assert found == {"exact_match": 0.5, "f1": 0.5, "abstention": 0.5}
    assert task.measure(task.judge([{"answer": "x"}], [{"answer": "y"}]))["abstention"] == 1.0
    assert says_nothing("Unknown.")
    assert not says_nothing("none")


def test_the_text_and_its_question_are_read_together(task: QuestionAnswering) -> None:
    row = {"context": "Anna is here.\nOmar is there.", "question": "Who?", "answer": "Anna"}
    assert task.source(row) == "Anna is here.\nOmar is there.\nWho?"
    joined = [{"source": task.source(row), "target": "Anna"}]
    assert rows.by_column(task, joined) == [row]
    assert rows.role_names(task) == ["source", "target"]


def test_columns_of_the_user(task: QuestionAnswering) -> None:
    table = pd.DataFrame({"passage": ["a b"], "asked": ["c?"], "reply": ["b"]})
    named = {"source_column": "passage+asked", "target_column": "reply"}
    assert rows.of_data(task, table, named)[0] == [{"context": "a b", "question": "c?", "answer": "b"}]
    assert rows.typed(task, table, named)[0] == [{"context": "a b", "question": "c?"}]
    with pytest.raises(DataError, match="has no column 'context'"):
        rows.of_data(task, table, {})
    with pytest.raises(DataError, match="qa takes context and question"):
        rows.typed(task, ["a text without a question"], {})


def test_the_sentence_nearest_to_the_question(task: QuestionAnswering) -> None:
    text = "Anna went to the kitchen. Omar is in the garden. Anna is in the attic."
    assert overlapping(text, "Where is Anna?") == "attic"
    assert overlapping("小明在厨房。小红在花园。", "小明在哪里？") == "厨房"
    assert overlapping("", "Who?") == ""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield nbllm.tasks.get("qa").train("qa-one", steps=6, wait=True, runner="inline", **{"model.width": 32})


def test_it_trains_answers_and_is_scored(task: QuestionAnswering, run: Any) -> None:
    assert run.state == "finished", run.error
    found = task.predict([task.examples[0], ("", "Where?")], model=run.load())
    assert list(found.columns) == ["context", "question", "answer", "probability"]
    assert found["answer"].isna().tolist() == [False, True]
    table = task.evaluate(model=run.load(), limit=40)
    assert list(table.index) == ["exact_match", "f1", "abstention"]
    assert {"value", "low", "high", "most frequent", "word overlap"} <= set(table.columns)
    assert table.attrs["kind"] == "test rows"
    assert 0.3 < table.loc["exact_match", "word overlap"] <= 1
    wrong = task.errors(model=run.load(), limit=10)
    assert {"context", "question", "true", "answer"} <= set(wrong.columns)
    moved = task.explain(run.load(), {"context": "Anna went to the attic.", "question": "Where is Anna?"})
    assert any("Anna" in token for token in moved.inputs)


def test_a_file_of_babi_is_scored(task: QuestionAnswering, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "qa1_test.txt"
    path.write_text("1 Mary moved to the garden.\n2 Where is Mary? \tgarden\t1\n", encoding="utf-8")
    table = task.evaluate(path, model=run.load())
    assert table.attrs["rows"] == 1
    assert table.loc["exact_match", "word overlap"] == 1


def test_what_cannot_answer_is_refused_in_a_line(task: QuestionAnswering, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path))
        labels = nbllm.train(
            "labels", model="cnn", objective="classification", size="tiny", steps=2, runner="inline", wait=True
        )
        with pytest.raises(NbllmError, match="labels gives labels, and qa needs a model that answers"):
            task.predict([("a text", "a question?")], run=labels.name)
