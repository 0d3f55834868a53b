"""ROUGE by rouge-score. Chinese and Japanese are counted by characters: its own tokenizer knows Latin letters alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

TYPES = ("rouge1", "rouge2", "rougeL")
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


class Tokens:
    """The library's tokens; where a text has Chinese or Japanese, each of its characters is one."""

    def tokenize(self, text: str) -> list[str]:
        """Words in small letters and numbers, and single characters of Chinese and Japanese."""
        from rouge_score.tokenize import tokenize

        spaced = _HAN.sub(lambda found: f" {found[0]} ", text)
        parts: list[str] = []
        for word in spaced.split():
            parts += [word] if _HAN.fullmatch(word) else tokenize(word, None)
        return parts


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(TYPES), use_stemmer=False, tokenizer=Tokens())


def rouge(said: Sequence[str], true: Sequence[str]) -> np.ndarray:
    """F1 of ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004), from 0 to 1: (texts, 3)."""
    found = [_scorer().score(reference, answer) for answer, reference in zip(said, true, strict=True)]
    return np.array([[each[name].fmeasure for name in TYPES] for each in found])
