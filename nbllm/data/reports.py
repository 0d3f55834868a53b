"""Reports of events with their summaries: what happened, where, on which day, to how many, and who says so.

The facts stand apart in a report, among sentences that name other places, days and numbers, so that neither its first
sentence nor any other says all. Held out are combinations of place, person and happening.

docstrings   the body of a docstring of the standard library, and its first line
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from nbllm.data.sides import side_of

VERSION = 1  # raised when a table here changes, so that examples kept of the old one are not used
ROWS = 9_000
SEED = 2026
VALIDATION, TEST = 6, 14  # of 100 combinations
LEAST, MOST = 80, 900  # characters of a docstring's body

PLACES = (
    "Lisbon", "Nairobi", "Osaka", "Quito", "Bergen", "Leipzig", "Hanoi", "Porto", "Lima", "Tunis", "Oslo", "Cork",
    "Turin", "Busan", "Accra", "Split", "Ghent", "Perth", "Davao", "Jaipur", "Xiamen", "Graz", "Lyon", "Bilbao",
)  # fmt: skip
FIRST = ("Anna", "Omar", "Mei", "Pavel", "Lucia", "Tom", "Aisha", "Jonas", "Ines", "Kofi", "Nora", "Luis")
LAST = ("Berg", "Okafor", "Tanaka", "Silva", "Novak", "Murray", "Haddad", "Lindt", "Costa", "Wang", "Moreau", "Rossi")
COUNTS = range(15, 1000, 15)  # few enough that each is met often
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# What happened: how a report opens, what befell the people, the short form of each, and what the speaker is.
EVENTS = (
    ("A fire broke out in a market hall", "had to leave their homes", "fire", "left homeless", "fire chief"),
    ("A flood closed the bridges", "were brought to safety by boat", "flood", "rescued", "mayor"),
    ("A new library opened its doors", "came to see it", "library opening", "visitors", "director"),
    ("A strike stopped the trams", "stayed away from work", "strike", "on strike", "union leader"),
    ("A storm tore roofs from houses", "spent the night without light", "storm", "without power", "engineer"),
    ("A concert filled the old harbour", "sang along until midnight", "concert", "in the audience", "organiser"),
    ("A train left the rails", "were treated for bruises", "train accident", "hurt", "doctor"),
    ("A march for clean air went through the centre", "walked along", "march", "marchers", "speaker"),
)
_OPEN = ("{open} in {place} on {day}.", "On {day} something happened in {place}: {lower}.")
_COUNT = ("In all, {n} people {fate}.", "{n} people {fate}, as was counted later.")
_SAY = ("{who}, the {role}, told reporters what had happened.", "The {role}, {who}, spoke to the press.")
_ASIDE = (
    "The weather had been mild for {m} days.", "In {other} people had seen much the same in {year}.",
    "Trains to {other} ran as usual.", "A meeting on {otherday} will decide what follows.",
    "A café across the street stayed open.", "Some {m} years ago the place had looked quite different.",
    "Neighbours brought tea and blankets.", "The papers of {other} wrote about it, too.",
)  # fmt: skip


def reports() -> Iterator[dict[str, str]]:
    """`document`, `summary` and `split`, no document twice."""
    draw = random.Random(SEED)
    seen: set[str] = set()
    while len(seen) < ROWS:
        place, person = draw.choice(PLACES), f"{draw.choice(FIRST)} {draw.choice(LAST)}"
        event = draw.randrange(len(EVENTS))
        opening, fate, name, state, role = EVENTS[event]
        day, count = draw.choice(DAYS), draw.choice(COUNTS)
        facts = {
            "open": opening, "lower": opening[0].lower() + opening[1:], "place": place, "day": day, "n": count,
            "fate": fate, "role": role, "who": person,
        }  # fmt: skip
        said = [draw.choice(forms).format(**facts) for forms in (_OPEN, _COUNT, _SAY)]
        for aside in draw.sample(_ASIDE, draw.randint(2, 4)):
            other = draw.choice([each for each in PLACES if each != place])
            otherday = draw.choice([each for each in DAYS if each != day])
            words = {"other": other, "otherday": otherday, "m": draw.randint(2, 9), "year": draw.randint(1950, 2019)}
            said.insert(draw.randint(0, len(said)), aside.format(**words))
        document = " ".join(said)
        if document not in seen:
            seen.add(document)
            summary = f"{day}, {place}: {name}, {count} {state}, says {person}."
            yield {
                "document": document,
                "summary": summary,
                "split": side_of(f"{place}|{person}|{event}", TEST, VALIDATION),
            }


def docstrings() -> Iterator[dict[str, str]]:
    """`document` and `summary`: what a docstring says below its first line, and that line; whole modules held out."""
    from nbllm.data.builtin import docstrings_of, source_files

    seen: set[str] = set()
    for path in source_files():
        for _, text in docstrings_of(path):
            first, _, body = text.partition("\n\n")
            summary, document = " ".join(first.split()), " ".join(body.split())[:MOST]
            if len(document) >= LEAST and 10 <= len(summary) <= 120 and document not in seen:
                seen.add(document)
                yield {"document": document, "summary": summary, "split": side_of(path.name, TEST, VALIDATION)}
