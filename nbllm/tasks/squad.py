"""Exact match and F1 of short answers by the definitions of SQuAD 2.0's own script (Rajpurkar et al. 2018): in small
letters, without punctuation and English articles, F1 over the words that both have. Chinese characters are a word each,
as in MLQA (Lewis et al. 2020).
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

NOTHING = frozenset({"", "unknown", "no answer", "不知道"})
"""What says, when it is normalised, that the text holds no answer."""
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_HAN = re.compile(r"([\u3400-\u9fff])")
_PUNCTUATION = frozenset(string.punctuation)


def normalised(text: str) -> str:
    """The text as answers are compared. Signs outside of ASCII stay, as in the script, but among Chinese."""
    text = "".join(c for c in text.lower() if c not in _PUNCTUATION)
    if _HAN.search(text):
        text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
    return " ".join(_ARTICLES.sub(" ", text).split())


def words(text: str) -> list[str]:
    """The words of a normalised text; none where it says that there is no answer."""
    plain = normalised(text)
    return [] if plain in NOTHING else _HAN.sub(r" \1 ", plain).split()


def exact(said: str, true: str) -> float:
    """1.0 where two answers are the same when normalised."""
    return float(words(said) == words(true))


def f1(said: str, true: str) -> float:
    """The harmonic mean of the share of the said words that are true and that of the true words that are said; where
    one says that there is no answer, 1.0 if the other does, else 0.0."""
    a, b = words(said), words(true)
    if not a or not b:
        return float(a == b)
    both = sum((Counter(a) & Counter(b)).values())
    return 2 * both / (len(a) + len(b))


def best(score: Callable[[str, str], float], said: str, true: Sequence[str]) -> float:
    """The score of an answer by that of several right ones which fits it best."""
    return max(score(said, each) for each in true)


def says_nothing(text: str) -> bool:
    """Whether an answer is that the text holds none."""
    return not words(text)
