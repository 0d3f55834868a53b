"""What the labels of a token classifier mean: O, and the beginning and the inside of each kind of entity.

BIO (Ramshaw & Marcus 1995), IO (`I-` alone), BIOES and BILOU (S and U begin, E and L go on); names without a part, as
of parts of speech, each mark a word of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_PART = re.compile(r"([BIESLU])[-_](.+)")
_BEGINS = {"B": 0, "S": 0, "U": 0, "I": 1, "E": 1, "L": 1}
OUTSIDE = "O"


def kinds_of(labels: Sequence[str]) -> list[str]:
    """The kinds that labels speak of, in the order in which they first come."""
    return list(dict.fromkeys(kind for _, kind in _parted(labels) if kind))


def names_of(kinds: Sequence[str]) -> list[str]:
    """Our own labels of these kinds, in their order: O, and B and I of each."""
    return [OUTSIDE, *(f"{part}-{kind}" for kind in kinds for part in "BI")]


def meaning(labels: Sequence[str], kinds: Sequence[str]) -> list[list[int]]:
    """The labels (their numbers) that stand for each of our own tags."""
    found: list[list[int]] = [[] for _ in range(1 + 2 * len(kinds))]
    for number, (inside, kind) in enumerate(_parted(labels)):
        found[1 + 2 * list(kinds).index(kind) + inside if kind else 0].append(number)
    return found


def whole_words(tags: Sequence[int], words: Sequence[int | None], plain: Sequence[bool]) -> list[int]:
    """Tags of tokens (0: O, odd: B, even: I), the later tokens of a word as its first says; `plain` are the tokens for
    which that holds (a word of Chinese is no unit)."""
    found: list[int] = []
    for place, tag in enumerate(tags):
        goes_on = place > 0 and words[place] is not None and words[place] == words[place - 1] and plain[place]
        before = found[-1] if found else 0
        found.append((before + before % 2) if goes_on else tag)
    return found


def _parted(labels: Sequence[str]) -> list[tuple[int, str]]:
    """(0 where it begins, 1 where it goes on; the kind) of each label; the outside has no kind."""
    parts = [_PART.fullmatch(label) for label in labels]
    bare = not all(part or label == OUTSIDE for part, label in zip(parts, labels, strict=True))
    found = []
    for part, label in zip(parts, labels, strict=True):
        if label == OUTSIDE:
            found.append((0, ""))
        elif bare or part is None:
            found.append((0, label))
        else:
            found.append((_BEGINS[part[1]], part[2]))
    return found
