"""Small changes to a text that should not change what is said about it: typos, synonyms, a sentence beside the point.

A change is a function (text, generator) -> text. Typos are those of nbllm.data.augment; the few synonyms and sentences
that come with nbllm are its own, in English and Chinese, and a user brings more.

Keyboard noise: Belinkov and Bisk 2018. Sentences beside the point: Jia and Liang 2017, Adversarial Examples for
Evaluating Reading Comprehension Systems. Answers that should stay: Ribeiro et al. 2020, Beyond Accuracy (CheckList).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nbllm.config import AugmentConfig
from nbllm.data.augment import augment
from nbllm.data.clean import script_share
from nbllm.errors import ConfigError, did_you_mean

Change = Callable[[str, np.random.Generator], str]

SYNONYMS: dict[str, tuple[str, ...]] = {
    "big": ("large",), "large": ("big",), "small": ("little",), "little": ("small",), "quick": ("fast",),
    "fast": ("quick",), "begin": ("start",), "start": ("begin",), "begins": ("starts",), "starts": ("begins",),
    "end": ("finish",), "ends": ("finishes",), "buy": ("purchase",), "bought": ("purchased",), "help": ("assist",),
    "helps": ("assists",), "show": ("display",), "shows": ("displays",), "get": ("obtain",), "gets": ("obtains",),
    "make": ("create",), "makes": ("creates",), "create": ("make",), "creates": ("makes",), "use": ("employ",),
    "uses": ("employs",), "need": ("require",), "needs": ("requires",), "ask": ("request",), "give": ("provide",),
    "gives": ("provides",), "film": ("movie",), "movie": ("film",), "child": ("kid",), "children": ("kids",),
    "happy": ("glad",), "sad": ("unhappy",), "easy": ("simple",), "simple": ("easy",), "hard": ("difficult",),
    "difficult": ("hard",), "wonderful": ("marvellous",), "terrible": ("awful",), "awful": ("terrible",),
    "great": ("excellent",), "excellent": ("great",), "boring": ("dull",), "dull": ("boring",), "maybe": ("perhaps",),
    "perhaps": ("maybe",), "often": ("frequently",), "almost": ("nearly",), "nearly": ("almost",),
    "entire": ("whole",), "whole": ("entire",),
    "高兴": ("开心",), "开心": ("高兴",), "漂亮": ("美丽",), "美丽": ("漂亮",), "喜欢": ("喜爱",), "觉得": ("感到",),
    "马上": ("立刻",), "立刻": ("马上",), "常常": ("经常",), "经常": ("常常",), "非常": ("十分",), "十分": ("非常",),
    "开始": ("着手",), "帮助": ("协助",), "孩子": ("小孩",), "电影": ("影片",), "容易": ("简单",), "困难": ("难",),
    "糟糕": ("差劲",), "无聊": ("乏味",), "可能": ("也许",), "也许": ("可能",),
}  # fmt: skip

DISTRACTORS = {
    "latin": (
        "The window of the room looks to the north.", "A blue bicycle stood by the gate.",
        "It rained on Tuesday.", "The train left at half past nine.", "There were four chairs around the table.",
    ),
    "zh": (
        "房间的窗户朝北。", "门口停着一辆蓝色的自行车。", "星期二下雨了。", "火车九点半开。", "桌子旁边有四把椅子。",
    ),
}  # fmt: skip

KINDS = ("typos", "synonyms", "distractors")
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]+")


def make_changes(
    wanted: Sequence[str] | Mapping[str, Any] | None,
    *,
    rate: float,
    synonyms: Mapping[str, Any] | None,
    distractors: Sequence[str] | None,
) -> dict[str, Change]:
    """The changes by name: those of nbllm that are wanted (all where None), or functions of the user's own. Raises
    ConfigError for a name or a share that does not fit."""
    if not 0 < rate <= 1:
        raise ConfigError(f"rate is {rate}.", "Give a share of the letters between 0 and 1, as in rate=0.1.")
    own: dict[str, Change] = {
        "typos": typos(rate),
        "synonyms": other_words(SYNONYMS if synonyms is None else synonyms),
        "distractors": beside_the_point(distractors),
    }
    if wanted is None:
        return own
    if isinstance(wanted, str):
        wanted = [wanted]
    if isinstance(wanted, Mapping):
        return {str(name): _of_user(str(name), change) for name, change in wanted.items()}
    for name in wanted:
        if name not in own:
            raise ConfigError(f"There is no change '{name}'.", did_you_mean(name, own))
    return {name: own[name] for name in wanted}


def typos(rate: float) -> Change:
    """So large a share of the letters mistyped."""
    config = AugmentConfig(typos=rate)
    return lambda text, generator: augment(text, config, generator)


def other_words(table: Mapping[str, Any]) -> Change:
    """Every word of the table by one of its synonyms, in its case; Chinese ones wherever their characters stand."""
    choices = {
        str(word).lower(): [others] if isinstance(others, str) else [str(other) for other in others]
        for word, others in table.items()
    }
    if not choices or not all(choices.values()):
        raise ConfigError("A word has no synonym.", 'Give some, as in synonyms={"big": ["large"]}.')
    unspaced = sorted((w for w in choices if not _WORD.fullmatch(w) and " " not in w), key=len, reverse=True)
    latin = [w for w in choices if w not in unspaced]
    parts = [rf"\b(?:{'|'.join(map(re.escape, latin))})\b"] if latin else []
    pattern = re.compile("|".join([*parts, *map(re.escape, unspaced)]), re.IGNORECASE)

    def change(text: str, generator: np.random.Generator) -> str:
        def other(found: re.Match[str]) -> str:
            word = found[0]
            options = choices[word.lower()]
            chosen = options[int(generator.integers(len(options)))]
            if word.isupper() and len(word) > 1:
                return chosen.upper()
            return chosen[:1].upper() + chosen[1:] if word[:1].isupper() else chosen

        return pattern.sub(other, text)

    return change


def beside_the_point(sentences: Sequence[str] | None) -> Change:
    """A sentence more, before the text or behind it: of the user's, or nbllm's own in the text's script."""
    if sentences is not None and (isinstance(sentences, str) or not len(sentences)):
        raise ConfigError("The distractors are no list of sentences.", 'Give some, as in distractors=["It rained."].')

    def change(text: str, generator: np.random.Generator) -> str:
        chinese = script_share(text, "zh") > 0.3
        known = DISTRACTORS["zh" if chinese else "latin"] if sentences is None else sentences
        more = known[int(generator.integers(len(known)))]
        joint = "" if chinese else " "
        return more + joint + text if generator.random() < 0.5 else text.rstrip() + joint + more

    return change


def _of_user(name: str, change: Any) -> Change:
    if not callable(change):
        raise ConfigError(f"The change '{name}' is no function.", 'Give one, as in changes={"shout": str.upper}.')
    try:
        takes = len(inspect.signature(change).parameters)
    except (TypeError, ValueError):
        takes = 1
    return change if takes > 1 else lambda text, generator: change(text)
