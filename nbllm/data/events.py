"""Sentences about events, with the entities, their places in the text and the relation between them known: a company
buys another, a person joins a company, a person moves to a city, and so on, in English and in Chinese.

    events, zh-events    `text`, `spans`, a JSON list of [start, end, kind] in characters, and `split`. The kind of a
                         subject or object says its part in the relation too: company#acquires.s
    paraphrases          `text`, `pair`, `label` (same, other): two ways to tell an event, or two events that differ in
                         one entity

Entities of the test stand in no training text: they are made of parts, and whole names are held out.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nbllm.data.sides import side_of

VERSION = 3  # raised when a table here changes, so that examples kept of the old one are not used
ROWS = 6000
PAIRS = 32_000
EASY = 0.4  # of the training pairs: with hard ones alone no word says anything by itself, and learning does not begin
SEED = 2026
VALIDATION, TEST = 10, 25  # of 100 names of each kind

PERSON, COMPANY, PLACE, DATE = "person", "company", "place", "date"


@dataclass(frozen=True)
class Language:
    """Names of each kind by their parts, and the frames of each relation: {s} subject, {o} object, {p} place, {d}
    date."""

    parts: dict[str, tuple[Sequence[str], Sequence[str]]]
    space: str
    relations: dict[str, tuple[str, str, Sequence[str]]]
    around: Sequence[str]


ENGLISH = Language(
    parts={
        PERSON: (
            ("Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Karin", "Luis",
             "Marta", "Nils", "Olga", "Pavel", "Rosa", "Simon", "Tessa", "Viktor", "Agnes", "Bruno", "Cora", "Dario",
             "Edith", "Fiona", "Gustav", "Helen", "Ivo", "Julia", "Kaspar", "Lena", "Milan", "Nadia", "Otto", "Petra",
             "Ralf", "Sonja", "Timo", "Ursula", "Vera", "Walter", "Yara", "Zoran", "Alma", "Basil", "Celia", "Derek",
             "Erik", "Flora", "Gilda", "Henrik", "Isolde", "Jakob", "Klara", "Leon"),
            ("Adler", "Brandt", "Castro", "Dolan", "Eriksen", "Ferrand", "Gallo", "Hansen", "Ivanov", "Jensen",
             "Keller", "Lorenz", "Moreau", "Novak", "Ortega", "Petrov", "Rossi", "Sommer", "Tanaka", "Weiss", "Acosta",
             "Berger", "Conti", "Duarte", "Engel", "Falk", "Garcia", "Haas", "Ibsen", "Jansen", "Kowalski", "Lund",
             "Marino", "Nielsen", "Olsen", "Pereira", "Quist", "Ricci", "Santos", "Thaler", "Ullman", "Vidal",
             "Wagner", "Young", "Zeman", "Amaral", "Blum", "Costa", "Dietz", "Ekman", "Fischer", "Graf", "Hoffman",
             "Ito", "Kuhn", "Lopez", "Mendes", "Neri"),
        ),
        COMPANY: (
            ("Northern", "Blue", "Silver", "Green", "United", "Royal", "Atlas", "Delta", "Nova", "Orion", "Prime",
             "Summit", "Golden", "Central", "Pacific", "Amber", "Crystal", "Iron", "Maple", "Falcon", "Harbor", "Polar",
             "Solar", "Vista", "Apex", "Coral", "Eagle", "Granite", "Ivory", "Lunar", "Metro", "Oak", "Pioneer",
             "Quantum", "River", "Sterling"),
            ("Motors", "Foods", "Bank", "Airways", "Media", "Energy", "Steel", "Software", "Textiles", "Shipping",
             "Pharma", "Robotics", "Paper", "Glass", "Chemicals", "Ceramics", "Cement", "Cables", "Furniture",
             "Insurance", "Logistics", "Mining", "Optics", "Plastics", "Records", "Rubber", "Timber", "Tools",
             "Toys", "Watches"),
        ),
        PLACE: (
            ("New ", "Port ", "Upper ", "Lower ", "East ", "West ", "San ", "Old ", "Lake ", "Fort "),
            ("Harlow", "Denby", "Marlin", "Ostra", "Velden", "Corven", "Tarn", "Ashby", "Brill", "Kemp", "Lorne",
             "Sela", "Wexley", "Ravel", "Bexhill", "Calder", "Dunmore", "Elstow", "Farley", "Garvin", "Hollis", "Ilmen",
             "Jarrow", "Kelso", "Linden", "Moira", "Nairn", "Orwell", "Penrith", "Rowan", "Selby", "Thorne", "Ulmar",
             "Vernon"),
        ),
        DATE: (
            ("3 ", "7 ", "12 ", "15 ", "19 ", "21 ", "24 ", "28 "),
            ("January", "February", "March", "April", "May", "June", "July", "August", "October", "December"),
        ),
    },
    space=" ",
    relations={
        "acquires": (COMPANY, COMPANY, (
            "{s} bought {o} on {d}.", "On {d}, {s} took over {o}.", "{o} was bought by {s}.",
            "{o} now belongs to {s}, the paper said.", "In {p}, {s} announced that it will buy {o}.",
        )),
        "joins": (PERSON, COMPANY, (
            "{s} joined {o} on {d}.", "{o} has hired {s} in {p}.", "Since {d}, {s} works for {o}.",
            "{s} is the new head of {o}.", "{o} named {s} as its director.",
        )),
        "leaves": (PERSON, COMPANY, (
            "{s} left {o} on {d}.", "{s} no longer works for {o}.", "{o} parted with {s} on {d}.",
            "After ten years {s} has resigned from {o}.", "{o} dismissed {s}, who lives in {p}.",
        )),
        "moves_to": (PERSON, PLACE, (
            "{s} moved to {o} on {d}.", "Since {d}, {s} has lived in {o}.", "{o} is the new home of {s}.",
            "{s} found a house in {o}.",
        )),
        "opens_in": (COMPANY, PLACE, (
            "{s} opened a plant in {o} on {d}.", "{o} gets a new office of {s}.", "A branch of {s} opens in {o}.",
            "On {d}, {s} began to build in {o}.",
        )),
        "meets": (PERSON, PERSON, (
            "{s} met {o} in {p}.", "On {d}, {s} had dinner with {o}.", "{s} spoke with {o} in {p} on {d}.",
        )),
    },
    around=("", "", "As expected, ", "It is true: ", "We hear that ", "According to the report, "),
)  # fmt: skip

CHINESE = Language(
    parts={
        PERSON: (
            tuple("王李张刘陈杨赵黄周吴徐孙胡朱高林"),
            ("小明", "丽华", "志强", "雅琴", "建国", "思远", "晓东", "静怡", "文博", "若兰", "天佑", "海燕", "子涵",
             "凯"),
        ),
        COMPANY: (
            ("北方", "蓝天", "银河", "绿洲", "联合", "东风", "新星", "长城", "金桥", "中原", "海洋", "琥珀"),
            ("汽车", "食品", "银行", "航空", "传媒", "能源", "钢铁", "软件", "纺织", "船运", "制药", "玻璃"),
        ),
        PLACE: (
            ("新", "东", "西", "南", "北", "上", "下", "古"),
            ("林市", "河镇", "桥县", "山城", "湖州", "溪镇", "岭县", "港市", "泉城", "田镇"),
        ),
        DATE: (
            ("一月", "二月", "三月", "四月", "五月", "六月", "八月", "十月", "十二月"),
            ("三日", "七日", "十二日", "十五日", "十九日", "二十一日", "二十八日"),
        ),
    },
    space="",
    relations={
        "acquires": (COMPANY, COMPANY, (
            "{s}于{d}收购了{o}。", "{d}，{s}买下了{o}。", "{o}被{s}收购。", "{s}在{p}宣布将收购{o}。",
        )),
        "joins": (PERSON, COMPANY, (
            "{s}于{d}加入{o}。", "{o}在{p}聘请了{s}。", "从{d}起，{s}在{o}工作。", "{o}任命{s}为经理。",
        )),
        "leaves": (PERSON, COMPANY, ("{s}于{d}离开了{o}。", "{s}已不在{o}工作。", "{o}辞退了住在{p}的{s}。")),
        "moves_to": (PERSON, PLACE, ("{s}于{d}搬到了{o}。", "从{d}起，{s}住在{o}。", "{s}在{o}找到了房子。")),
        "opens_in": (COMPANY, PLACE, ("{s}于{d}在{o}开了工厂。", "{o}有了{s}的新办公室。", "{s}开始在{o}建厂。")),
        "meets": (PERSON, PERSON, ("{s}在{p}见了{o}。", "{d}，{s}和{o}一起吃饭。", "{s}于{d}在{p}和{o}谈话。")),
    },
    around=("", "", "据说", "报道说，", "正如大家所料，"),
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """A relation between two entities, at a place and a date that a frame may leave out."""

    relation: str
    names: dict[str, str]  # by slot: s, o, p, d


def events() -> Iterator[dict[str, str]]:
    """English sentences with their entities."""
    return _rows(ENGLISH)


def zh_events() -> Iterator[dict[str, str]]:
    """Chinese ones."""
    return _rows(CHINESE)


def paraphrases() -> Iterator[dict[str, str]]:
    """Pairs of English sentences: the same event told in two ways, or two that differ in one entity, in who did it to
    whom, or in the relation. Some of the training rows are easier: the same sentence, or events that share nothing."""
    draw = random.Random(SEED)
    # Words carry the space before them: a name that begins a text would be another token than within.
    told = replace(ENGLISH, around=[each for each in ENGLISH.around if each])
    for number in range(PAIRS):
        side = {3: "test", 11: "validation"}.get(number % 16, "train")
        relation = draw.choice(list(ENGLISH.relations))
        event = _event(ENGLISH, draw, relation, side)
        first, second = draw.sample(ENGLISH.relations[relation][2], 2)
        same, easy = draw.random() < 0.5, side == "train" and draw.random() < EASY
        if same:
            other = event
        elif easy and draw.random() < 0.5:
            other = _event(ENGLISH, draw, draw.choice(list(ENGLISH.relations)), side)
        else:
            other = _changed(event, draw, side)
        if other.relation != relation:
            second = draw.choice(ENGLISH.relations[other.relation][2])
        elif easy:
            second = first
        yield {
            "text": _told(told, draw, event, first)[0],
            "pair": _told(told, draw, other, second)[0],
            "label": "same" if same else "other",
            "split": side,
        }


def _rows(language: Language) -> Iterator[dict[str, str]]:
    draw = random.Random(SEED)
    seen: set[str] = set()
    number = 0
    while len(seen) < ROWS:
        number += 1
        side = ("train", "train", "train", "test", "train", "validation", "train", "test")[number % 8]
        relation = draw.choice(list(language.relations))
        event = _event(language, draw, relation, side)
        text, spans = _told(language, draw, event, draw.choice(language.relations[relation][2]))
        if text not in seen:
            seen.add(text)
            yield {
                "text": text,
                "spans": json.dumps(spans, ensure_ascii=False),
                "split": side,
            }


def _event(language: Language, draw: random.Random, relation: str, side: str) -> Event:
    subject, object_, _ = language.relations[relation]
    names = {"s": _name(language, draw, subject, side)}
    while (other := _name(language, draw, object_, side)) == names["s"]:
        continue
    return Event(
        relation, {**names, "o": other, "p": _name(language, draw, PLACE, side), "d": _name(language, draw, DATE, side)}
    )


def _changed(event: Event, draw: random.Random, side: str) -> Event:
    """Another event: another subject or object, the two changed over, or another relation of the same kinds."""
    subject, object_, _ = ENGLISH.relations[event.relation]
    alike = [
        name for name, (s, o, _) in ENGLISH.relations.items() if (s, o) == (subject, object_) and name != event.relation
    ]
    choice = draw.choice(
        ("subject", "object", *(["over"] if subject == object_ else []), *(["relation"] if alike else []))
    )
    names = dict(event.names)
    if choice == "relation":
        return Event(draw.choice(alike), names)
    if choice == "over" and event.relation != "meets":
        names["s"], names["o"] = names["o"], names["s"]
        return Event(event.relation, names)
    slot, kind = ("s", subject) if choice == "subject" else ("o", object_)
    near = side == "train" and draw.random() < 0.5  # one part of the name stays, so that every part is looked at
    while names[slot] in (event.names["s"], event.names["o"]):
        names[slot] = _near(event.names[slot], draw, kind, side) if near else _name(ENGLISH, draw, kind, side)
    return Event(event.relation, names)


def _name(language: Language, draw: random.Random, kind: str, side: str) -> str:
    """A name of that kind that belongs to the side."""
    first, second = language.parts[kind]
    while True:
        parts = draw.choice(first), draw.choice(second)
        name = (language.space if not parts[0].endswith(" ") else "").join(parts)
        if side_of(name, TEST, VALIDATION) == side:
            return name


def _near(name: str, draw: random.Random, kind: str, side: str) -> str:
    """Another English name of the side that has one of the two parts of this one."""
    (first, last), (firsts, lasts) = name.split(" "), ENGLISH.parts[kind]
    while True:
        parts = (first, draw.choice(lasts)) if draw.random() < 0.5 else (draw.choice(firsts).strip(), last)
        other = " ".join(parts)
        if other != name and side_of(other, TEST, VALIDATION) == side:
            return other


def _told(language: Language, draw: random.Random, event: Event, frame: str) -> tuple[str, list[list[object]]]:
    """A sentence, and where its entities stand: [start, end, kind] in characters."""
    subject, object_, _ = language.relations[event.relation]
    own = event.relation
    kinds = {"s": f"{subject}#{own}.s", "o": f"{object_}#{own}.o", "p": PLACE, "d": DATE}
    text, spans = draw.choice(language.around), []
    pieces = frame.replace("{", "\x00").replace("}", "\x00").split("\x00")
    for index, piece in enumerate(pieces):
        if index % 2:
            spans.append([len(text), len(text) + len(event.names[piece]), kinds[piece]])
            text += event.names[piece]
        else:
            begins = not index and text and not text.isspace() and piece[:1].isupper() and not text.endswith(": ")
            text += piece[:1].lower() + piece[1:] if begins else piece
    return text, spans
