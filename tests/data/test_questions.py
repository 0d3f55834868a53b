"""SQuAD's JSON and bAbI's text as rows: all answers are kept, and no story stands on both sides."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

import nbllm
from nbllm.config import DataConfig
from nbllm.data.make_examples import split_rows
from nbllm.data.questions import golds_of
from nbllm.data.rows import read_rows
from nbllm.runners import plan

ROLES = ["source", "target"]
JOINED = {"source_column": "context+question"}


def squad(path: Path, paragraphs: int, asked: int = 5) -> Path:
    """A file in SQuAD's format: paragraphs of facts, each with questions of several answers, some without any."""
    draw = random.Random(1)
    names = ["Anna", "Omar", "Mei", "Lucia", "Tom", "Nora"]
    articles = []
    for number in range(paragraphs):
        who = draw.sample(names, asked)
        facts = [f"{name} has lived at number {number}{i} of the old road since 19{i}{number % 10}." for i, name in
                 enumerate(who)]  # fmt: skip
        context = " ".join(facts)
        questions = []
        for i, name in enumerate(who):
            answer = f"number {number}{i}"
            longer = f"number {number}{i} of the old road"
            found = [{"text": t, "answer_start": context.index(t)} for t in (longer, answer, longer)]
            questions.append({"id": f"{number}-{i}", "question": f"Where does {name} live?", "answers": found})
        questions.append({"id": f"{number}-no", "question": "Who left?", "is_impossible": True, "answers": []})
        articles.append({"title": str(number), "paragraphs": [{"context": context, "qas": questions}]})
    path.write_text(json.dumps({"version": "v2.0", "data": articles}), encoding="utf-8")
    return path


def babi(path: Path, stories: int) -> Path:
    """A file in bAbI's format, each story with a question after every two sentences."""
    draw = random.Random(2)
    lines = []
    for story in range(stories):
        line = 0
        for _ in range(5):
            for _ in range(2):
                line += 1
                who, where = (
                    draw.choice(["Mary", "John", "Daniel"]),
                    draw.choice(["garden", "office", "hall"]),
                )
                lines.append(f"{line} {who} of house {story} moved to the {where}.")
            line += 1
            lines.append(f"{line} Where is {who}? \t{where}\t{line - 1}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_all_answers_of_squad_are_kept_and_the_best_counts(tmp_path: Path) -> None:
    path = squad(tmp_path / "dev.json", 3)
    rows = list(read_rows(DataConfig(source=str(path), **JOINED), ROLES, tmp_path, None, {}))
    assert len(rows) == 18
    first = rows[0]
    assert first["target"] == "number 00 of the old road"  # what most people gave
    assert golds_of(first, "target")[1:] == ["number 00 of the old road", "number 00"]
    assert "golds" not in rows[5]
    task = nbllm.tasks.get("qa")
    row = {"context": "c", "question": "q", "answer": first["target"], "golds": first["golds"]}
    judged = task.judge([row] * 3, [{"answer": "number 00"}, {"answer": "old road"}, {"answer": ""}])
    assert [each[0] for each in judged] == [1.0, 0.0, 0.0]
    assert judged[1][1] == pytest.approx(2 * 2 / (2 + 5))  # beside "number 00 of old road", not "number 00"
    assert task.is_right(row, {"answer": "Number 00"})
    # As the data set comes from the hub, in a list of the notebook.
    from nbllm.tasks.rows import of_data

    own = [{"context": "a b", "question": "c?", "answers": {"text": ["b", "a b"], "answer_start": [2, 0]}}]
    found, _ = of_data(task, own, {"target_column": "answers"})
    assert golds_of(found[0], "answer") == ["b", "b", "a b"]


@pytest.mark.parametrize("kind", ["babi", "squad"])
def test_no_story_stands_on_both_sides(tmp_path: Path, kind: str) -> None:
    path = babi(tmp_path / "qa1_train.txt", 300) if kind == "babi" else squad(tmp_path / "train.json", 200)
    config = plan.configure(nbllm.tasks.get("qa").layers([("call", {"data.source": str(path)})]))
    train, held, test = split_rows(config, ROLES, tmp_path, None)
    whole = len(train) + len(held)
    assert whole == (1500 if kind == "babi" else 1200)
    assert not test
    assert 0.05 < len(held) / whole < 0.2

    def stories(rows: list[dict[str, str]]) -> set[str]:
        return {re.findall(r"of house (\d+)|number (\d+)0 of", row["source"])[0] for row in rows}

    assert len(stories(train) | stories(held)) == (300 if kind == "babi" else 200)
    assert not stories(train) & stories(held)


def test_one_story_alone_is_learned_from(tmp_path: Path) -> None:
    rows = list(read_rows(DataConfig(source=str(babi(tmp_path / "a.txt", 1)), **JOINED), ROLES, tmp_path, None, {}))
    assert {row["split"] for row in rows} == {"train"}
