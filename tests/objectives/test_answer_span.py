"""An encoder that marks where an answer stands: examples and back, windows of a long text, and what it learns."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest

import nbllm
from nbllm.config import TokenizerConfig, resolve
from nbllm.data import tokenizers
from nbllm.generation.span import find
from nbllm.objectives.answer_span import AnswerSpan, parted
from nbllm.objectives.make import make, recipe

NAMES = ["Anna", "Omar", "Mei", "Lucia", "Tom", "小明"]
PLACES = ["attic", "garden", "office", "kitchen", "cellar", "厨房"]


def objective(context: int) -> AnswerSpan:
    config = resolve([("test", {"objective": "answer-span", "model": "bert", "context": context})])
    tokenizer = tokenizers.train(TokenizerConfig(kind="char"), iter(["abcdefghij .?"]), recipe(config).special)
    found = make(config, tokenizer)
    assert isinstance(found, AnswerSpan)
    return found


def test_examples_hold_the_answer_and_tell_it_back() -> None:
    made = objective(32)
    rows = [
        {"source": "abc def. ghi\nig?", "target": "DEF"},
        {"source": "abc def. ghi\nig?", "target": "unknown"},
        {"source": "abc def. ghi\nig?", "target": "jjj"},
        {"source": "no text", "target": "no"},
    ]
    first, nothing, absent, alone = made.encode(rows)
    assert first is not None
    assert nothing is not None
    assert made.row(first)["target"] == "def"
    assert nothing["ends"].tolist() == [0, 0]
    assert absent is None
    assert alone is None
    assert parted("a\nb\nc?\n") == ("a\nb", "c?")


def test_of_a_long_text_the_window_with_the_answer_is_learned() -> None:
    made = objective(24)
    text = "abc " * 20 + "jig " + "abc " * 4
    (example,) = made.encode([{"source": f"{text}\nb?", "target": "jig"}])
    assert example is not None
    assert len(example["tokens"]) <= 24
    assert made.row(example)["target"] == "jig"
    assert made.cut == 1
    windows = made.windows(text, "b?")
    covered = {place for window in windows for place in range(window.offsets[0][0], window.offsets[-1][1])}
    assert covered == set(range(len(text)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    draw = random.Random(0)
    rows = []
    for _ in range(900):
        who, where = draw.choice(NAMES), draw.choice(PLACES)
        question, answer = draw.choice([("Who is there?", who), ("Where is it?", where), ("When was it?", "unknown")])
        text = f"{draw.choice(['Now', 'Today', 'As ever', 'Of course'])} {who} is in the {where}."
        rows.append({"context": text, "question": question, "answer": answer})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path_factory.mktemp("runs")))
        run = nbllm.tasks.get("qa").train(
            pd.DataFrame(rows), name="reader", objective="answer-span", model="bert", size="tiny", steps=150,
            tokenizer="word", context=32, batch_size=32, runner="inline", evaluate_every=75, lr=3e-3,
            **{"model.dropout": 0.0},
        )  # fmt: skip
        assert run.state == "finished", run.error
        yield run


def test_it_learns_to_mark_answers_and_to_say_that_there_is_none(run: Any) -> None:
    task, model = nbllm.tasks.get("qa"), run.load()
    table = task.evaluate(model=model)
    assert table.loc["exact_match", "value"] > 0.9
    texts = ["As ever 小明 is in the 厨房.", "Today Tom is in the attic."]
    found = task.predict([(texts[0], "Where is it?"), (texts[1], "Who is there?")], model=model)
    assert found["answer"].tolist() == ["厨房", "Tom"]
    assert (found["probability"] > 0.3).all()
    spans = find(model.module, model.objective, texts, ["When was it?", "Where is it?"])
    assert [(each.start, each.end) for each in spans] == [(0, 0), (20, 25)]
    assert task.explain(model, {"context": "a", "question": "b"}) is None
