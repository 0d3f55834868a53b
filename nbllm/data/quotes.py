"""Stories in which people speak, for lessons on memory: a small grammar of our own, in English and in Chinese.

    quotes     "..." with straight marks: the same sign opens and closes, so that a reader has to remember which it was
    zh-quotes  “……” in Chinese

Speech is in the present and in the first person, narration in the past and in the third, of the same nouns: to say
what comes next one has to know whether somebody is speaking. Deterministic: the same seed gives the same text.
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
    "is": ["go to", "walk to", "look at", "come from", "remember", "wait near"],
    "do": ["carry", "find", "paint", "lose", "mend", "hide"],
}
_ENGLISH_TOLD = (
    "{name} {was} the {place} {time}.", "the {look} {thing} stood near the {place}.",
    "{name} {did} the {look} {thing} and {was} the {place}.", "{time} {name} {did} a {thing}.",
    "nobody {did} the {thing} of {name}.",
)  # fmt: skip
_ENGLISH_SPOKEN = (
    "i {is} the {place} {time}.", "we {do} the {look} {thing} and {is} the {place}.", "do you {do} the {thing}?",
    "i never {do} a {look} {thing}.", "you must {is} the {place}!", "my {thing} is {look}, and i {do} it {time}.",
)  # fmt: skip

_CHINESE = {
    "name": ["小明", "小红", "小华", "阿强", "李雷", "王芳", "张伟", "陈静"],
    "said": ["说", "问", "喊", "回答", "小声说"],
    "thing": ["船", "灯", "信", "地图", "水壶", "梯子", "篮子", "窗户"],
    "place": ["港口", "市场", "桥边", "图书馆", "车站", "果园", "村子"],
    "time": ["中午", "傍晚", "下雨前", "早上", "夜里"],
    "look": ["旧", "红", "小", "重", "新"],
}
_CHINESE_TOLD = (
    "{time}，{name}走到了{place}。", "{place}旁边放着一个{look}{thing}。", "没有人看见过{name}的{thing}。",
    "{name}找到了那个{look}{thing}，带回了{place}。", "后来{name}把{thing}藏在了{place}。",
)  # fmt: skip
_CHINESE_SPOKEN = (
    "我{time}去{place}。", "我们把那个{look}{thing}带到{place}吧！", "你有没有{thing}？", "你别忘了去{place}。",
    "我的{thing}很{look}，我{time}要用。",
)  # fmt: skip


def quotes(seed: int = 2026, count: int = PARAGRAPHS) -> Iterator[str]:
    """`count` English paragraphs of about 250 to 1,000 characters, half of them within quotation marks, by fives."""

    def speech(draw: random.Random, fill: Callable[[str], str]) -> str:
        spoken = " ".join(fill(draw.choice(_ENGLISH_SPOKEN)) for _ in range(draw.randint(1, 5)))
        return fill(f'"{spoken}" {{said}} {{name}}.') if draw.random() < 0.6 else fill(f'{{name}} {{said}}: "{spoken}"')

    return _paragraphs(_ENGLISH, _ENGLISH_TOLD, speech, " ", seed, count)


def zh_quotes(seed: int = 2026, count: int = PARAGRAPHS) -> Iterator[str]:
    """The same in Chinese, with “ and ”."""

    def speech(draw: random.Random, fill: Callable[[str], str]) -> str:
        spoken = "".join(fill(draw.choice(_CHINESE_SPOKEN)) for _ in range(draw.randint(1, 6)))
        return fill(f"“{spoken}”{{name}}{{said}}。") if draw.random() < 0.5 else fill(f"{{name}}{{said}}：“{spoken}”")

    return _paragraphs(_CHINESE, _CHINESE_TOLD, speech, "", seed, count)


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
