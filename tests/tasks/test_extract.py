"""Entities: what tables hold, tags and back, F1 against seqeval, and the task from a table to a triple."""

from __future__ import annotations

import json
import random

import pandas as pd
import pytest

import nbllm
from nbllm.config import TokenizerConfig, resolve
from nbllm.data import events, tokenizers
from nbllm.data.entities import parse_spans
from nbllm.errors import DataError, ModelError
from nbllm.objectives.make import make
from nbllm.tasks.extract import Extract, triples_of

TEXT = "As Anna Adler left, Nova Glass hired Hugo."
SPANS = [(3, 13, "person#leaves.s"), (20, 30, "company"), (37, 41, "person")]


def test_spans_and_tags_a_word_say_the_same():
    expected = [(0, 10, "person"), (16, 18, "place"), (19, 23, "place")]
    text = "Anna Adler left Ny Ulm."
    assert parse_spans(text, json.dumps([list(span) for span in expected])) == expected
    assert parse_spans(text, "B-person I-person O B-place B-place") == expected
    assert parse_spans(text, json.dumps([{"start": 0, "end": 4, "label": "x"}])) == [(0, 4, "x")]
    for wrong in ('[[0, 99, "x"]]', "[3]", "B-person O", '[[2, 1, "x"]]'):
        with pytest.raises(DataError):
            parse_spans(text, wrong)


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "byte"])
@pytest.mark.parametrize("text", [TEXT, "那天，王小明离开了北方银行。"])
def test_tags_give_the_spans_back_whatever_the_tokens(kind, text):
    if kind == "bpe" and text != TEXT:
        pytest.skip("learned from one sentence without spaces, its pieces are longer than a name")
    spans = SPANS if text == TEXT else [(3, 6, "person"), (9, 13, "company")]
    config = resolve([("test", {"objective": "tagging", "model": "lstm", "tokenizer": kind, "vocab_size": 300})])
    config.objective.labels = sorted({label for _, _, label in spans})
    tokenizer = tokenizers.train(TokenizerConfig(kind=kind, vocab_size=300), iter([text] * 3))
    objective = make(config, tokenizer)
    encoding = tokenizer.encode(text, add_special_tokens=False)
    tags = objective.tags(spans, encoding.offsets)  # type: ignore[attr-defined]
    assert [span for _, span in objective.spans(tags, encoding.offsets, text)] == spans  # type: ignore[attr-defined]


def test_f1_is_seqevals_on_random_texts():
    from seqeval.metrics import f1_score, precision_score, recall_score

    draw = random.Random(0)
    rows, answers, true, said = [], [], [], []
    for _ in range(200):
        count = draw.randint(1, 12)
        words = ["w"] * count
        text = " ".join(words)
        for target in (true, said):
            tags, before = [], "O"
            for _ in words:
                before = draw.choice(["O", "B-a", "B-b", *([f"I-{before[2:]}"] if before != "O" else [])])
                tags.append(before)
            target.append(tags)
        rows.append({"text": text, "spans": " ".join(true[-1])})
        answers.append({"spans": " ".join(said[-1])})
    task = Extract("extract")
    found = task.measure(task.judge(rows, answers))
    assert found["entity_f1"] == pytest.approx(f1_score(true, said))
    assert found["precision"] == pytest.approx(precision_score(true, said))
    assert found["recall"] == pytest.approx(recall_score(true, said))


def test_no_entity_of_the_test_stands_in_the_training_text():
    for table in (events.events, events.zh_events):
        names: dict[str, set[str]] = {}
        for row in table():
            spans = parse_spans(row["text"], row["spans"])
            assert triples_of(row["text"], spans)
            names.setdefault(row["split"], set()).update(row["text"][start:end] for start, end, _ in spans)
        assert names["test"]
        assert not names["test"] & (names["train"] | names["validation"])


def test_from_a_table_to_entities(runs):
    rows = [
        {"text": f"{when} {who} came to {where}.", "spans": [[len(when) + 1, len(when) + 1 + len(who), "person"]]}
        for who in ("Anna", "Boris", "Clara", "Hugo", "Olga")
        for where in ("Ulm", "Bonn", "Kiel")
        for when in ("Then", "Today", "Now")
    ]
    task = nbllm.tasks.get("extract")
    run = task.train(
        pd.DataFrame(rows), steps=80, runner="inline", batch_size=16, size="tiny", **{"model.dropout": 0.0}
    )
    assert run.state == "finished", run.error
    assert run.config.objective.labels == ["person"]
    found = task.predict(["Today Anna came to Kiel.", "Now Boris came to Ulm."])
    assert found["entities"].tolist() == ["Anna (person)", "Boris (person)"]
    assert json.loads(found["spans"][0]) == [[6, 10, "person"]]
    table = task.evaluate()
    assert table.loc["entity_f1", "value"] == 1
    assert "triple_f1" not in table.index
    assert table.loc["entity_f1", "seen names"] == 1
    marked = run.load().mark(["Today Anna came to Kiel."])
    assert marked[["start", "end", "kind", "entity"]].to_numpy().tolist() == [[6, 10, "person", "Anna"]]
    with pytest.raises(ModelError, match="A tagger does not write"):
        run.load().generate("Today")
    with pytest.raises(ModelError, match="extract marks tokens, and sentiment needs a model that gives labels"):
        nbllm.tasks.get("sentiment").predict("x", run="extract")
