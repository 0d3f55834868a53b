"""Personal data in a text: found by its form and, where its kind has one, by its check digits.

    find(text, kinds)                  where it stands
    redacted(pieces, kinds, counts)    the text with <email>, <phone>, ... in its place

A number that fails its check is no card, no Chinese resident number and no IBAN, so that order numbers and figures stay
as they are. Nothing leans on the spaces between words, which Chinese does not have, and full-width digits count.

Checks: Luhn (ISO/IEC 7812-1), ISO 7064 MOD 11-2 (GB 11643-1999), ISO 7064 MOD 97-10 (ISO 13616). Names and street
addresses have no form of their own and are not found.
"""

from __future__ import annotations

import bisect
import datetime
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from nbllm.config.personal import KINDS
from nbllm.data.readers import Record

LONGEST = 256  # characters of a find, at most: what is held back at the end of a piece

_LETTER = "A-Za-z0-9"
_EMAIL = re.compile(
    rf"(?<![{_LETTER}._%+-])[{_LETTER}][{_LETTER}._%+-]{{0,63}}@(?:[{_LETTER}-]{{1,63}}\.){{1,8}}[A-Za-z]{{2,24}}"
    rf"(?![{_LETTER}])"
)
_PHONE = re.compile(
    r"(?<![\dA-Za-z.+-])(?:"
    r"(?:\+86[ -]?)?1[3-9]\d(?:[ -]?\d{4}){2}"  # a Chinese mobile telephone
    r"|(?:\(0\d{2,3}\) ?|0\d{2,3}[- ])[2-9]\d{6,7}"  # a Chinese line
    r"|(?:\+?1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4}"  # North America
    r"|[+][1-9]\d{0,2}(?:[ .-]?\(\d{1,4}\))?(?:[ .-]?\d{1,4}){2,6}"  # international
    r")(?!\d|\.\d|-\d)",
    re.ASCII,
)
_CARD = re.compile(rf"(?<![{_LETTER}.-])[2-6](?:[ -]?\d){{12,18}}(?![{_LETTER}]|-\d)", re.ASCII)
_CHINA_ID = re.compile(rf"(?<![{_LETTER}])[1-8]\d{{5}}(?:19|20)\d{{9}}[\dXx](?![{_LETTER}])", re.ASCII)
_US_SSN = re.compile(
    rf"(?<![{_LETTER}-])(?!000|666|9)\d{{3}}-(?!00)\d{{2}}-(?!0000)\d{{4}}(?![{_LETTER}]|-\d)", re.ASCII
)
_IBAN = re.compile(rf"(?<![{_LETTER}])[A-Z]{{2}}\d{{2}}(?: ?[A-Z0-9]){{11,30}}", re.ASCII)
_IP = re.compile(
    rf"(?<![{_LETTER}.:-])(?:(?:\d{{1,3}}\.){{3}}\d{{1,3}}|[23][0-9A-Fa-f]{{3}}(?::[0-9A-Fa-f]{{0,4}}){{2,7}})"
    rf"(?![{_LETTER}]|\.\d|:[0-9A-Fa-f])",
    re.ASCII,
)
# Length of an IBAN by country, from the registry of ISO 13616.
_IBAN_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO EG GT HU LB NI PL SV",
    29: "BR PS QA UA", 30: "JO KW MU", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_LENGTH_OF = {country: length for length, names in _IBAN_LENGTHS.items() for country in names.split()}
_PROVINCES = {
    *range(11, 16),
    *range(21, 24),
    *range(31, 38),
    *range(41, 47),
    *range(50, 55),
    *range(61, 66),
    71,
    81,
    82,
}
_JOINING = re.compile(rf"[{_LETTER}@+.:_%() -]")  # characters inside of a find
_ANY_DIGIT = re.compile("[0-9]")
_NARROW = {0x3000: " ", **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}}  # full-width to ASCII


class Found(NamedTuple):
    """A find: its kind, its first character, and the one behind it."""

    kind: str
    start: int
    end: int


def luhn(digits: str) -> bool:
    """Whether the last digit checks the others, as on cards."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def china_id(number: str) -> bool:
    """Whether 18 characters are a resident number: province, date of birth and check character."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], weights, strict=True))
    return (
        "10X98765432"[total % 11] == number[17].upper()
        and int(number[:2]) in _PROVINCES
        and _is_date(number[6:10], number[10:12], number[12:14])
    )


def iban(number: str) -> bool:
    """Whether a number without spaces is an IBAN: the length of its country, and the remainder by 97."""
    if _LENGTH_OF.get(number[:2]) != len(number):
        return False
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1


def find(text: str, kinds: Sequence[str] = KINDS) -> list[Found]:
    """What stands in the text of these kinds, in its order; nothing is found twice."""
    taken: list[Found] = []
    text = _narrow(text)
    digits = _ANY_DIGIT.search(text) is not None
    for kind in _SURE_FIRST:
        if kind in kinds and (digits if kind != "email" else "@" in text):
            taken += [each for each in _FINDERS[kind](text) if not _overlaps(each, taken)]
            taken.sort(key=lambda each: each.start)
    return taken


def redact(text: str, kinds: Sequence[str], counts: dict[str, int]) -> str:
    """The text with each find replaced by its kind, as <email>; `counts` counts them."""
    parts, at = [], 0
    for found in find(text, kinds):
        parts += [text[at : found.start], f"<{found.kind}>"]
        at = found.end
        counts[found.kind] = counts.get(found.kind, 0) + 1
    return "".join(parts) + text[at:] if parts else text


def redacted(pieces: Iterable[Record], kinds: Sequence[str], counts: dict[str, int]) -> Iterator[Record]:
    """A document, in pieces or in one, with each find replaced."""
    for piece in whole_finds(pieces):
        yield Record(redact(piece.text, kinds, counts), piece.continues)


def whole_finds(pieces: Iterable[Record]) -> Iterator[Record]:
    """The same document in pieces that cut no find in two: the end of a piece waits for the next one."""
    held = ""
    for piece in pieces:
        text = held + piece.text
        cut = _safe_cut(text) if piece.continues else len(text)
        held = text[cut:]
        yield Record(text[:cut], piece.continues)


def masked(text: str) -> str:
    """A find as it may be shown: its form, with all but the first and the last letter or digit hidden."""
    places = [place for place, character in enumerate(text) if character.isalnum()]
    hidden = set(places[1:-1])
    return "".join("•" if place in hidden else character for place, character in enumerate(text))


def _safe_cut(text: str) -> int:
    """A place near the end where no find can go across; the end itself where a line ends there."""
    text = _narrow(text)
    for place in range(len(text), max(0, len(text) - LONGEST), -1):
        if not _JOINING.match(text[place - 1]):
            return place
    return max(0, len(text) - LONGEST)


def _narrow(text: str) -> str:
    """The text, as long as it was, with full-width letters, digits and signs as ASCII."""
    return text if text.isascii() else text.translate(_NARROW)


def _emails(text: str) -> Iterator[Found]:
    yield from (Found("email", *each.span()) for each in _EMAIL.finditer(text))


def _phones(text: str) -> Iterator[Found]:
    for each in _PHONE.finditer(text):
        least = 9 if each[0].startswith("+") else 7
        if least <= len(_digits(each[0])) <= 15:
            yield Found("phone", *each.span())


def _cards(text: str) -> Iterator[Found]:
    for each in _CARD.finditer(text):
        digits = _digits(each[0])
        if _is_issued(digits) and luhn(digits) and len(set(digits)) > 1:
            yield Found("card", *each.span())


def _china_ids(text: str) -> Iterator[Found]:
    yield from (Found("china-id", *each.span()) for each in _CHINA_ID.finditer(text) if china_id(each[0]))


def _us_ssns(text: str) -> Iterator[Found]:
    yield from (Found("us-ssn", *each.span()) for each in _US_SSN.finditer(text))


def _ibans(text: str) -> Iterator[Found]:
    for each in _IBAN.finditer(text):
        length = _LENGTH_OF.get(each[0][:2], 0)
        places = [place for place, character in enumerate(each[0]) if character != " "]
        if not length or len(places) < length:
            continue
        end = places[length - 1] + 1
        after = text[each.start() + end : each.start() + end + 1]
        if iban(each[0][:end].replace(" ", "")) and not (after.isascii() and after.isalnum()):
            yield Found("iban", each.start(), each.start() + end)


def _ips(text: str) -> Iterator[Found]:
    """Addresses that the world can reach: one of a home or of the machine itself tells of nobody."""
    for each in _IP.finditer(text):
        try:
            if ipaddress.ip_address(each[0]).is_global:
                yield Found("ip", *each.span())
        except ValueError:
            continue


_FINDERS: dict[str, Callable[[str], Iterable[Found]]] = {
    "email": _emails, "iban": _ibans, "china-id": _china_ids, "card": _cards, "us-ssn": _us_ssns, "ip": _ips,
    "phone": _phones,
}  # fmt: skip
_SURE_FIRST = tuple(_FINDERS)
assert set(_SURE_FIRST) == set(KINDS)


def _overlaps(found: Found, taken: Sequence[Found]) -> bool:
    place = bisect.bisect_left(taken, found.end, key=lambda each: each.start)
    return place > 0 and taken[place - 1].end > found.start


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _is_issued(digits: str) -> bool:
    """Whether cards of this length begin so."""
    size, head = len(digits), int(digits[:4])
    return (
        (digits[0] == "4" and size in (13, 16, 19))
        or ((5100 <= head < 5600 or 2221 <= head <= 2720) and size == 16)
        or (digits[:2] in ("34", "37") and size == 15)
        or (digits[:2] in ("36", "38") and size == 14)
        or (3528 <= head <= 3589 and size == 16)
        or (digits[0] == "6" and 16 <= size <= 19)
    )


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        datetime.date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True
