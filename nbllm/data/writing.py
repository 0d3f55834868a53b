"""Requests for a text and texts that do as they are told: news items, replies to mails, verses and scripts, in English,
and news and verses in Chinese; a grammar and words of this project's own.

A request names a style and words or a title, and how many sentences or lines, who speaks or in which tone. Held out are
combinations of the two chief words of a request, which it always names: no training text of that style has both.
"""

# ruff: noqa: SIM905 - lists of words are read more easily as one text

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from nbllm.data.sides import side_of

VERSION = 1  # raised when a table here changes, so that examples kept of the old one are not used
ROWS = 12_000
SEED = 2026
VALIDATION, TEST = 6, 14  # of 100 combinations

NAMES = "Anna Omar Mei Pavel Lucia Tom Aisha Jonas Ines Kofi Nora Luis Vera Sam".split()
PLACES = (
    "Lisbon Nairobi Osaka Quito Bergen Leipzig Hanoi Porto Lima Tunis Oslo Cork Turin Busan Accra Split Ghent Perth"
).split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
EVENTS = "flood fire strike concert storm parade market exhibition marathon blackout festival debate".split()
GUESTS = "mayor teacher doctor pilot farmer engineer baker judge painter guard".split()
THINGS = "bridge harbour library station tower school museum theatre airport garden".split()
TOPICS = "meeting rehearsal lesson interview dinner visit lecture training picnic match".split()
NATURE = "moon river snow harvest sea forest wind garden mountain morning rain star".split()
HOMELY = "lamp window bread letter door clock kettle candle chair song road boat".split()
LOST = "key umbrella ticket camera hat suitcase map violin ring book wallet phone".split()
ROOMS = "kitchen attic cellar office garage hall studio bakery tram café".split()
SMALL = ("zero", "one", "two", "three", "four", "five", "six")

# News: an opening with the chief words, then sentences that each hold one further word.
_OPENINGS = ("A {event} kept {place} awake on {day}.", "On {day} a {event} changed the plans of all {place}.")
_FURTHER = {
    "guest": ("The {guest} thanked all who had helped.", "One {guest} spoke of a day to remember."),
    "thing": ("The {thing} will stay closed for a while.", "Crowds stood before the {thing} until evening."),
    "person": ("{person} saw it all from a balcony.", "Our reporter {person} was there."),
}
# Lines of verse: those that rhyme with each other, with the first chief word, the second, or none.
_RHYMES = (
    (
        ("The {a} is silver and bright", "How softly the {a} takes flight"),
        ("a {b} keeps watch in the night", "the {b} is waiting for light"),
        ("and all that was wrong is right", "the hills have gone out of sight", "the dark is holding me tight"),
    ),
    (
        ("I think of the {a} all day", "The {a} has so much to say"),
        ("the {b} has gone grey", "a {b} is showing the way"),
        ("and nobody asks me to stay", "the children come out to play", "it smells of April and May"),
    ),
    (
        ("The {a} has nothing to tell", "I know the {a} so well"),
        ("the {b} is under a spell", "a {b} rings like a bell"),
        ("I heard how the evening fell", "and silence is all they sell", "we live in the sound of a shell"),
    ),
)
# A script: what is lost, where it may be, and talk that fits anywhere.
_ASK = ("Have you seen the {a}?", "I cannot find the {a}.")
_SAY = ("Look in the {b}.", "It was in the {b} this morning.")
_TALK = ("I have no time for this.", "Let us go together.", "You say that every week.", "Then hurry, it is late.")

_ZH_PLACES = "北京 上海 南京 广州 成都 武汉 西安 杭州 苏州 青岛 昆明 厦门".split()
_ZH_EVENTS = "火灾 洪水 罢工 音乐会 暴雨 游行 展览 比赛 停电 会议".split()
_ZH_DAYS = "周一 周二 周三 周四 周五 周六 周日".split()
_ZH_GUESTS = "市长 老师 医生 司机 农民 记者 画家 警察".split()
_ZH_NATURE = "月亮 江水 雪花 大海 森林 春风 高山 星星 白云 秋雨".split()
_ZH_HOMELY = "灯光 窗户 书信 钟声 茶杯 小船 道路 歌声 椅子 笛声".split()
_ZH_NEWS = ("{day}，{place}发生了一件大事：{event}。", "{day}的{event}让{place}很热闹。")
_ZH_FURTHER = ("{guest}感谢了所有人。", "一位{guest}讲了当天的事。")
_ZH_VERSE = (
    ("我想念{a}", "{a}照着我"), ("{b}在远方", "{b}陪着我"), ("夜里很安静", "谁也不说话", "明天会更好"),
)  # fmt: skip
_HAN = "零一二三四五六"


def instructions() -> Iterator[dict[str, str]]:
    """`source` (the request), `target` (a text that does it) and `split`, no request twice."""
    draw = random.Random(SEED)
    makers: tuple[Callable[[random.Random], tuple[str, str, str]], ...] = (
        _news, _news, _mail, _mail, _verse, _verse, _script, _script, _zh_news, _zh_verse,
    )  # fmt: skip
    seen: set[str] = set()
    while len(seen) < ROWS:
        source, target, combination = draw.choice(makers)(draw)
        if source not in seen:
            seen.add(source)
            yield {"source": source, "target": target, "split": side_of(combination, TEST, VALIDATION)}


def _news(draw: random.Random) -> tuple[str, str, str]:
    words = {
        "event": draw.choice(EVENTS), "place": draw.choice(PLACES), "day": draw.choice(DAYS),
        "guest": draw.choice(GUESTS), "thing": draw.choice(THINGS), "person": draw.choice(NAMES),
    }  # fmt: skip
    kinds = draw.sample(list(_FURTHER), draw.randint(1, 3))
    said = [draw.choice(_OPENINGS), *(draw.choice(_FURTHER[kind]) for kind in kinds)]
    text = " ".join(said).format(**words)
    asked = draw.sample(["day", *kinds], draw.randint(0, 2))
    number = len(said) if draw.random() < 0.5 else 0
    if draw.random() < 0.35:
        title = f"{words['event'].capitalize()} in {words['place']}"
        source = _request(draw, "news", "a news item", number, "sentences", title, [words[each] for each in asked])
        text = f"{title}\n{text}"
    else:
        given = _shuffled(draw, [words[each] for each in ("event", "place", *asked)])
        source = _request(draw, "news", "a news item", number, "sentences", "", given)
    return source, text, f"news|{words['event']}|{words['place']}"


def _mail(draw: random.Random) -> tuple[str, str, str]:
    writer, reader = draw.sample(NAMES, 2)
    topic, day, other = draw.choice(TOPICS), *draw.sample(DAYS, 2)
    formal, agreed = draw.random() < 0.5, draw.random() < 0.5
    asks = draw.choice(("can we have the {topic} on {day}?", "is {day} a good day for the {topic}?"))
    mail = f"Dear {reader}, {asks.format(topic=topic, day=day)} {writer}"
    tone, answer = ("formal" if formal else "friendly"), ("yes" if agreed else "no")
    source = draw.choice((f"[mail, {tone}, {answer}] {mail}", f"Write a {tone} reply that says {answer} to: {mail}"))
    if agreed:
        text = draw.choice(("yes, {day} is fine for the {topic}.", "yes, the {topic} on {day} suits me well."))
    else:
        text = draw.choice(
            ("no, {day} is not possible for the {topic}. Could it be {other}?", "no, the {topic} cannot be on {day}.")
        )
    greeting, parting = (f"Dear {writer},", "Kind regards,") if formal else (f"Hi {writer},", "See you,")
    text = f"{greeting}\n{text.format(topic=topic, day=day, other=other)}\n{parting}\n{reader}"
    return source, text, f"mail|{writer}|{topic}"


def _verse(draw: random.Random) -> tuple[str, str, str]:
    a, b, number = draw.choice(NATURE), draw.choice(HOMELY), draw.randint(2, 4)
    first, second, others = draw.choice(_RHYMES)
    lines = [draw.choice(first), *_shuffled(draw, [draw.choice(second), *draw.sample(others, number - 2)])]
    text = "\n".join(lines).format(a=a, b=b)
    if draw.random() < 0.35:
        title = f"{a.capitalize()} and {b}"
        return _request(draw, "verse", "a verse", number, "lines", title, []), f"{title}\n{text}", f"verse|{a}|{b}"
    return _request(draw, "verse", "a verse", number, "lines", "", _shuffled(draw, [a, b])), text, f"verse|{a}|{b}"


def _script(draw: random.Random) -> tuple[str, str, str]:
    speakers, a, b = draw.sample(NAMES, 2), draw.choice(LOST), draw.choice(ROOMS)
    number = draw.randint(2, 5)
    said = [draw.choice(_ASK), draw.choice(_SAY), *draw.sample(_TALK, number - 2)]
    lines = [f"{speakers[place % 2]}: {line}" for place, line in enumerate(said)]
    given, (one, two) = " and ".join(_shuffled(draw, [a, b])), speakers
    if draw.random() < 0.5:
        source = f"[script, {number} lines, {one} and {two}] keywords: {given.replace(' and ', ', ')}"
    else:
        source = f"Write a script of {SMALL[number]} lines between {one} and {two} with the words {given}."
    return source, "\n".join(lines).format(a=a, b=b), f"script|{a}|{b}"


def _zh_news(draw: random.Random) -> tuple[str, str, str]:
    words = {
        "event": draw.choice(_ZH_EVENTS), "place": draw.choice(_ZH_PLACES), "day": draw.choice(_ZH_DAYS),
        "guest": draw.choice(_ZH_GUESTS),
    }  # fmt: skip
    text = (draw.choice(_ZH_NEWS) + draw.choice(_ZH_FURTHER)).format(**words)
    further = draw.sample(["day", "guest"], draw.randint(0, 2))
    given = "、".join(_shuffled(draw, [words[each] for each in ("event", "place", *further)]))
    source = draw.choice((f"[新闻] 关键词：{given}", f"写一则新闻，关键词：{given}"))
    return source, text, f"zh-news|{words['event']}|{words['place']}"


def _zh_verse(draw: random.Random) -> tuple[str, str, str]:
    a, b, number = draw.choice(_ZH_NATURE), draw.choice(_ZH_HOMELY), draw.randint(2, 4)
    first, second, others = _ZH_VERSE
    lines = [draw.choice(first), *_shuffled(draw, [draw.choice(second), *draw.sample(others, number - 2)])]
    given = "、".join(_shuffled(draw, [a, b]))
    source = draw.choice((f"[诗, {number}行] 关键词：{given}", f"写一首{_HAN[number]}行诗，关键词：{given}"))
    return source, "\n".join(lines).format(a=a, b=b), f"zh-verse|{a}|{b}"


def _request(draw: random.Random, tag: str, style: str, number: int, unit: str, title: str, words: list[str]) -> str:
    """A request as a tag with fields, or as a sentence."""
    if draw.random() < 0.5:
        fields = [f"title: {title}"] * bool(title) + [f"keywords: {', '.join(words)}"] * bool(words)
        return f"[{tag}{f', {number} {unit}' if number else ''}] {'; '.join(fields)}"
    length = f" of {SMALL[number]} {unit}" if number else ""
    named = f' titled "{title}"' if title else ""
    listed = f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
    return f"Write {style}{length}{named}{f' with the words {listed}' if words else ''}."


def _shuffled(draw: random.Random, things: list[str]) -> list[str]:
    return draw.sample(things, len(things))
