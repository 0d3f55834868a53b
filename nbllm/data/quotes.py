"""Stories in which people speak, for lessons on memory: a small grammar of our own, in English and in Chinese.

    quotes     "..." with straight marks: the same sign opens and closes, so that a reader has to remember which it was
    zh-quotes  “……” in Chinese

People say the very sentences that the story tells, only aloud: within quotation marks a sentence ends with ! and
outside with a full stop. Nothing else in the text says whether somebody is speaking, so whoever is to guess the end of
a sentence has to keep the mark in mind. Deterministic: the same seed gives the same text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

VERSION = 1  # raised when a text here changes, so that tokens kept of the old one are not used
PARAGRAPHS = 3000
_TOGETHER = 5  # paragraphs of a document
_SLOT = re.compile(r"\{(\w+)\}")

_ENGLISH = {
    "name": ["anna", "ben", "clara", "david", "emma", "felix", "greta", "hugo", "iris", "jonas"],
    "said": ["said", "asked", "cried", "answered", "whispered"],
    "thing": ["boat", "lamp", "letter", "garden", "map", "kettle", "ladder", "song", "window", "basket"],
    "place": ["harbour", "market", "mill", "bridge", "library", "station", "orchard", "village"],
    "time": ["at noon", "in the evening", "before the rain", "after the storm", "in the morning"],
    "look": ["old", "red", "small", "heavy", "broken", "bright"],
    "was": ["went to", "walked to", "looked at", "came from", "remembered", "waited near"],
    "did": ["carried", "found", "painted", "lost", "mended", "hid"],
}
_ENGLISH_SENTENCES = (
    "{name} {was} the {place} {time}.", "the {look} {thing} stood near the {place}.",
    "{name} {did} the {look} {thing} and {was} the {place}.", "{time} {name} {did} a {thing}.",
    "nobody {did} the {thing} of {name}.",
)  # fmt: skip

_CHINESE = {
    "name": ["小明", "小红", "小华", "阿强", "李雷", "王芳", "张伟", "陈静"],
    "said": ["说", "问", "喊", "回答", "小声说"],
    "thing": ["船", "灯", "信", "地图", "水壶", "梯子", "篮子", "窗户"],
    "place": ["港口", "市场", "桥边", "图书馆", "车站", "果园", "村子"],
    "time": ["中午", "傍晚", "下雨前", "早上", "夜里"],
    "look": ["旧", "红", "小", "重", "新"],
}
_CHINESE_SENTENCES = (
    "{time}，{name}走到了{place}。", "{place}旁边放着一个{look}{thing}。", "没有人看见过{name}的{thing}。",
    "{name}找到了那个{look}{thing}，带回了{place}。", "后来{name}把{thing}藏在了{place}。",
)  # fmt: skip


def quotes(seed: int = 2026, count: int = PARAGRAPHS) -> Iterator[str]:
    """`count` English paragraphs of about 250 to 1,000 characters, half of them within quotation marks, by fives."""

    def speech(draw: random.Random, fill: Callable[[str], str]) -> str:
        spoken = " ".join(fill(draw.choice(_ENGLISH_SENTENCES)).replace(".", "!") for _ in range(draw.randint(1, 5)))
        return fill(f'"{spoken}" {{said}} {{name}}.') if draw.random() < 0.6 else fill(f'{{name}} {{said}}: "{spoken}"')

    return _paragraphs(_ENGLISH, _ENGLISH_SENTENCES, speech, " ", seed, count)


def zh_quotes(seed: int = 2026, count: int = PARAGRAPHS) -> Iterator[str]:
    """The same in Chinese, with “ and ”."""

    def speech(draw: random.Random, fill: Callable[[str], str]) -> str:
        spoken = "".join(fill(draw.choice(_CHINESE_SENTENCES)).replace("。", "！") for _ in range(draw.randint(1, 6)))
        return fill(f"“{spoken}”{{name}}{{said}}。") if draw.random() < 0.5 else fill(f"{{name}}{{said}}：“{spoken}”")

    return _paragraphs(_CHINESE, _CHINESE_SENTENCES, speech, "", seed, count)


def _paragraphs(
    words: dict[str, list[str]],
    told: tuple[str, ...],
    speech: Callable[[random.Random, Callable[[str], str]], str],
    joint: str,
    seed: int,
    count: int,
) -> Iterator[str]:
    """Narration, one to four sentences of it, and speech by turns."""
    draw = random.Random(seed)

    def fill(sentence: str) -> str:
        return _SLOT.sub(lambda slot: draw.choice(words[slot[1]]), sentence)

    paragraphs = []
    for number in range(1, count + 1):
        parts: list[str] = []
        for _ in range(draw.randint(2, 4)):
            parts += [fill(draw.choice(told)) for _ in range(draw.randint(1, 4))]
            parts.append(speech(draw, fill))
        paragraphs.append(joint.join(parts))
        if number % _TOGETHER == 0 or number == count:
            yield "\n".join(paragraphs)
            paragraphs = []
