"""What a request for a text asks, read from the request itself, and whether a text does it.

words    every keyword stands in the text, in capitals or not
title    the first line is the title
count    so many sentences, or lines below the title
voices   every line begins with the name of one of the speakers, and each speaks
letter   a reply greets who wrote and is signed by who was written to
tone     a formal letter begins with Dear, a friendly one does not
answer   a reply that is to say yes says it, and not no; and the other way round
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NUMBERS = {
    **{word: n for n, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight"))},
    **{sign: n for n, sign in enumerate("零一二三四五六七八")},
}
_WORDS = re.compile(r"(?:keywords?:|with the words?|关键词[：:])\s*(.+?)(?:[;；。\n\]]|\.(?=\s|$)|$)", re.I)
_TITLE = re.compile(r"titled [\"“]([^\"”]+)[\"”]|title:\s*([^;\n\]]+)|题目[：:《]\s*([^》；\n]+)", re.I)
_COUNT = re.compile(r"(\d+|[a-z]+) (lines?|sentences?)\b|(\d+|[零一二三四五六七八])(行|句)", re.I)
_VOICES = re.compile(r"(?:between |\[script[^\]]*?, )(\w+) and (\w+)", re.I)
_MAIL = re.compile(r"\bDear (\w+),.*?(\w+)\W*$", re.S)
_TONE = re.compile(r"\b(formal|friendly)\b", re.I)
_ANSWER = re.compile(r"\[mail[^\]]*, (yes|no)\]|reply that says (yes|no)\b", re.I)
_STYLES = {
    "news": r"\bnews\b|新闻", "verse": r"\bverse\b|\bpoem\b|诗", "script": r"\bscript\b|剧本",
    "mail": r"\bmail\b|\breply\b|邮件",
}  # fmt: skip


class Constraint(NamedTuple):
    """One thing that is asked."""

    kind: str
    value: tuple[str, ...]


def constraints(request: str) -> list[Constraint]:
    """All that a request asks and that can be counted; [] where it asks nothing of the kind."""
    found = []
    if match := _WORDS.search(request):
        words = re.split(r"\s*[,、，]\s*(?:and\s+)?|\s+and\s+|和", match[1])
        found += [Constraint("words", (word,)) for each in words if (word := each.strip(" \t\"'“”"))]
    if match := _TITLE.search(request):
        found.append(Constraint("title", (next(filter(None, match.groups())).strip(),)))
    if (match := _COUNT.search(request)) and (number := _number(match[1] or match[3])):
        unit = "sentences" if (match[2] or match[4])[0] in "sS句" else "lines"
        found.append(Constraint("count", (str(number), unit, "titled" if _TITLE.search(request) else "")))
    if match := _VOICES.search(request):
        found.append(Constraint("voices", (match[1], match[2])))
    if style(request) == "mail" and (match := _MAIL.search(request)):
        found.append(Constraint("letter", (match[2], match[1])))
        found += [Constraint("tone", (tone[1].lower(),)) for tone in _TONE.finditer(request)][:1]
        found += [Constraint("answer", ((said[1] or said[2]).lower(),)) for said in _ANSWER.finditer(request)][:1]
    return found


def met(constraint: Constraint, text: str) -> bool:
    """Whether a text does what is asked."""
    kind, value = constraint
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return False
    if kind == "words":
        return has(value[0], text)
    if kind == "title":
        return lines[0].casefold() == value[0].casefold()
    if kind == "count":
        body = lines[1:] if value[2] else lines
        return len(body if value[1] == "lines" else _sentences(" ".join(body))) == int(value[0])
    if kind == "voices":
        voices = [line.partition(":")[0] for line in lines if ":" in line]
        return len(voices) == len(lines) and set(voices) <= set(value) and (len(lines) < 2 or len(set(voices)) == 2)
    if kind == "letter":
        return has(value[0], lines[0]) and has(value[1], lines[-1])
    if kind == "tone":
        return (has("Dear", lines[0])) == (value[0] == "formal")
    wanted, other = value[0], "no" if value[0] == "yes" else "yes"
    return has(wanted, text) and not has(other, text)


def style(request: str) -> str:
    """news, verse, script or mail; "" where the request names none."""
    return next((name for name, pattern in _STYLES.items() if re.search(pattern, request, re.I)), "")


def has(word: str, text: str) -> bool:
    """Whether a word stands in a text; a word of Latin letters as a whole word."""
    word, text = word.casefold(), text.casefold()
    if re.match(r"[\u3400-\u9fff]", word):
        return word in text
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _number(word: str) -> int:
    """What a number says; 0 for a word that is none."""
    return int(word) if word.isdecimal() else _NUMBERS.get(word.lower(), 0)


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？])", text) if part.strip()]
