"""Reviews made of templates: short texts whose label hangs on negation, intensifiers and contrast, in English and in
Chinese.

A template is a structure ("although A, B"), the frames of its clauses ("I found the X ...") and the forms of their
opinions ("far from good"). Whole templates are held out: combinations of structure and forms, and some frames that
stand in no training text. Words alone do not give the label: of "the food was not bad, but the staff was rude" the last
clause counts, in "although" sentences the main one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nbllm.data.sides import side_of

VERSION = 1  # raised when a table here changes, so that examples kept of the old one are not used
ROWS = 8000
SEED = 2026
VALIDATION, TEST = 12, 25  # of 100 combinations of structure and forms


@dataclass(frozen=True)
class Language:
    """The words and the templates of a language.

    `good` and `bad` are opinions; `forms` keep an opinion, `flips` turn it; of `structures` those of two clauses say
    whether the clauses agree. B is the clause that gives the label. `strange` are frames of the test alone.
    """

    subjects: Sequence[str]
    good: Sequence[str]
    bad: Sequence[str]
    forms: Sequence[str]
    flips: Sequence[str]
    frames: Sequence[str]
    strange: Sequence[str]
    single: Sequence[str]
    agreeing: Sequence[str]
    opposed: Sequence[str]
    around: Sequence[str]
    space: str


ENGLISH = Language(
    subjects=(
        "food", "service", "soup", "coffee", "staff", "music", "plot", "acting", "ending", "dialogue", "screen",
        "battery", "camera", "sound", "room", "bed", "view", "breakfast", "story", "writing", "pace", "design",
        "keyboard", "pasta", "dessert", "garden", "pool", "tour", "guide", "lesson",
    ),
    good=(
        "good", "great", "excellent", "wonderful", "lovely", "pleasant", "superb", "brilliant", "delightful",
        "enjoyable", "impressive", "charming", "perfect", "amazing", "fantastic", "nice", "splendid", "outstanding",
        "satisfying", "marvellous",
    ),
    bad=(
        "bad", "awful", "terrible", "poor", "dreadful", "boring", "disappointing", "horrible", "weak", "dull",
        "unpleasant", "mediocre", "annoying", "shabby", "tedious", "lousy", "ugly", "miserable", "sloppy", "painful",
    ),
    forms=(
        "{a}", "very {a}", "really {a}", "extremely {a}", "quite {a}", "so {a}", "truly {a}", "absolutely {a}",
        "rather {a}", "pretty {a}", "simply {a}",
    ),
    flips=(
        "not {a}", "not at all {a}", "not very {a}", "not really {a}", "hardly {a}", "never {a}", "far from {a}",
        "anything but {a}", "by no means {a}", "not {a} at all", "not in the least {a}",
    ),
    frames=(
        "the {x} was {o}", "the {x} is {o}", "I found the {x} {o}", "the {x} turned out to be {o}",
        "the {x} seemed {o} to me", "we thought the {x} was {o}", "in my view the {x} is {o}", "its {x} felt {o}",
        "this time the {x} was {o}", "for the price the {x} was {o}", "my friends found the {x} {o}",
        "the {x} remained {o} to the end", "as for the {x}, it was {o}", "most of the time the {x} is {o}",
        "I have to say that the {x} was {o}", "the {x} we had was {o}",
    ),
    strange=(
        "to me the {x} felt {o}", "I thought its {x} was {o}", "my view is that the {x} was {o}",
        "most of us found the {x} {o}",
    ),
    single=("{B}.",),
    agreeing=("{A}, and {B}.", "{A}. {B}.", "{A}, and what is more, {B}."),
    opposed=(
        "{A}, but {B}.", "{A}, yet {B}.", "although {A}, {B}.", "while {A}, {B}.", "{B}, although {A}.",
        "{B}, even though {A}.", "{A}; in the end, however, {B}.", "I expected that {A}, but {B}.",
    ),
    around=(
        "We went there on a Monday.", "I bought it last week.", "My sister came along.", "It was raining.",
        "There were five of us.", "We left at nine.", "I had read about it before.", "It was my second time.",
    ),
    space=" ",
)  # fmt: skip

CHINESE = Language(
    subjects=(
        "菜", "服务", "环境", "味道", "房间", "剧情", "演技", "画面", "音质", "屏幕", "电池", "早餐", "汤", "咖啡",
        "音乐", "结局", "对白", "手感", "课程", "导游",
    ),
    good=(
        "好", "棒", "出色", "精彩", "完美", "舒服", "优秀", "讨人喜欢", "漂亮", "细腻", "周到", "令人满意", "迷人",
        "可靠",
    ),
    bad=(
        "差", "糟", "糟糕", "无聊", "令人失望", "难受", "粗糙", "乏味", "平庸", "难看", "马虎", "讨厌", "恶劣", "差劲",
    ),
    forms=("很{a}", "非常{a}", "特别{a}", "真的{a}", "相当{a}", "十分{a}", "实在{a}", "挺{a}"),
    flips=("不{a}", "一点也不{a}", "并不{a}", "不太{a}", "不怎么{a}", "算不上{a}", "谈不上{a}", "绝不{a}"),
    frames=(
        "{x}{o}", "这里的{x}{o}", "我觉得{x}{o}", "{x}让人觉得{o}", "说实话，{x}{o}", "这次的{x}{o}", "朋友说{x}{o}",
        "总的来说{x}{o}", "他们的{x}{o}", "{x}显得{o}", "大家都认为{x}{o}", "对我来说，{x}{o}",
    ),
    strange=("大家觉得他们的{x}{o}", "我认为这里的{x}{o}", "这次说实话{x}{o}"),
    single=("{B}。",),
    agreeing=("{A}，而且{B}。", "{A}。{B}。"),
    opposed=(
        "虽然{A}，但是{B}。", "{A}，不过{B}。", "尽管{A}，{B}。", "{B}，尽管{A}。", "{A}，可是{B}。",
        "本以为{A}，没想到{B}。",
    ),
    around=(
        "我们是周一去的。", "上周刚买的。", "那天下着雨。", "我们一共五个人。", "这是我第二次来。", "之前看过介绍。",
    ),
    space="",
)  # fmt: skip


def reviews() -> Iterator[dict[str, str]]:
    """`text`, `label` (positive, negative) and `split`, in English; no text twice."""
    return _rows(ENGLISH)


def zh_reviews() -> Iterator[dict[str, str]]:
    """The same in Chinese."""
    return _rows(CHINESE)


def _rows(language: Language) -> Iterator[dict[str, str]]:
    draw = random.Random(SEED)
    seen: set[str] = set()
    while len(seen) < ROWS:
        row = _row(language, draw)
        if row["text"] not in seen:
            seen.add(row["text"])
            yield row


def _row(language: Language, draw: random.Random) -> dict[str, str]:
    positive = draw.random() < 0.5
    kind = draw.choice(("single", "agreeing", "opposed", "opposed"))
    structure = draw.choice(getattr(language, kind))
    first, second = draw.sample(language.subjects, 2)
    clause_b, form_b, strange_b = _clause(language, draw, second, positive)
    clause_a, form_a, strange_a = _clause(language, draw, first, positive == (kind == "agreeing"))
    if kind == "single":
        clause_a, form_a, strange_a = "", "", False
    text = structure.format(A=clause_a, B=clause_b)
    if kind == "agreeing" and ". {B}" in structure:
        text = structure.format(A=clause_a, B=clause_b[:1].upper() + clause_b[1:])
    text = text[:1].upper() + text[1:]
    if draw.random() < 0.3:
        text = language.space.join((draw.choice(language.around), text))
    elif draw.random() < 0.2:
        text = language.space.join((text, draw.choice(language.around)))
    side = "test" if strange_a or strange_b else side_of(f"{structure}|{form_a}|{form_b}", TEST, VALIDATION)
    return {"text": text, "label": "positive" if positive else "negative", "split": side}


def _clause(language: Language, draw: random.Random, subject: str, positive: bool) -> tuple[str, str, bool]:
    """A clause that is positive or not, the form of its opinion, and whether its frame is of the test alone."""
    flipped = draw.random() < 0.45
    form = draw.choice(language.flips if flipped else language.forms)
    word = draw.choice(language.good if positive != flipped else language.bad)
    strange = draw.random() < 0.08
    frame = draw.choice(language.strange if strange else language.frames)
    return frame.format(x=subject, o=form.format(a=word)), form, strange
