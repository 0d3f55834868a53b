"""Short texts in two languages, made of Babel's CLDR data and of numbers in words: dates, durations, measures, sums of
money, lists, names of languages and countries.

Held out are combinations (this day of that month, this number of that unit, these countries in one list): the words of
each stand in training texts, but never together.
"""

# ruff: noqa: SIM905 - lists of words are read more easily as one text

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from nbllm.data.number_words import in_words
from nbllm.data.sides import side_of

VERSION = 1  # raised when a table here changes, so that examples kept of the old one are not used
PAIRS = ("en-fr", "en-de", "en-es", "en-zh", "en-ja", "fr-en", "de-en", "es-en", "zh-en", "ja-en")
ROWS = 16_000
SEED = 2026
VALIDATION, TEST = 6, 14  # of 100 combinations

COUNTRIES = (
    "FR DE ES IT PT GB IE NL BE CH AT PL CZ HU GR TR SE NO DK FI RU UA US CA MX BR AR CL PE CO CU EG MA NG KE ZA IN CN "
    "JP KR VN TH ID PH AU NZ"
).split()
LANGUAGES = "en fr de es it pt nl pl cs hu el tr sv da fi ru uk ar he hi bn zh ja ko vi th id sw fa ro".split()
CURRENCIES = "USD EUR GBP JPY CNY CHF CAD AUD BRL INR KRW MXN SEK PLN TRY ZAR".split()
UNITS = (
    "length-kilometer length-meter length-centimeter length-mile mass-kilogram mass-gram mass-tonne volume-liter "
    "volume-cubic-meter area-square-kilometer area-hectare duration-second duration-minute duration-hour duration-day "
    "duration-week duration-month duration-year speed-kilometer-per-hour temperature-celsius power-watt "
    "energy-kilowatt-hour digital-megabyte digital-gigabyte"
).split()
SPANS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_592_000,
    "year": 31_536_000,
}
_FIRST, _LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)

Phrase = tuple[str, Callable[[str], str]]
"""What combination it is, and its text in a language."""


def rows(source: str, target: str) -> Iterator[dict[str, str]]:
    """`source`, `target` and `split`, no source twice."""
    draw = random.Random(SEED)
    seen: set[str] = set()
    phrases = ((None, text) for text in _names()), (draw.choice(_KINDS)(draw) for _ in iter(int, 1))
    for combination, text in itertools.chain(*phrases):
        given = _plain(text(source))
        if given not in seen:
            seen.add(given)
            side = "train" if combination is None else side_of(combination, TEST, VALIDATION)
            yield {"source": given, "target": _plain(text(target)), "split": side}
        if len(seen) == ROWS:
            return


def _plain(text: str) -> str:
    """With spaces as they are typed."""
    return text.replace("\u202f", " ").replace("\xa0", " ")


def _names() -> Iterator[Callable[[str], str]]:
    """Every name once, alone: what a combination is made of."""
    yield from (lambda language, code=code: _locale(language).territories[code] for code in COUNTRIES)
    yield from (lambda language, code=code: _locale(language).languages[code] for code in LANGUAGES)


def _date(draw: random.Random) -> Phrase:
    from babel.dates import format_date

    day = datetime.date.fromordinal(draw.randint(_FIRST.toordinal(), _LAST.toordinal()))
    style = draw.choice(("long", "full"))  # a shorter one is written alike in some languages
    return f"date {day.month}-{day.day}", lambda language: format_date(day, style, locale=language)


def _span(draw: random.Random) -> Phrase:
    """In three hours, three hours ago."""
    from babel.dates import format_timedelta

    unit: Any
    unit, count, sign = draw.choice(list(SPANS)), draw.randint(1, 99), draw.choice((1, -1))
    span = datetime.timedelta(seconds=sign * count * SPANS[unit])
    return f"span {unit} {count}", lambda language: format_timedelta(
        span, granularity=unit, threshold=1e9, add_direction=True, locale=language
    )


def _measure(draw: random.Random) -> Phrase:
    unit = draw.choice(UNITS)
    count = draw.randint(1, 999) if draw.random() < 0.7 else draw.randint(11, 999) / 10
    return f"measure {unit} {count}", lambda language: _unit(count, unit, language)


def _unit(count: float, unit: str, language: str) -> str:
    """Babel writes the unit's code where a language has no pattern of the length: then a shorter one is taken."""
    from babel.units import format_unit

    found = (format_unit(count, unit, length, locale=language) for length in ("long", "short", "narrow"))
    return next(text for text in found if unit not in text)


def _money(draw: random.Random) -> Phrase:
    from babel.numbers import format_currency

    code, count = draw.choice(CURRENCIES), draw.randint(2, 9999)
    return f"money {code} {count}", lambda language: format_currency(
        count, code, format="#,##0", format_type="name", currency_digits=False, locale=language
    )


def _list(draw: random.Random) -> Phrase:
    from babel.lists import format_list

    codes = draw.sample(COUNTRIES, draw.randint(2, 3))
    style: Any = draw.choice(("standard", "or"))
    return f"list {' '.join(sorted(codes))}", lambda language: format_list(
        [_locale(language).territories[code] for code in codes], style, locale=language
    )


def _locale_name(draw: random.Random) -> Phrase:
    """French (Canada)."""
    code, country = draw.choice(LANGUAGES), draw.choice(COUNTRIES)

    def text(language: str) -> str:
        names = _locale(language)
        return f"{names.languages[code]} ({names.territories[country]})"

    return f"locale {code} {country}", text


def _number(draw: random.Random) -> Phrase:
    number = draw.randint(0, 9999) if draw.random() < 0.6 else draw.randint(0, 999)
    return f"number {number}", lambda language: in_words(number, language)


_KINDS = (_date, _span, _measure, _money, _list, _locale_name, _number)


@cache
def _locale(language: str) -> Any:
    from babel import Locale

    return Locale.parse(language)


def _table(pair: str) -> Callable[[], Iterator[dict[str, str]]]:
    def table() -> Iterator[dict[str, str]]:
        return rows(*pair.split("-"))

    table.__doc__ = f"Rows from {pair.replace('-', ' to ')}."
    return table


en_fr, en_de, en_es, en_zh, en_ja = map(_table, PAIRS[:5])
fr_en, de_en, es_en, zh_en, ja_en = map(_table, PAIRS[5:])
