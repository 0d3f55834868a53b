"""Summaries out of a text's own sentences: its lead, and TextRank (Mihalcea & Tarau 2004)."""

from __future__ import annotations

import re

import numpy as np

_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
DAMPING, ROUNDS = 0.85, 50


def sentences(text: str) -> list[str]:
    """The sentences of a text, of Chinese too."""
    return [part.strip() for part in _END.split(text) if part.strip()]


def lead(text: str) -> str:
    """The first sentence."""
    return next(iter(sentences(text)), "")


def textrank(text: str) -> str:
    """The sentence that the others resemble most: PageRank over how many words each two share, by
    |shared| / (log |a| + log |b|)."""
    parts = sentences(text)
    if len(parts) < 3:
        return lead(text)
    words = [set(_words(part)) for part in parts]
    count = len(parts)
    alike = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            size = np.log(max(2, len(words[i]))) + np.log(max(2, len(words[j])))
            alike[i, j] = alike[j, i] = len(words[i] & words[j]) / size
    out = alike.sum(1, keepdims=True)
    step = np.divide(alike, out, out=np.full_like(alike, 1 / count), where=out > 0)
    rank = np.full(count, 1 / count)
    for _ in range(ROUNDS):
        rank = (1 - DAMPING) / count + DAMPING * rank @ step
    return parts[int(rank.argmax())]


def _words(text: str) -> list[str]:
    return re.findall(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+", text.lower())
