"""Questions about a small world: people go to places, take things and put them into others, and a question is asked
whose answer the simulation knows (after Weston et al. 2015, "Towards AI-Complete Question Answering").

qa-one   where somebody is: one supporting fact, the last of the moves
qa-two   where a thing is: who has it, and where that one is
qa       both, and three supporting facts, yes and no, counting, negation

In each some questions have no answer in the text, and are answered so. Training rows also ask where everybody and
everything is: an answer of many words teaches in one row what it is to look a name up. Held out are pairs of person
and place: no training text puts the two together, and every question of the test is about such a pair.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

VERSION = 3  # raised when a table here changes, so that examples kept of the old one are not used
ROWS, ROWS_OF_TWO = 30_000, 60_000  # the more steps there are to a question, the sooner rows are known by heart
SEED = 2026
VALIDATION, TEST = 1_500, 3_000  # rows
UNSAID = 0.1  # of the rows: the text holds no answer
KINDS = ("one", "two", "step", "three", "yes", "left", "people", "things")


@dataclass(frozen=True)
class Language:
    """The words of a language and its sentences: {p} person, {x} place, {t} thing, {b} what things are put in."""

    people: Sequence[str]
    places: Sequence[str]
    things: Sequence[str]
    boxes: Sequence[str]
    openings: Sequence[str]
    went: Sequence[str]
    left: Sequence[str]
    took: Sequence[str]
    put: Sequence[str]
    where: str
    where_thing: str
    who_has: str
    everybody: str
    everything: str
    comma: str
    inside: str
    how_many_people: str
    how_many_things: str
    yes: str
    no: str
    numbers: Sequence[str]
    unsaid: str
    space: str


ENGLISH = Language(
    people=(
        "Anna", "Omar", "Mei", "Pavel", "Lucia", "Tom", "Aisha", "Jonas", "Nora", "Luis", "Ines", "Kofi", "Ruth",
        "Igor", "Yuki", "Sven",
    ),
    places=(
        "kitchen", "garden", "office", "hallway", "bedroom", "cellar", "garage", "library", "attic", "workshop",
        "bathroom", "market", "park", "school", "station", "museum",
    ),
    things=("apple", "book", "key", "lamp", "ball", "cup", "letter", "coat", "map", "flute"),
    boxes=("box", "bag", "basket", "suitcase"),
    openings=("One morning.", "One evening.", "Some time ago.", "Once more."),
    went=("{p} went to the {x}.", "{p} walked to the {x}.", "{p} is in the {x}.", "{p} moved to the {x}."),
    left=("{p} left the {x}.", "{p} is no longer in the {x}.", "{p} is not in the {x}."),
    took=("{p} took the {t}.", "{p} picked up the {t}.", "{p} got the {t}."),
    put=("The {t} is in the {b}.", "Somebody put the {t} in the {b}."),
    where="Where is {p}?",
    where_thing="Where is the {t}?",
    who_has="Who has the {t}?",
    everybody="Where is everybody?",
    everything="Where is everything?",
    comma=", ",
    inside="Is {p} in the {x}?",
    how_many_people="How many people are in the {x}?",
    how_many_things="How many things does {p} have?",
    yes="yes",
    no="no",
    numbers=("none", "one", "two", "three", "four"),
    unsaid="unknown",
    space=" ",
)  # fmt: skip

CHINESE = Language(
    people=(
        "小明", "小红", "小华", "李雷", "王芳", "张伟", "刘洋", "陈静", "赵敏", "孙浩", "周杰", "吴丹", "郑爽", "冯涛",
        "何琳", "马超",
    ),
    places=(
        "厨房", "花园", "办公室", "走廊", "卧室", "地下室", "车库", "图书馆", "阁楼", "工厂", "浴室", "市场", "公园",
        "学校", "车站", "博物馆",
    ),
    things=("苹果", "书", "钥匙", "台灯", "皮球", "杯子", "信", "大衣", "地图", "笛子"),
    boxes=("盒子", "书包", "篮子", "箱子"),
    openings=("早上。", "晚上。", "很久以前。", "有一天。"),
    went=("{p}去了{x}。", "{p}走到{x}。", "{p}在{x}。", "{p}来到{x}。"),
    left=("{p}离开了{x}。", "{p}已经不在{x}。", "{p}不在{x}。"),
    took=("{p}拿了{t}。", "{p}拿起{t}。", "{p}取走{t}。"),
    put=("{t}在{b}里。", "有人把{t}放进{b}。"),
    where="{p}在哪里？",
    where_thing="{t}在哪里？",
    who_has="谁有{t}？",
    everybody="大家在哪里？",
    everything="东西在哪里？",
    comma="，",
    inside="{p}在{x}吗？",
    how_many_people="{x}里有几个人？",
    how_many_things="{p}有几样东西？",
    yes="是",
    no="不是",
    numbers=("零", "一", "二", "三", "四"),
    unsaid="不知道",
    space="",
)  # fmt: skip


@dataclass
class World:
    """Where everybody is, who has what and what lies in what; and the sentences that said so."""

    language: Language
    draw: random.Random
    at: dict[str, str | None] = field(default_factory=dict)
    holder: dict[str, str] = field(default_factory=dict)
    inside: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def go(self, person: str, place: str) -> None:
        """A person is at a place from now on."""
        self.at[person] = place
        self._tell(self.language.went, p=person, x=place)

    def leave(self, person: str, place: str) -> None:
        """A person is not at a place any more, and nothing says where instead."""
        self.at[person] = None
        self._tell(self.language.left, p=person, x=place)

    def take(self, person: str, thing: str) -> None:
        """A person has a thing from now on, and what lies in it."""
        self.holder[thing] = person
        self._tell(self.language.took, p=person, t=thing)

    def put(self, thing: str, box: str) -> None:
        """A thing lies in another from now on."""
        self.inside[thing] = box
        self._tell(self.language.put, t=thing, b=box)

    def place_of(self, thing: str) -> str | None:
        """Where a thing is, by who carries it or what it lies in."""
        person = self.holder.get(self.inside.get(thing, thing))
        return None if person is None else self.at.get(person)

    def _tell(self, forms: Sequence[str], **words: str) -> None:
        text = self.draw.choice(forms).format(**words)
        self.told.append(text[:1].upper() + text[1:])


def one() -> Iterator[dict[str, str]]:
    """`context`, `question`, `answer` and `split`: one supporting fact."""
    return _rows(ENGLISH, ("one",), ("one", "everybody"))


def two() -> Iterator[dict[str, str]]:
    """Two supporting facts; training rows also ask for one step of the two."""
    return _rows(ENGLISH, ("two",), ("two", "two", "step", "everybody", "everything"), ROWS_OF_TWO)


def every() -> Iterator[dict[str, str]]:
    """All kinds of questions."""
    return _rows(ENGLISH, KINDS, (*KINDS, "everybody", "everybody", "everything", "everything"))


def zh_one() -> Iterator[dict[str, str]]:
    """One supporting fact, in Chinese."""
    return _rows(CHINESE, ("one",), ("one", "everybody"))


def zh_every() -> Iterator[dict[str, str]]:
    """All kinds, in Chinese."""
    return _rows(CHINESE, KINDS, (*KINDS, "everybody", "everybody", "everything", "everything"))


def _rows(
    language: Language, kinds: Sequence[str], taught: Sequence[str], rows: int = ROWS
) -> Iterator[dict[str, str]]:
    """Rows of each side in their shares, no text twice; `taught` are the kinds of the training's."""
    draw = random.Random(SEED)
    pairs: dict[str, list[tuple[str, str]]] = {"train": [], "validation": [], "test": []}
    for number, person in enumerate(language.people):
        for index, place in enumerate(language.places):
            pairs[_side(number, index, len(language.places))].append((person, place))
    seen: set[str] = set()
    while len(seen) < rows:
        chance = rows * draw.random()
        side = "test" if chance < TEST else "validation" if chance < TEST + VALIDATION else "train"
        world = World(language, draw)
        kind = draw.choice(taught) if side == "train" else draw.choice(kinds)
        pair = draw.choice(pairs[side])
        thing, unsaid = _live(world, kind, pair, pairs["train"])
        question, answer = _question(world, kind, pair, thing, unsaid)
        # Words carry the space before them: a name that begins the text would be another token than within.
        context = language.space.join((draw.choice(language.openings), *world.told))
        if context + question not in seen:
            seen.add(context + question)
            yield {"context": context, "question": question, "answer": answer, "split": side}


def _live(world: World, kind: str, pair: tuple[str, str], known: Sequence[tuple[str, str]]) -> tuple[str, bool]:
    """Let the world go its way, so that it comes to this pair of person and place; what else happens is of the pairs
    that are known. Gives back the thing that it is about, and whether what is asked is left unsaid."""
    language, draw = world.language, world.draw
    person, place = pair
    others = draw.sample([each for each in language.people if each != person], 2)
    moves = [_elsewhere(draw, known, who, place) for who in draw.choices((person, *others), k=4)]
    last = draw.randint(0, len(moves))
    moves = [*moves[:last], pair, *(move for move in moves[last:] if move[0] != person)][draw.randint(0, last) :]
    steps: list[Callable[[], None]] = [partial(world.go, *move) for move in moves]

    def among(*more: Callable[[], None]) -> None:
        """Steps put in at any places, in their order."""
        places = sorted(draw.randint(0, len(steps)) for _ in more)
        for count, (index, step) in enumerate(zip(places, more, strict=True)):
            steps.insert(index + count, step)

    def somebody_leaves() -> None:
        who, where = draw.choice([each for each in world.at.items() if each[1]])
        world.leave(who, where or "")

    thing, second, third = draw.sample(language.things, 3)
    box = draw.choice(language.boxes)
    unsaid = draw.random() < UNSAID
    if kind in ("two", "step", "everything"):
        among(partial(world.take, draw.choice(others), second))
        if not unsaid:
            among(partial(world.take, person, thing))
    elif kind == "three":
        among(partial(world.take, draw.choice(others), second))
        among(partial(world.put, thing, box), *([] if unsaid else [partial(world.take, person, box)]))
    elif kind == "left":
        steps.append(somebody_leaves)
        if draw.random() < 0.5:
            steps.append(partial(world.go, *_elsewhere(draw, known, others[0], place)))
    elif kind == "things":
        for each in draw.sample((thing, second, third), draw.randint(1, 3)):
            among(partial(world.take, draw.choice((person, person, others[0])), each))
    elif kind == "people":
        for each in others:
            if (each, place) in known and draw.random() < 0.4:
                steps.append(partial(world.go, each, place))
    for step in steps:
        step()
    return thing, unsaid


def _question(world: World, kind: str, pair: tuple[str, str], thing: str, unsaid: bool) -> tuple[str, str]:
    """A question of this kind about what has happened, and its answer."""
    language, draw = world.language, world.draw
    person, place = pair
    if kind == "everybody":
        found = [language.space.join(each) for each in world.at.items() if each[1]]  # type: ignore[arg-type]
        return language.everybody, language.comma.join(found)
    if kind == "everything":
        found = [
            language.space.join((each, who, world.place_of(each) or language.unsaid))
            for each, who in world.holder.items()
        ]
        return language.everything, language.comma.join(found)
    if kind == "step" and draw.random() < 0.5:
        return language.who_has.format(t=thing), world.holder.get(thing) or language.unsaid
    if kind in ("one", "step"):
        who = draw.choice([each for each in language.people if each not in world.at]) if unsaid else person
        return language.where.format(p=who), world.at.get(who) or language.unsaid
    if kind in ("two", "three"):
        return language.where_thing.format(t=thing), world.place_of(thing) or language.unsaid
    if kind == "left" and draw.random() < 0.5:
        return language.where.format(p=person), world.at[person] or language.unsaid
    if kind in ("left", "yes"):
        asked = place if kind == "left" or draw.random() < 0.5 else draw.choice(language.places)
        there = world.at[person] == asked
        return language.inside.format(p=person, x=asked), language.yes if there else language.no
    if kind == "people":
        count = sum(at == place for at in world.at.values())
        return language.how_many_people.format(x=place), language.numbers[count]
    count = sum(who == person for who in world.holder.values())
    return language.how_many_things.format(p=person), language.numbers[count]


def _elsewhere(draw: random.Random, known: Sequence[tuple[str, str]], person: str, place: str) -> tuple[str, str]:
    """A known pair of the person and another place."""
    return draw.choice([each for each in known if each[0] == person and each[1] != place])


def _side(person: int, place: int, places: int) -> str:
    """The side of a pair by their numbers: each person has one place of the test, and each place one person. With
    sixteen of each a person is seen at most of the places, so that where somebody is cannot be guessed by whom."""
    apart = (place - person) % places
    return "test" if apart == 0 else "validation" if apart == places // 2 else "train"
