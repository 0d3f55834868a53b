"""Augmentation: what may change and what must not, the same again for the same (seed, index, epoch)."""

from __future__ import annotations

import re
from collections import Counter

import pandas as pd
import pytest

import nbllm
from nbllm.config import AugmentConfig, RunConfig, resolve
from nbllm.data.augment import augment, augment_record, generator
from nbllm.errors import ConfigError

ENGLISH = "To be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer.\n" * 20
CHINESE = "今天天气很好，我们去公园散步吧。" * 60


def changed(text: str, index: int = 0, epoch: int = 0, **shares: float) -> str:
    return augment(text, AugmentConfig(**shares), generator(7, index, epoch))


@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
@pytest.mark.parametrize("share", ["drop_words", "swap_words", "typos"])
def test_the_same_place_in_the_same_epoch_is_changed_alike_and_every_other_not(text: str, share: str) -> None:
    first = changed(text, 3, 1, **{share: 0.2})
    assert first != text
    assert first == changed(text, 3, 1, **{share: 0.2})
    assert len({first, changed(text, 4, 1, **{share: 0.2}), changed(text, 3, 2, **{share: 0.2})}) == 3


@pytest.mark.parametrize(("text", "word"), [(ENGLISH, r"\w+"), (CHINESE, r"\w")])
def test_so_many_words_are_left_out(text: str, word: str) -> None:
    before, after = (Counter(re.findall(word, each)) for each in (text, changed(text, drop_words=0.3)))
    assert 0.6 < after.total() / before.total() < 0.8
    assert after < before


def test_lines_and_punctuation_stay_where_words_go() -> None:
    text = "one two three.\nfour five six!\n"
    left = [changed(text, index, drop_words=0.5) for index in range(50)]
    assert all(each.count("\n") == 2 and "." in each and each.rstrip()[-1] == "!" for each in left)
    assert not any("  " in each for each in left), "no gap is left behind"


def test_swapping_keeps_every_word_and_moves_it_by_one_place() -> None:
    words = [f"w{n}" for n in range(200)]
    moved = changed(" ".join(words), swap_words=0.5).split()
    assert sorted(moved) == sorted(words)
    assert moved != words
    assert max(abs(moved.index(word) - place) for place, word in enumerate(words)) == 1
    assert Counter(changed(CHINESE, swap_words=0.5)) == Counter(CHINESE)


def test_typos_touch_letters_alone_and_as_many_as_asked() -> None:
    text = "abcdefgh 12345678\n" * 200
    typed = changed(text, typos=0.1)
    assert [line.split()[1] for line in typed.splitlines()] == ["12345678"] * 200
    same = sum(line.startswith("abcdefgh ") for line in typed.splitlines()) / 200
    assert abs(same - 0.9**8) < 0.12
    assert set(typed) <= set("abcdefghijklmnopqrstuvwxyz12345678 \n")


def test_chinese_typos_are_characters_of_the_text() -> None:
    typed = changed(CHINESE, typos=0.3)
    assert typed != CHINESE
    assert set(typed) <= set(CHINESE)


def test_something_is_always_left() -> None:
    for text in ("word", "好", "a b", "I"):
        for index in range(40):
            found = changed(text, index, drop_words=0.99, swap_words=1, typos=1)
            assert found.strip(), (text, index)
    assert [changed(text, drop_words=0.9, typos=1) for text in ("", "  \n", "?!")] == ["", "  \n", "?!"]


def test_a_record_keeps_its_labels_and_the_columns_not_named() -> None:
    record = {"text": ENGLISH, "label": "tragedy", "stars": 5}
    config = AugmentConfig(drop_words=0.2)
    found = augment_record(record, config, seed=1, index=0, epoch=0, columns=("text",))
    assert found["text"] != ENGLISH
    assert (found["label"], found["stars"]) == ("tragedy", 5)
    assert record["text"] == ENGLISH, "the record itself is left alone"
    pair = {"source": ENGLISH, "target": CHINESE}
    both = augment_record(pair, config, seed=1, index=0, epoch=0)
    assert both["source"] != ENGLISH
    assert both["target"] != CHINESE
    assert augment_record(pair, AugmentConfig(), seed=1, index=0, epoch=0) == pair


def test_the_settings_reach_a_run_and_are_refused_out_of_range() -> None:
    line = {"model": "lstm", "objective": "classification", "drop_words": 0.1, "data.augment.typos": 0.02}
    config = resolve([("line", line)])
    assert config.data.augment == AugmentConfig(drop_words=0.1, typos=0.02)
    assert config.data.augment.active
    assert not RunConfig().data.augment.active
    with pytest.raises(ConfigError, match=r"data\.augment\.typos is 2"):
        resolve([("line", {"typos": 2})])
    with pytest.raises(ConfigError, match="changes the texts of a table, and clm learns from running text"):
        resolve([("line", {"typos": 0.1})])


@pytest.mark.parametrize("objective", ["tagging", "nsp"])
def test_it_is_refused_where_the_answer_lies_in_the_very_letters_or_in_two_texts(objective: str) -> None:
    with pytest.raises(ConfigError, match=r"augment changes a text of its own"):
        resolve([("call", {"model": "bert", "objective": objective, "data.augment.typos": 0.1})])


def test_a_run_learns_from_changed_texts_and_from_the_same_ones_again() -> None:
    rows = pd.DataFrame({"text": ["天气很好，去公园", "下雨了，待在家里"] * 60, "label": ["晴", "雨"] * 60})
    settings = {
        "size": "tiny", "model": "lstm", "objective": "classification", "layers": 1, "width": 16, "context": 16,
        "steps": 8, "runner": "inline", "sample.every": 0, "probe.every": 0,
    }  # fmt: skip

    def losses(name: str, **more: float) -> list[float]:
        return nbllm.train(name, data=rows, **settings, **more).metrics["loss"].tolist()

    changed = losses("changed", typos=0.4)
    assert changed == losses("again", typos=0.4)
    assert changed[1:] != losses("plain")[1:]
