"""Tables that every machine has: rows of texts and labels, or of sources and targets, made of what is installed.

python-topics  the first paragraph of each docstring of some packages of the standard library, and its package
date-pairs     dates in English and in French, as Babel's CLDR data writes them
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator

from nbllm.data.builtin import docstrings_of, source_files

VERSION = 1  # raised when a table here changes, so that examples kept of the old one are not used
TOPICS = ("asyncio", "ctypes", "email", "http", "importlib", "logging", "multiprocessing", "tkinter", "unittest", "xml")
LEAST = 30  # characters of a text
DATES = 6000
_FIRST, _LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)


def python_topics() -> Iterator[dict[str, str]]:
    """`text` and `label`: what a docstring says first, and the package that it stands in. Names of the package in the
    text are taken out, so that the answer is not given away."""
    seen: set[str] = set()
    for path in source_files():
        label = next((part for part in (*path.parts, path.stem) if part in TOPICS), None)
        if label is None:
            continue
        for _, said in docstrings_of(path):
            first = said.split("\n\n")[0]
            text = " ".join(first.replace(label, "_").replace(label.capitalize(), "_").split())
            if len(text) >= LEAST and text not in seen:
                seen.add(text)
                yield {"text": text, "label": label}


def date_pairs() -> Iterator[dict[str, str]]:
    """`source` and `target`: the same date in English and in French, long and short, no pair twice."""
    from babel.dates import format_date

    draw = random.Random(2026)
    seen: set[tuple[int, str]] = set()
    while len(seen) < DATES:
        day = draw.randint(_FIRST.toordinal(), _LAST.toordinal())
        style = draw.choice(("medium", "long", "full"))
        if (day, style) not in seen:
            seen.add((day, style))
            date = datetime.date.fromordinal(day)
            yield {"source": format_date(date, style, locale="en"), "target": format_date(date, style, locale="fr")}
