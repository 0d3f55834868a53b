"""Summaries: reports whose facts are known, scores that are rouge-score's own, and what stands beside a model."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest

import nbllm
from nbllm.data import reports
from nbllm.tasks.extractive import lead, sentences, textrank
from nbllm.tasks.rouge import TYPES, Tokens, rouge
from nbllm.tasks.summarize import Summarize, facts, recalled


@pytest.fixture(scope="module")
def task() -> Summarize:
    found = nbllm.tasks.get("summarize")
    assert isinstance(found, Summarize)
    return found


def test_scores_are_those_of_rouge_score() -> None:
    """200 pairs of chance in Latin letters, empty ones among them, each against the library with its own tokenizer."""
    from rouge_score.rouge_scorer import RougeScorer

    draw = random.Random(1)
    words = ["the", "Cat", "sat", "on", "a", "mat", "3.5", "it's", "re-read", "été", "<b>"]
    true = [" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(200)]
    said = [" ".join(draw.choices(words, k=draw.randint(0, 12))) for _ in true]
    scorer = RougeScorer(list(TYPES), use_stemmer=False)
    for row, a, b in zip(rouge(said, true), said, true, strict=True):
        assert row.tolist() == [scorer.score(b, a)[name].fmeasure for name in TYPES]


def test_chinese_is_counted_by_characters() -> None:
    assert Tokens().tokenize("今天 GDP 涨了3.5%") == ["今", "天", "gdp", "涨", "了", "3", "5"]
    one, two, whole = rouge(["今天天气好"], ["今天天气不好"])[0]
    assert one == pytest.approx(2 * 5 / (5 + 6))
    assert two == pytest.approx(2 * 3 / (4 + 5))
    assert whole == pytest.approx(2 * 5 / (5 + 6))


def test_reports_hold_out_combinations_and_no_sentence_says_all() -> None:
    rows = list(reports.reports())
    assert len({row["document"] for row in rows}) == len(rows) == reports.ROWS
    keys = {side: set() for side in ("train", "validation", "test")}  # type: dict[str, set[tuple[str, ...]]]
    for row in rows:
        place, person = row["summary"].split(",")[1].split(":")[0], row["summary"].rsplit("says ", 1)[1]
        keys[row["split"]].add((place, person, row["summary"].split(": ")[1].split(",")[0]))
        assert recalled(row["document"], row["summary"]) == 1.0, "every fact of a summary stands in its report"
        assert all(recalled(part, row["summary"]) != 1.0 for part in sentences(row["document"]))
    assert not keys["test"] & (keys["train"] | keys["validation"])
    words = {word for row in rows if row["split"] == "train" for word in row["document"].split()}
    strange = {word for row in rows if row["split"] == "test" for word in row["document"].split()} - words
    assert not strange


def test_docstrings_and_their_first_lines_are_split_by_module() -> None:
    rows = list(reports.docstrings())
    assert len(rows) > 500
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    assert all(row["summary"] not in row["document"][:20] for row in rows)


def test_facts_are_numbers_and_names() -> None:
    assert facts("Friday, Lima: march, 541 marchers, says Aisha Wang.") == {"friday", "lima", "541", "aisha", "wang"}
    assert recalled("friday in lima, 54 marched", "Friday, Lima: 541 marchers") == pytest.approx(2 / 3)
    assert recalled("anything", "no fact in here") is None


def test_textrank_takes_the_sentence_that_the_others_resemble() -> None:
    text = "Hello there. The red fox saw the red hen. The red fox ate. The hen saw the red fox run. Fine weather."
    assert textrank(text) in ("The hen saw the red fox run.", "The red fox saw the red hen.")
    assert lead(text) == "Hello there."
    assert sentences("今天好。明天呢？") == ["今天好。", "明天呢？"]
    assert textrank("") == ""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield nbllm.tasks.get("summarize").train(steps=12, wait=True, runner="inline", **{"model.width": 32})


def test_it_trains_and_is_scored_beside_lead_and_textrank(task: Summarize, run: Any) -> None:
    assert run.state == "finished", run.error
    table = task.evaluate(model=run.load(), limit=24, max_tokens=12)
    assert list(table.index) == ["rouge_1", "rouge_2", "rouge_l", "fact_recall", "exact_match"]
    assert {"lead", "textrank"} <= set(table.columns)
    assert 0 < table.loc["fact_recall", "lead"] < 1
    assert table.attrs["advice"].startswith("The ")
    frame = task.predict(pd.DataFrame({"document": [task.examples[0]]}), model=run.load(), max_tokens=8)
    assert list(frame.columns) == ["document", "summary", "probability"]
