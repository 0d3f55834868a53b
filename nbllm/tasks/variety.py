"""How varied written texts are.

distinct_1, distinct_2   different words, and pairs of words, as shares of all in all texts (Li et al. 2016); more texts
                         have fewer, so only figures of as many texts compare
repetition               the share of sequences of four words that stood in the same text before (Welleck et al. 2020)

Words are those of \\w+, a Chinese character each a word; signs count as words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_WORD = re.compile(r"[\u3400-\u9fff\u3040-\u30ff]|[^\W\u3400-\u9fff\u3040-\u30ff]+|[^\w\s]")


class Variety(NamedTuple):
    """Counts of one text."""

    words: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    length: int
    fours: int
    repeated: int


def variety_of(text: str) -> Variety:
    """What is counted of a text."""
    words = _WORD.findall(text.casefold())
    fours = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    return Variety(frozenset(words), frozenset(pairwise(words)), len(words), len(fours), len(fours) - len(set(fours)))


def variety(texts: Sequence[Variety]) -> dict[str, float]:
    """distinct_1, distinct_2 and repetition of texts together; 0 where there is nothing to count."""
    length, pairs = sum(each.length for each in texts), sum(max(0, each.length - 1) for each in texts)
    fours = sum(each.fours for each in texts)
    return {
        "distinct_1": len(frozenset().union(*(each.words for each in texts))) / max(1, length),
        "distinct_2": len(frozenset().union(*(each.pairs for each in texts))) / max(1, pairs),
        "repetition": sum(each.repeated for each in texts) / max(1, fours),
    }
