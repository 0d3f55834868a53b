"""Sentiment from a table to a score: train, predict, evaluate, errors, leaderboard, on few short rows."""

from __future__ import annotations

import pandas as pd
import pytest

import nbllm
from nbllm.errors import ModelError, RunError
from nbllm.handles.run import Run

ROWS = [
    {"review": f"{who} was {word} {when}", "stars": label}
    for who in ("it", "this", "the tea", "the film", "he")
    for label, words in {"good": ("fine", "great", "lovely"), "bad": ("poor", "awful", "dull")}.items()
    for word in words
    for when in ("today", "again", "as ever", "on Monday")
]
QUICK = {"steps": 200, "model": "cnn", "size": "tiny", "runner": "inline", "batch_size": 16}


@pytest.fixture
def trained(runs) -> Run:
    return nbllm.tasks.get("sentiment").train(pd.DataFrame(ROWS), text_column="review", label_column="stars", **QUICK)


def test_a_table_of_the_users_from_training_to_the_wrong_rows(trained, tmp_path):
    task = nbllm.tasks.get("sentiment")
    assert trained.name == "sentiment"
    assert trained.state == "finished", trained.error
    frame = pd.DataFrame({"id": [7, 8, 9], "review": ["the tea was great", None, "it was awful"]})
    found = task.predict(frame, text_column="review")
    assert found["id"].tolist() == [7, 8, 9]
    assert found["label"].tolist()[::2] == ["good", "bad"]
    assert found["label"].isna().tolist() == [False, True, False]
    assert found.attrs["without_text"] == 1
    assert found["p(good)"][0] + found["p(bad)"][0] == pytest.approx(1)
    table = task.evaluate()
    assert list(table.index) == ["accuracy", "macro_f1", "ece"]
    assert list(table.columns) == ["value", "low", "high", "majority", "bag of words"]
    assert table.loc["accuracy", "value"] == 1
    assert table.loc["accuracy", "majority"] == pytest.approx(0.5, abs=0.1)
    assert (table["low"] <= table["value"]).all()
    assert table.attrs["kind"] == "held-out rows"
    wrong = pd.DataFrame([{"review": "the film was great", "stars": "bad"}, {"review": "he was dull", "stars": "bad"}])
    wrong.to_csv(tmp_path / "own.csv", index=False)
    scored = task.evaluate(tmp_path / "own.csv", text_column="review", label_column="stars")
    assert scored.loc["accuracy", "value"] == 0.5
    errors = task.errors(tmp_path / "own.csv", text_column="review", label_column="stars")
    assert errors[["text", "true", "label"]].to_numpy().tolist() == [["the film was great", "bad", "good"]]
    board = nbllm.tasks.leaderboard("sentiment")
    assert list(board.index) == ["sentiment", "majority", "bag of words"]
    assert callable(nbllm.tasks.leaderboard)


def test_without_a_run_it_says_what_to_type(runs):
    with pytest.raises(RunError, match=r"no trained run of sentiment yet. Type: %llm_task sentiment --train"):
        nbllm.tasks.get("sentiment").predict("fine")


def test_a_model_of_another_kind_is_one_line(runs):
    nbllm.train("writer", data=["ab " * 600], size="tiny", steps=2, runner="inline")
    with pytest.raises(ModelError, match="writer goes on from a text, and sentiment needs a model that gives labels"):
        nbllm.tasks.get("sentiment").predict("fine", run="writer")


def test_an_interrupt_keeps_what_is_done(trained):
    def stop(done: int, of: int, seconds: float) -> None:
        raise KeyboardInterrupt

    class Small(type(nbllm.tasks.get("sentiment"))):
        batch = 4

    table = Small("sentiment").evaluate(ROWS, progress=stop, text_column="review", label_column="stars")
    assert table.attrs["interrupted"]
    assert (table.attrs["rows"], table.attrs["of"]) == (4, len(ROWS))
