"""The playground without a page: what is asked, what comes back, and the cell that does the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nbllm
from nbllm.dashboards.playground import instead
from nbllm.dashboards.playground_answers import cell_of, scoring_cell, told
from nbllm.dashboards.playground_widget import Widget, listed
from nbllm.errors import ConfigError
from nbllm.magics.applied import _typed
from nbllm.magics.commands import COMMANDS
from nbllm.magics.parse import parse

ROWS = [
    {"text": f"{who} was {word} {when}", "label": label}
    for who in ("it", "this", "the tea", "<b>he</b>")
    for label, words in {"good": ("fine", "great", "很好"), "<img src=x>": ("poor", "awful", "dull")}.items()
    for word in words
    for when in ("today", "again", "as ever", "on Monday")
]
QUICK = {"steps": 40, "model": "cnn", "size": "tiny", "runner": "inline", "batch_size": 16}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs of the task, which no test changes."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(folder))
        for name in ("older", "newer"):
            run = nbllm.tasks.get("sentiment").train(pd.DataFrame(ROWS), name=name, **QUICK)
            assert run.state == "finished", run.error
    return folder


@pytest.fixture
def widget(runs, trained, monkeypatch):
    monkeypatch.setenv("NBLLM_RUNS", str(trained))
    shown = Widget("sentiment")
    yield shown
    shown.close()


def ask(shown: Widget, kind: str, **more: Any) -> None:
    """As the page does."""
    shown._hear(shown, {"kind": kind, **more}, [])
    assert shown.wait(60)
    assert shown.busy == ""


def test_one_answer_then_two_and_what_moved_them(widget):
    assert widget.models == [["newer", "newer"], ["older", "older"]]
    assert widget.texts == {"text": nbllm.tasks.get("sentiment").examples[0]}
    ask(widget, "run", texts={"text": "the tea was great\u202e"})
    (result,) = widget.results
    assert (result["name"], result["said"], result["fault"]) == ("newer", "good", "")
    assert [label for label, _ in result["bars"]] == ["good", "<img src=x>"]
    assert sum(share for _, share in result["bars"]) == pytest.approx(1)
    expected = nbllm.tasks.get("sentiment").predict("the tea was great\u202e", run="newer")
    assert result["sure"] == pytest.approx(expected["probability"][0])
    widget.view = {"tab": "influence"}
    ask(widget, "explain")
    tokens = widget.results[0]["influence"]["tokens"]
    assert sum(abs(share) for _, share in tokens) == pytest.approx(1, abs=1e-5)
    assert "\u202e" not in json.dumps(widget.results, ensure_ascii=False)
    assert "great" in "".join(label for label, _ in tokens)
    ask(widget, "run", texts={"text": "dull"}, model="newer", other="older")
    assert [result["name"] for result in widget.results] == ["newer", "older"]
    assert [result["said"] for result in widget.results] == ["<img src=x>"] * 2
    assert all(result["influence"]["rows"] for result in widget.results)  # the tab stands open
    ask(widget, "run", texts={"text": "dull"}, model="newer", other="nowhere")
    assert "nowhere" in widget.results[1]["fault"]
    assert widget.results[0]["said"] == "<img src=x>"


def test_scores_of_a_file_with_baselines(widget, tmp_path):
    path = tmp_path / "own.csv"
    pd.DataFrame(ROWS[:20]).to_csv(path, index=False)
    widget.view = {"tab": "evaluate"}
    ask(widget, "evaluate", path=f" {path} ", other="older")
    first, second = widget.evaluation
    assert first["heads"] == ["sentiment", "value", "95 % interval", "majority", "bag of words"]
    assert [row[0] for row in first["rows"]] == ["accuracy", "macro_f1", "ece"]
    table = nbllm.tasks.get("sentiment").evaluate(path, run="newer")
    assert first["rows"][0][1] == f"{table.loc['accuracy', 'value']:.3g}"
    assert "newer: 20 rows" in first["caption"]
    assert "older: 20 rows" in second["caption"]
    assert sum(map(sum, first["confusion"])) == 20
    assert widget.cell == f"%llm_task sentiment --evaluate --data {path} --run newer"
    ask(widget, "evaluate", path="nowhere.csv")
    assert "nowhere.csv" in widget.fault
    assert widget.evaluation == []


def test_scoring_that_is_stopped_keeps_what_is_done(widget, monkeypatch):
    monkeypatch.setattr(nbllm.tasks.classification.Classification, "batch", 2)  # several steps of few rows
    widget.observe(lambda change: widget._hear(widget, {"kind": "stop"}, []) if change.new else None, "progress")
    ask(widget, "evaluate", other="older")
    (only,) = widget.evaluation
    assert any(line.startswith("Interrupted") for line in only["lines"])
    assert "newer: 2 of" in only["caption"]
    assert widget.progress == {}


def test_another_task_and_what_cannot_be_asked(widget):
    widget.task = "translate"
    assert widget.models == []
    assert list(widget.texts) == ["source"]
    assert widget.results == []
    ask(widget, "run", texts={"source": "May"})
    assert "no trained run of translate" in widget.fault
    ask(widget, "run", texts={"source": "May"}, model="newer")
    assert "newer gives labels, and translate needs a model that answers a text with another" in widget.fault
    ask(widget, "run", texts={"source": "  "})
    assert "no source to ask about" in widget.fault
    widget.task = "pairs"
    assert list(widget.texts) == list(nbllm.tasks.get("pairs").inputs)
    assert widget.fault == ""


def test_every_task_is_listed_with_its_examples():
    names = [each["name"] for each in listed()]
    assert {"sentiment", "translate", "extract"} <= set(names)
    for each in listed():
        assert all(len(example) == len(each["inputs"]) for example in each["examples"]), each["name"]


def test_a_written_answer_keeps_its_tokens_and_entities_their_places(runs):
    pairs = [
        {"source": f"{a} {b}", "target": f"{b} {a}"} for a in ("un", "deux", "trois") for b in ("a", "b", "很")
    ] * 4
    task = nbllm.tasks.get("translate")
    quick = {"steps": 60, "model": "seq2seq", "size": "tiny", "runner": "inline", "batch_size": 8, "context": 16}
    run = task.train(pd.DataFrame(pairs), **quick)
    assert run.state == "finished", run.error
    shown = Widget("translate")
    ask(shown, "run", texts={"source": "un 很"})
    (result,) = shown.results
    assert shown.fault == ""
    assert "".join(label for label, _ in result["tokens"]).replace("␣", " ").strip() == result["said"].strip() != ""
    assert all(0 <= share <= 1 for _, share in result["tokens"])
    shown.close()
    extract = nbllm.tasks.get("extract")
    text = "Nova bought 很好."
    answer = {"spans": json.dumps([[0, 4, "company#buys.s"], [12, 14, "company#buys.o"]]), "triples": "a, b"}
    found = told(extract, {"text": text}, answer)
    assert "".join(piece for piece, _ in found["spans"]) == text
    assert [piece for piece, kind in found["spans"] if kind] == ["Nova", "很好"]
    assert found["more"] == [["triples", "a, b"]]


@pytest.mark.parametrize(
    "text",
    [
        "not bad",
        "天气 很好 ",
        'he said "no"',
        "two\nlines",
        "a back\\slash\\",
        "braces {{x}}",
        "rtl \u202e\x07",
        "C:\\new",
    ],
)
def test_the_cell_asks_for_the_same_text(text):
    task = nbllm.tasks.get("sentiment")
    cell = cell_of(task, {"text": text}, {"run": "my run"})
    if cell.startswith("%"):
        line, _, body = cell.lstrip("%").removeprefix("llm_task ").partition("\n")
        parsed = parse(COMMANDS["task"], line, {})
        assert _typed(task, parsed.names[1:], body or None, {}) == text
        assert parsed.flags["run"] == "my run"
    else:
        assert f"predict([{text!r}], run='my run')" in cell
    assert ("{{" in text or "\u202e" in text) == cell.startswith("import")
    pairs = nbllm.tasks.get("pairs")
    both = cell_of(pairs, dict.fromkeys(pairs.inputs, text), {"model": "hf:some/model"})
    if both.startswith("%"):
        parsed = parse(COMMANDS["task"], both.removeprefix("%llm_task "), {})
        assert _typed(pairs, parsed.names[1:], None, {}) == (text, text)
        assert parsed.settings["model.kind"] == "hf:some/model"


def test_the_scoring_cell_is_one_that_can_be_read():
    task = nbllm.tasks.get("sentiment")
    parsed = parse(COMMANDS["task"], scoring_cell(task, "/a b/own.csv", {}).removeprefix("%llm_task "), {})
    assert parsed.settings["data.source"] == "/a b/own.csv"
    assert scoring_cell(task, "", {"run": "r"}) == "%llm_task sentiment --evaluate --run r"


def test_without_a_page_it_says_what_to_type(capsys, monkeypatch):
    for tier in ("html", "text"):
        monkeypatch.setenv("NBLLM_DISPLAY", tier)
        nbllm.tasks.get("translate").playground().show()
        said = capsys.readouterr().out
        assert said == instead("translate") + "\n"
        assert said.count("\n") == 1
        assert '%llm_task translate "' in said
    assert nbllm.playground().task == "sentiment"
    with pytest.raises(ConfigError, match="Did you mean 'sentiment'"):
        nbllm.playground("sentimnt")


def test_its_module_stands_alone(tmp_path: Path):
    shown = Widget("sentiment")
    assert "import {" not in shown._esm
    assert "innerHTML" not in shown._esm
    assert "http" not in shown._esm
    shown.close()
