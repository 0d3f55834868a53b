"""Search in a user's documents: passages ranked by BM25 (Robertson and Zaragoza 2009, "The Probabilistic Relevance
Framework: BM25 and Beyond", section 3.3)."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nbllm.errors import DataError
from nbllm.tasks.classification import pieces
from nbllm.tasks.extractive import sentences

K1, B = 1.2, 0.75
LONGEST = 60  # words of a passage, or signs of Chinese
_COMMON = frozenset(pieces(
    "a an the is are was were be been do does did of in on at to for from by with and or what which who whom whose "
    "when where why how many much it its this that there"
))  # fmt: skip


class Passage(NamedTuple):
    """A few sentences of a document."""

    document: str
    text: str


class Bm25:
    """score(q, d) = sum_t idf(t) f(t, d) (K1 + 1) / (f(t, d) + K1 (1 - B + B |d| / mean |d|)) with
    idf(t) = ln(1 + (N - n(t) + 0.5) / (n(t) + 0.5)); Chinese is counted by signs and pairs of signs."""

    def __init__(self, texts: Sequence[str]):
        self.counts = [Counter(terms(text)) for text in texts]
        self.lengths = [sum(counts.values()) for counts in self.counts]
        self.mean = sum(self.lengths) / max(1, len(self.lengths)) or 1.0
        self.known = Counter(term for counts in self.counts for term in counts)

    def scores(self, question: str) -> list[float]:
        """How well each text goes with the question; 0 where they share nothing."""
        asked = set(terms(question))
        asked = {term for term in asked if term not in _COMMON} or asked
        found = []
        for counts, length in zip(self.counts, self.lengths, strict=True):
            score = 0.0
            for term in asked & counts.keys():
                seen, there = self.known[term], counts[term]
                idf = math.log(1 + (len(self.counts) - seen + 0.5) / (seen + 0.5))
                score += idf * there * (K1 + 1) / (there + K1 * (1 - B + B * length / self.mean))
            found.append(score)
        return found


def terms(text: str) -> list[str]:
    """The words of a text in small letters; of Chinese its signs and the pairs of them."""
    words = [word.lower() for word in pieces(text)]
    return words + [a + b for a, b in itertools.pairwise(words) if a[0] >= "\u3400" and b[0] >= "\u3400"]


def passages(documents: str | Path | Sequence[str] | Mapping[str, str]) -> list[Passage]:
    """Documents cut into passages, each a sentence over the one before it. `documents`: a folder or a file, a list of
    texts, or texts by name. DataError where there is none."""
    if isinstance(documents, str | Path):
        named = _read(str(documents))
    elif isinstance(documents, Mapping):
        named = {str(name): str(text) for name, text in documents.items()}
    else:
        named = {str(number): str(text) for number, text in enumerate(documents)}
    found = [Passage(name, text) for name, whole in named.items() for text in _cut(whole)]
    if not found:
        raise DataError("There is no document to search.", "Give a folder of texts, or a list of them.")
    return found


def _cut(text: str) -> list[str]:
    """Passages of a document."""
    parts = [part for line in text.split("\n") if line.strip() for part in (sentences(line) or [line.strip()])]
    found: list[list[str]] = []
    size = LONGEST
    for part in parts:
        words = len(pieces(part))
        if size + words > LONGEST:
            found.append(found[-1][-1:] if found and len(pieces(found[-1][-1])) < LONGEST // 3 else [])
            size = sum(len(pieces(each)) for each in found[-1])
        found[-1].append(part)
        size += words
    return [" ".join(each) for each in found]


def _read(path: str) -> dict[str, str]:
    """The texts of a folder's files by their names."""
    from nbllm.config import DataConfig
    from nbllm.data import members, sources
    from nbllm.data.readers import whole_text

    data = DataConfig(source=path)
    return {
        member.name: whole_text(member, data)
        for file in sources.find_files(data, Path.cwd(), None)[1]
        for member in members.members(file, data.format)
        if member.format in members.TEXT_LIKE
    }
