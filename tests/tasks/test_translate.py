"""Translation: phrases held out by combination, scores that are sacrebleu's own, answers all at once."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nbllm
from nbllm.data import translations
from nbllm.data.number_words import in_words
from nbllm.errors import ConfigError, NbllmError
from nbllm.tasks.translate import Translate, tokenizer


@pytest.fixture(scope="module")
def task() -> Translate:
    found = nbllm.tasks.get("translate")
    assert isinstance(found, Translate)
    return found


def scored(task: Translate, said: list[str], true: list[str]) -> dict[str, float]:
    rows = [{"source": "", "target": text} for text in true]
    return task.measure(task.judge(rows, [{"target": text} for text in said]))


WORDS = {
    "13a": ["the", "cat", "sat", "on", "a", "mat", ",", "then", "it", "left", ".", "3.5", "km", "été"],
    "zh": list("今天天气很好我们去公园看花，三百二十一。"),
    "char": list("きょうはとてもいい天気です。"),
}


@pytest.mark.parametrize("cut", WORDS)
def test_scores_are_those_of_sacrebleu(task: Translate, cut: str) -> None:
    """200 pairs of chance, of which some are empty or alike, each metric against the library's own corpus score."""
    from sacrebleu.metrics import BLEU, CHRF

    draw = random.Random(cut)
    joint = " " if cut == "13a" else ""
    true = [joint.join(draw.choices(WORDS[cut], k=draw.randint(1, 12))) for _ in range(200)]
    said = [
        text if draw.random() < 0.3 else joint.join(draw.choices(WORDS[cut], k=draw.randint(0, 12))) for text in true
    ]
    assert tokenizer(true) == cut
    found = scored(task, said, true)
    assert found["bleu"] == pytest.approx(BLEU(tokenize=cut).corpus_score(said, [true]).score, abs=1e-9)
    assert found["chrf"] == pytest.approx(CHRF().corpus_score(said, [true]).score, abs=1e-9)
    exact = sum(" ".join(a.split()) == " ".join(b.split()) for a, b in zip(said, true, strict=True)) / 200
    assert found["exact_match"] == pytest.approx(exact)


def test_an_empty_answer_scores_nothing_and_a_right_one_everything(task: Translate) -> None:
    assert scored(task, ["", ""], ["un deux trois quatre", "五百"]) == {"bleu": 0.0, "chrf": 0.0, "exact_match": 0.0}
    same = scored(task, ["un deux  trois quatre "], ["un deux trois quatre"])
    assert same["exact_match"] == 1.0
    assert same["bleu"] == pytest.approx(100)


@pytest.mark.parametrize("pair", ["en-fr", "zh-en", "en-ja"])
def test_combinations_are_held_out_and_their_parts_are_not(pair: str) -> None:
    rows = list(translations.rows(*pair.split("-")))
    assert len(rows) == translations.ROWS == len({row["source"] for row in rows})
    sides = {side: [row for row in rows if row["split"] == side] for side in ("train", "validation", "test")}
    assert all(len(found) > 500 for found in sides.values())
    if pair == "en-fr":  # no pair of countries of a test list stands in a list of the training
        lists = {side: {frozenset(_countries(row["source"])) for row in found} for side, found in sides.items()}
        lists = {side: {each for each in found if len(each) > 1} for side, found in lists.items()}
        assert lists["test"]
        assert not lists["test"] & (lists["train"] | lists["validation"])
        alone = {row["source"] for row in sides["train"]}
        assert {name for each in lists["test"] for name in each} <= alone
    letters = {c for row in sides["train"] for c in row["source"] + row["target"]}
    assert {c for row in sides["test"] for c in row["source"] + row["target"]} <= letters


def _countries(text: str) -> list[str]:
    from babel import Locale

    names = {Locale.parse("en").territories[code] for code in translations.COUNTRIES}
    parts = text.replace(", and ", ", ").replace(", or ", ", ").replace(" and ", ", ").replace(" or ", ", ").split(", ")
    return parts if all(part in names for part in parts) else []


NUMBERS = {
    0: ("zero", "zéro", "null", "cero", "零", "零"),
    71: ("seventy-one", "soixante et onze", "einundsiebzig", "setenta y uno", "七十一", "七十一"),
    80: ("eighty", "quatre-vingts", "achtzig", "ochenta", "八十", "八十"),
    91: ("ninety-one", "quatre-vingt-onze", "einundneunzig", "noventa y uno", "九十一", "九十一"),
    100: ("one hundred", "cent", "einhundert", "cien", "一百", "百"),
    210: ("two hundred ten", "deux cent dix", "zweihundertzehn", "doscientos diez", "二百一十", "二百十"),
    1001: ("one thousand one", "mille un", "eintausendeins", "mil uno", "一千零一", "千一"),
    5021: (
        "five thousand twenty-one", "cinq mille vingt et un", "fünftausendeinundzwanzig", "cinco mil veintiuno",
        "五千零二十一", "五千二十一",
    ),
}  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_in_words(number: int) -> None:
    assert tuple(in_words(number, language) for language in ("en", "fr", "de", "es", "zh", "ja")) == NUMBERS[number]


@pytest.mark.parametrize("language", ["en", "fr", "de", "es", "zh", "ja"])
def test_no_two_numbers_have_the_same_words(language: str) -> None:
    assert len({in_words(number, language) for number in range(10_000)}) == 10_000


def test_source_and_target_name_a_pair_of_languages_or_two_columns(task: Translate) -> None:
    asked = {"source": "en", "target": "zh"}
    assert dict(task.layers([], None, asked)[0][1])["data.source"] == "phrases-en-zh"
    table = pd.DataFrame({"en": ["a"], "fr": ["b"]})
    settings = dict(task.layers([], table, {"source": "en", "target": "fr"})[0][1])
    assert [settings[f"data.{word}_column"] for word in ("source", "target")] == ["en", "fr"]
    assert settings["tokenizer.kind"] == "bpe"
    with pytest.raises(ConfigError, match="There are no phrases en-it"):
        task.layers([], None, {"source": "en", "target": "it"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield nbllm.tasks.get("translate").train(
            source="en", target="zh", size="tiny", steps=30, wait=True, runner="inline", **{"model.width": 32}
        )


def test_it_trains_answers_and_is_scored(task: Translate, run: Any) -> None:
    assert run.state == "finished", run.error
    found = task.predict(["forty-two", "in 3 hours", ""], model=run.load())
    assert list(found.columns) == ["source", "target", "probability"]
    assert found["target"].isna().tolist() == [False, False, True]
    table = task.evaluate(model=run.load(), limit=30, max_tokens=12)
    assert list(table.index) == ["bleu", "chrf", "exact_match"]
    assert table.attrs["kind"] == "test rows"
    assert "tok:zh" in table.attrs["signatures"][0]
    assert {"value", "low", "high", "copy"} <= set(table.columns)


def test_answers_at_once_are_those_of_each_alone(task: Translate, run: Any) -> None:
    """Sources of other lengths beside it change no answer."""
    model = run.load()
    sources = ["forty-two", "Tuesday, July 14, 2026", "5", "three thousand nine hundred eleven"]
    together = model.answer(sources, max_tokens=20)
    for source, found in zip(sources, together, strict=True):
        alone = model.generate(source, max_tokens=20)
        assert found.ids == alone.ids
        assert found.probabilities == pytest.approx(alone.probabilities, abs=1e-4)


def test_what_cannot_translate_is_refused_in_a_line(task: Translate, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path))
        labels = nbllm.train(
            "labels", model="cnn", objective="classification", size="tiny", steps=2, runner="inline", wait=True
        )
        with pytest.raises(NbllmError, match="labels gives labels, and translate needs a model that answers"):
            task.predict(["good morning"], run=labels.name)
