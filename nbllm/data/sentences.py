"""Texts cut into sentences, in English, Chinese and what is written alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from nbllm.data.readers import Record

LEAST, MOST = 2, 1000  # characters of a sentence that is kept
# Behind . ! ? with closing quotes, before white space; behind the Chinese marks at once; at an empty line.
_ENDS = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9À-Þ\u0400-\u042f])|(?<=[。！？；])[”’」』）]*\s*|\n\s*\n")


def sentences(text: str) -> list[str]:
    """The sentences of a text, white space folded; what is shorter or longer than a sentence is left out."""
    whole, rest = _cut(text)
    return _kept([*whole, rest])


def _cut(text: str) -> tuple[list[str], str]:
    """The sentences that end before the end of the text, and what stands behind them, as it is."""
    found, start = [], 0
    for match in _ENDS.finditer(text):
        if match.end() == len(text):
            break
        found.append(text[start : match.start() + len(match[0].rstrip())])
        start = match.end()
    return found, text[start:]


def _kept(found: list[str]) -> list[str]:
    folded = (" ".join(each.split()) for each in found)
    return [each for each in folded if LEAST <= len(each) <= MOST and any(c.isalnum() for c in each)]


def sentence_rows(records: Iterable[Record]) -> Iterator[dict[str, str]]:
    """A row a sentence: its text, and the number of the document that it is from."""
    document, held = 0, ""
    for record in records:
        held += record.text
        if record.continues:
            whole, held = _cut(held)
            yield from ({"text": text, "document": str(document)} for text in _kept(whole))
            continue
        yield from ({"text": text, "document": str(document)} for text in sentences(held))
        document, held = document + 1, ""
    if held:
        yield from ({"text": text, "document": str(document)} for text in sentences(held))
