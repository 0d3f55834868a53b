"""Numbers in words: a grammar a language, from 0 to 9,999, written for this project.

English (three hundred forty-two), French (trois cent quarante-deux), German, Spanish, Chinese and Japanese.
"""

# ruff: noqa: SIM905 - lists of words are read more easily as one text

from __future__ import annotations

from collections.abc import Callable

_EN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_EN_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
_FR = (
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit "
    "dix-neuf"
).split()
_FR_TENS = "_ _ vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt".split()
_DE = (
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
    "achtzehn neunzehn"
).split()
_DE_TENS = "_ _ zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
_ES = (
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
    "dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete "
    "veintiocho veintinueve"
).split()
_ES_TENS = "_ _ _ treinta cuarenta cincuenta sesenta setenta ochenta noventa".split()
_ES_HUNDREDS = (
    "_ ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos"
).split()
_HAN = "零一二三四五六七八九"


def in_words(number: int, language: str) -> str:
    """The number, 0 to 9,999, in words of en, fr, de, es, zh or ja."""
    assert 0 <= number <= 9999, number
    return WORDS[language](number)


def _english(n: int) -> str:
    parts = []
    if n >= 1000:
        parts.append(f"{_EN[n // 1000]} thousand")
    if n % 1000 >= 100:
        parts.append(f"{_EN[n % 1000 // 100]} hundred")
    rest = n % 100
    if rest >= 20:
        parts.append(_EN_TENS[rest // 10] + (f"-{_EN[rest % 10]}" if rest % 10 else ""))
    elif rest or not n:
        parts.append(_EN[rest])
    return " ".join(parts)


def _french(n: int) -> str:
    parts = []
    if n >= 1000:
        parts.append("mille" if n < 2000 else f"{_FR[n // 1000]} mille")
    hundreds, rest = n % 1000 // 100, n % 100
    if hundreds:
        parts.append("cent" if hundreds == 1 else f"{_FR[hundreds]} cent" + ("" if rest else "s"))
    if rest or not n:
        parts.append(_french_tens(rest))
    return " ".join(parts)


def _french_tens(n: int) -> str:
    if n < 20:
        return _FR[n]
    ten = n // 10
    over = n - 10 * (ten - ten % 2) if ten in (7, 9) else n % 10  # soixante-dix, quatre-vingt-dix
    if n == 80:
        return "quatre-vingts"
    if not over:
        return _FR_TENS[ten]
    joint = " et " if over in (1, 11) and ten < 8 else "-"
    return _FR_TENS[ten] + joint + _FR[over]


def _german(n: int) -> str:
    text = ""
    if n >= 1000:
        text += ("ein" if n < 2000 else _DE[n // 1000]) + "tausend"
    hundreds, rest = n % 1000 // 100, n % 100
    if hundreds:
        text += ("ein" if hundreds == 1 else _DE[hundreds]) + "hundert"
    if rest >= 20:
        ones = rest % 10
        text += (f"{'ein' if ones == 1 else _DE[ones]}und" if ones else "") + _DE_TENS[rest // 10]
    elif rest or not n:
        text += _DE[rest]
    return text


def _spanish(n: int) -> str:
    parts = []
    if n >= 1000:
        parts.append("mil" if n < 2000 else f"{_ES[n // 1000]} mil")
    hundreds, rest = n % 1000 // 100, n % 100
    if hundreds:
        parts.append("cien" if hundreds == 1 and not rest else _ES_HUNDREDS[hundreds])
    if rest >= 30:
        parts.append(_ES_TENS[rest // 10] + (f" y {_ES[rest % 10]}" if rest % 10 else ""))
    elif rest or not n:
        parts.append(_ES[rest])
    return " ".join(parts)


def _chinese(n: int) -> str:
    if n < 20:
        return _HAN[n] if n < 10 else "十" + (_HAN[n % 10] if n % 10 else "")
    text, gap = "", False
    for place, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = n // place % 10
        if digit:
            text += ("零" if gap and text else "") + _HAN[digit] + unit
            gap = False
        else:
            gap = True
    return text


def _japanese(n: int) -> str:
    if not n:
        return _HAN[0]
    text = ""
    for place, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = n // place % 10
        if digit:
            text += ("" if digit == 1 and unit else _HAN[digit]) + unit
    return text


WORDS: dict[str, Callable[[int], str]] = {
    "en": _english, "fr": _french, "de": _german, "es": _spanish, "zh": _chinese, "ja": _japanese,
}  # fmt: skip
