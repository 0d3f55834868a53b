"""Dialogues in which a clerk fills slots: a table is booked, a meal ordered, a fault reported; with a customer who can
be simulated, for a clerk of rules (whose replies are learned from) and for a model alike.

The clerk asks for the first slot that is missing, says all of them back, and is told yes or what is wrong. Held out are
combinations of the two chief slots of what the customer wants in the end.
"""

# ruff: noqa: SIM905 - lists of words are read more easily as one text

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nbllm.data.sides import side_of

VERSION = 1  # raised when a table here changes, so that examples kept of the old one are not used
DIALOGUES = 2_500
SEED = 2026
VALIDATION, TEST = 6, 14  # of 100 combinations
TURNS = 12  # of the customer, after which a dialogue has failed

_DAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
GREETINGS = ("Hello!", "Hi!", "Good morning!", "Good evening!", "Hello, is anyone there?", "Hi, can you help me?")
HELLO = "Hello! Would you like to book a table, to order a meal or to report a fault?"
RIGHT = "Is that right?"


@dataclass(frozen=True)
class Subject:
    """What a dialogue is about. The first two slots are the chief ones."""

    slots: dict[str, tuple[str, ...]]
    opens: tuple[str, ...]
    says: dict[str, str]  # how the customer names a slot
    asks: dict[str, str]  # how the clerk asks for it
    back: str  # how the clerk says them all
    done: str  # how the clerk ends


SUBJECTS = {
    "booking": Subject(
        {
            "place": ("Blue Door", "Old Mill", "Red Lantern", "Green Table", "Little Harbour", "Golden Fork",
                      "Sea View", "Corner House", "Night Owl", "Silver Spoon", "Garden Room", "Stone Bridge"),
            "day": _DAYS,
            "people": ("two", "three", "four", "five"),
            "time": ("six", "seven", "eight", "nine", "ten"),
        },
        ("I want to book a table.", "Can I have a table?", "A table, please."),
        {"place": "at the {}", "day": "on {}", "people": "for {} people", "time": "at {} o'clock"},
        {"place": "In which restaurant?", "day": "On which day?", "people": "For how many people?",
         "time": "At what time?"},
        "a table at the {place} on {day} for {people} people at {time} o'clock",
        "Booked",
    ),
    "ordering": Subject(
        {
            "dish": tuple("pizza curry salad soup stew pie burger sandwich pancake steak".split()),
            "street": ("Mill Road", "High Street", "Park Lane", "Station Road", "River Street", "Church Lane",
                       "Bridge Road", "Castle Street", "Market Lane", "Forest Road"),
            "size": ("small", "medium", "large"),
            "drink": tuple("tea water juice lemonade cola coffee milk".split()),
        },
        ("I want to order a meal.", "Can you bring me a meal?", "A meal, please."),
        {"dish": "a {}", "street": "to {}", "size": "the {} one", "drink": "with {}"},
        {"dish": "What would you like to eat?", "street": "To which street?", "size": "Which size?",
         "drink": "What would you like to drink?"},
        "a {size} {dish} with {drink} to {street}",
        "Ordered",
    ),
    "support": Subject(
        {
            "device": tuple("printer laptop radio router camera screen keyboard speaker oven heater".split()),
            "day": _DAYS,
            "fault": ("no sound", "no power", "a strange smell", "a broken cable", "a red light", "a loose part"),
            "contact": ("mail", "phone", "letter", "message"),
        },
        ("I have a fault to report.", "Something does not work.", "I need help, please."),
        {"device": "my {}", "day": "on {}", "fault": "it has {}", "contact": "by {}"},
        {"device": "Which device is it?", "day": "On which day may we come?", "fault": "What is wrong with it?",
         "contact": "How may we reach you?"},
        "a {device} that has {fault}, a visit on {day}, news by {contact}",
        "Noted",
    ),
}  # fmt: skip


@dataclass
class Customer:
    """Who wants something: says some of it at once and the rest when asked, and sees to it that all is right.

    `wants` are the slots in the end; `first` is a value that is named at first and put right later, by slot.
    """

    subject: str
    wants: dict[str, str]
    first: dict[str, str]
    draw: random.Random
    told: dict[str, str] = field(default_factory=dict)  # what the last words said, by slot
    agrees: bool = False

    @classmethod
    def drawn(cls, draw: random.Random) -> Customer:
        """Any customer."""
        name = draw.choice(list(SUBJECTS))
        slots = SUBJECTS[name].slots
        wants = {slot: draw.choice(values) for slot, values in slots.items()}
        slot = draw.choice(list(slots)[2:])
        other = draw.choice([value for value in slots[slot] if value != wants[slot]])
        return cls(name, wants, {slot: other} if draw.random() < 0.3 else {}, draw)

    @property
    def side(self) -> str:
        """train, validation or test, by the two chief slots."""
        return side_of("|".join([self.subject, *list(self.wants.values())[:2]]), TEST, VALIDATION)

    def opens(self) -> str:
        """The first words."""
        if self.draw.random() < 0.15:
            return self.draw.choice(GREETINGS)
        return self._asks()

    def answers(self, reply: str) -> str | None:
        """What the customer says to a reply of the clerk; None where it was the last, or makes no sense."""
        subject = SUBJECTS[self.subject]
        self.told, self.agrees = {}, False
        if reply == HELLO:
            return self._asks()
        if reply.endswith(RIGHT):
            wrong = [slot for slot, value in self.wants.items() if not _has(value, reply)]
            if wrong:
                self.told = {wrong[0]: self.wants[wrong[0]]}
                return f"no, {subject.says[wrong[0]].format(self.wants[wrong[0]])}"
            self.agrees = True
            return self.draw.choice(("yes", "yes, thank you", "that is right"))
        asked = next((slot for slot, question in subject.asks.items() if reply == question), None)
        if asked is None:
            return None
        return self._tells([asked], self.draw.choice(("{}", "{}, please")))

    def has_it(self, reply: str) -> bool:
        """Whether this reply ends the dialogue with all that is wanted."""
        return reply.startswith(SUBJECTS[self.subject].done) and all(_has(each, reply) for each in self.wants.values())

    def _asks(self) -> str:
        opening = self.draw.choice(SUBJECTS[self.subject].opens)
        slots = self.draw.sample(list(self.wants), self.draw.randint(0, 3))
        return f"{opening} {self._tells(slots, '{}')}" if slots else opening

    def _tells(self, slots: Sequence[str], form: str) -> str:
        self.told = {slot: self.first.get(slot, self.wants[slot]) for slot in slots}
        says = SUBJECTS[self.subject].says
        return form.format(", ".join(says[slot].format(value) for slot, value in self.told.items()))


def dialogues() -> Iterator[dict[str, str]]:
    """`source` (the dialogue so far, a line a turn, with roles), `target` (the clerk's reply) and `split`; no dialogue
    so far twice, but for mere greetings, which are few and all learned from."""
    draw = random.Random(SEED)
    seen: set[str] = set()
    for _ in range(DIALOGUES):
        customer = Customer.drawn(draw)
        known: dict[str, str] = {}
        lines, said = [], customer.opens()
        while said:
            known |= customer.told
            lines.append(f"user: {said}")
            reply = _clerk(customer, said, known)
            history = "\n".join(lines)
            if reply == HELLO:
                yield {"source": history, "target": reply, "split": "train"}
            elif history not in seen:
                seen.add(history)
                yield {"source": history, "target": reply, "split": customer.side}
            lines.append(f"bot: {reply}")
            said = "" if customer.agrees else customer.answers(reply) or ""


def customers(side: str, count: int, seed: int = 0) -> list[Customer]:
    """Customers of a side, to be simulated."""
    draw = random.Random(seed)
    found: list[Customer] = []
    while len(found) < count:
        customer = Customer.drawn(draw)
        customer.draw = random.Random(draw.random())  # so that none hangs on how many turns another needs
        if customer.side == side:
            found.append(customer)
    return found


def _clerk(customer: Customer, said: str, known: dict[str, str]) -> str:
    """The reply by the rules, of what the customer has told so far."""
    subject = SUBJECTS[customer.subject]
    if said in GREETINGS:
        return HELLO
    missing = [slot for slot in subject.slots if slot not in known]
    if missing:
        return subject.asks[missing[0]]
    back = subject.back.format(**known)
    return f"{subject.done}: {back}." if customer.agrees else f"{back[0].upper()}{back[1:]}. {RIGHT}"


def _has(value: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None
