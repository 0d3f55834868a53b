"""What is marked in a text: spans of characters with a kind, as a table holds them.

[[0, 10, "person"], [18, 24, "place"]]      JSON, or a list: start, end (exclusive), kind
B-person I-person O O B-place               a tag a word of the text (words parted by white space), with B- and I-
"""

from __future__ import annotations

import json
import re
from typing import Any

from nbllm.errors import DataError

Span = tuple[int, int, str]
_TAG = re.compile(r"O|[BIES]-(.+)")


def parse_spans(text: str, cell: str) -> list[Span]:
    """The spans in a cell, in the order of the text. DataError where it holds none, or where they lie outside of it."""
    if cell.lstrip().startswith("["):
        try:
            found = [_span(each) for each in json.loads(cell)]
        except (ValueError, TypeError, KeyError, IndexError):
            raise DataError(f"{cell[:60]!r} is no list of spans.", 'Write [[0, 4, "person"], ...].') from None
        if any(not 0 <= start < end <= len(text) for start, end, _ in found):
            raise DataError(
                f"A span lies outside of its text: {text[:40]!r}.", "Spans count characters, from 0, the end excluded."
            )
        return sorted(found)
    return _of_tags(text, cell.split())


def _span(each: Any) -> Span:
    if isinstance(each, dict):
        return int(each["start"]), int(each["end"]), str(each.get("label", each.get("kind")))
    start, end, kind = each
    return int(start), int(end), str(kind)


def _of_tags(text: str, tags: list[str]) -> list[Span]:
    words = list(re.finditer(r"\S+", text))
    if len(words) != len(tags) or not all(_TAG.fullmatch(tag) for tag in tags):
        raise DataError(
            f"{len(tags)} tags stand beside {len(words)} words: {text[:40]!r}.",
            "Give a tag a word, as in B-person I-person O, or spans as JSON.",
        )
    found: list[Span] = []
    for word, tag in zip(words, tags, strict=True):
        kind = tag[2:]
        if tag[0] in "IE" and found and found[-1][2] == kind and not text[found[-1][1] : word.start()].strip():
            found[-1] = (found[-1][0], word.end(), kind)
        elif tag != "O":
            found.append((word.start(), word.end(), kind))
    return found
