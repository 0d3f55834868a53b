"""Conditional writing: texts that do what is asked, constraints read from a request, and how varied texts are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nbllm
from nbllm.data import writing
from nbllm.errors import ModelError, NbllmError
from nbllm.tasks.constraints import Constraint, constraints, met, style
from nbllm.tasks.generate import RANDOM, Generate
from nbllm.tasks.variety import variety, variety_of
from tests.foreign import make


@pytest.fixture(scope="module")
def task() -> Generate:
    found = nbllm.tasks.get("generate")
    assert isinstance(found, Generate)
    return found


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return list(writing.instructions())


def test_every_text_of_the_table_does_all_that_its_request_asks(rows: list[dict[str, str]]) -> None:
    assert len({row["source"] for row in rows}) == len(rows) == writing.ROWS
    for row in rows:
        asked = constraints(row["source"])
        assert asked, row
        assert all(met(each, row["target"]) for each in asked), row
    assert {style(row["source"]) for row in rows} == {"news", "mail", "verse", "script"}
    assert any(each.kind == "count" and "行" in row["source"] for row in rows for each in constraints(row["source"]))


def test_pairs_of_chief_words_are_held_out_and_their_words_are_not(rows: list[dict[str, str]]) -> None:
    sides = {side: [row for row in rows if row["split"] == side] for side in ("train", "validation", "test")}
    assert all(len(found) > 500 for found in sides.values())
    lost, rooms = set(writing.LOST), set(writing.ROOMS)
    pairs: dict[str, set[tuple[str, ...]]] = {}
    for side, found in sides.items():
        scripts = [row for row in found if style(row["source"]) == "script"]
        words = [{each.value[0] for each in constraints(row["source"]) if each.kind == "words"} for row in scripts]
        pairs[side] = {(*(each & lost), *(each & rooms)) for each in words}
    assert len(pairs["test"]) > 5
    assert not pairs["test"] & (pairs["train"] | pairs["validation"])
    letters = {c for row in sides["train"] for c in row["source"] + row["target"]}
    assert {c for row in sides["test"] for c in row["source"] + row["target"]} <= letters


@pytest.mark.parametrize(
    ("request_", "text", "kinds", "unmet"),
    [
        ("[news, 2 sentences] keywords: storm, Lima", "A storm came. It left Lima.", "words words count", ""),
        ("[news, 2 sentences] keywords: storm, Lima", "Storms came to lima", "words words count", "words count"),
        ('Write a verse of two lines titled "Sea and Lamp".', "Sea and lamp\na\nb", "title count", ""),
        ('Write a verse of two lines titled "Sea and Lamp".', "The sea\na", "title count", "title count"),
        ("Write a poem with the words 'sea', lamp, and owl. Be brief.", "Owl, sea.", "words words words", "words"),
        ("[script, 2 lines, Tom and Mei] keywords: key", "Tom: a key\nMei: no", "words count voices", ""),
        ("[script, 2 lines, Tom and Mei] keywords: key", "Tom: a key\nTom: no", "words count voices", "voices"),
        ("Write a script between Tom and Mei.", "Tom: a\nand so on", "voices", "voices"),
        ("[mail, formal, yes] Dear Ines, is it on Friday? Tom", "Dear Tom,\nyes.\nInes", "letter tone answer", ""),
        (
            "[mail, formal, no] Dear Ines, is it on Friday? Tom", "Hi Ines,\nyes.\nTom", "letter tone answer",
            "letter tone answer",
        ),
        ("写一首二行诗，关键词：月亮、江水。", "月亮照着我\n江水在远方", "words words count", ""),
        ("[诗, 3行] 关键词：月亮、江水", "月亮照着我", "words words count", "words count"),
        ("Tell me something of the sea.", "The sea.", "", ""),
        ("[verse] keywords: sea", " \n ", "words", "words"),
    ],
)  # fmt: skip
def test_constraints_stand_in_the_request(request_: str, text: str, kinds: str, unmet: str) -> None:
    asked = constraints(request_)
    assert " ".join(each.kind for each in asked) == kinds
    assert " ".join(each.kind for each in asked if not met(each, text)) == unmet


def test_a_keyword_is_a_whole_word() -> None:
    assert constraints("[news] keywords: fire") == [Constraint("words", ("fire",))]
    assert not met(Constraint("words", ("fire",)), "The fireman came.")
    assert met(Constraint("words", ("C++",)), "I write c++.")


def test_distinct_and_repetition_are_counted_over_all_texts() -> None:
    found = variety([variety_of("a b a b a b"), variety_of("A b c")])
    assert found["distinct_1"] == pytest.approx(3 / 9)
    assert found["distinct_2"] == pytest.approx(3 / 7)  # ab ba bc
    assert found["repetition"] == pytest.approx(1 / 3)  # abab baba abab
    assert variety_of("今天好").length == 3
    assert variety([variety_of("")]) == {"distinct_1": 0.0, "distinct_2": 0.0, "repetition": 0.0}


def test_texts_that_do_all_score_one_and_a_random_reply_less(task: Generate, rows: list[dict[str, str]]) -> None:
    some = rows[:200]
    right = task.measure(task.judge(some, [{"target": row["target"]} for row in some]))
    assert right["constraints_met"] == right["all_met"] == 1.0
    by_chance = task.baselines(rows[200:], some)[RANDOM]
    assert all(style(row["source"]) for row in some)
    found = task.measure(task.judge(some, by_chance))
    assert 0.1 < found["constraints_met"] < 0.7
    assert found["all_met"] < 0.1
    replies = {row["target"]: style(row["source"]) for row in rows[200:]}
    assert [replies[each["target"]] for each in by_chance] == [style(row["source"]) for row in some]
    free = task.measure(task.judge([{"source": "Hello", "target": "x"}], [{"target": "y z"}]))
    assert free["constraints_met"] != free["constraints_met"]
    assert free["distinct_1"] == 1.0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield nbllm.tasks.get("generate").train(steps=12, wait=True, runner="inline", **{"model.width": 32})


def test_it_trains_and_is_scored_beside_a_random_reply(task: Generate, run: Any) -> None:
    assert run.state == "finished", run.error
    model = run.load()
    table = task.evaluate(model=model, limit=24, max_tokens=8)
    assert list(table.index) == ["constraints_met", "all_met", "distinct_1", "distinct_2", "repetition"]
    assert list(table.columns) == ["value", "low", "high", RANDOM]
    assert table.loc[["distinct_1", "distinct_2"], ["low", "high"]].isna().all(axis=None)
    assert table.loc["constraints_met", "low"] <= table.loc["constraints_met", "value"]
    assert table.attrs["kind"] == "test rows"
    assert "random reply" in table.attrs["advice"].lower()
    frame = task.predict(list(task.examples), model=model, max_tokens=8)
    assert list(frame.columns) == ["source", "target", "probability"]
    wrong = task.errors(model=model, limit=8, max_tokens=8)
    assert len(wrong) == wrong.attrs["wrong"] > 0


def test_a_language_model_goes_on_from_the_request_and_others_are_refused(task: Generate, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path))
        small = {"size": "tiny", "steps": 2, "runner": "inline", "wait": True}
        plain = nbllm.train("plain", **small).load()
        frame = task.predict(["Write a verse.", "[news] keywords: sea"], model=plain, max_tokens=5, top_k=3)
        assert list(frame.columns) == ["source", "target", "probability"]
        assert 0 < frame["probability"].min() <= 1
        with pytest.raises(ModelError, match="no setting 'beams'"):
            task.predict(["Write a verse."], model=plain, beams=2)
        gpt2 = make("gpt2", tmp_path / "gpt2")
        assert len(task.predict(["Write a verse."], model=f"hf:{gpt2}", max_tokens=3)) == 1
        labels = nbllm.train("labels", model="cnn", objective="classification", **small)
        with pytest.raises(NbllmError, match="labels gives labels, and generate needs a model that answers"):
            task.predict(["Write a verse."], run=labels.name)
