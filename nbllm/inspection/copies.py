"""What stands in a text more than once: stretches of tokens that are repeated, and documents that are nearly the same.

N stretches, S tokens of a stretch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbllm.data.near_duplicates import NearDuplicates

MOST_TOKENS = 5_000_000  # of a text in which stretches are looked for
MOST_CHARACTERS = 2_000_000  # of documents that are compared
SHORTEST = 40  # characters of a paragraph that is compared
_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Repeats:
    """times (N,): how often each stretch stands in the training text; in_held (N,): whether it stands in the held-out
    text; contaminated: share of the held-out text's stretches that stand in the training text; near_duplicates of so
    many documents, which `what` names."""

    times: np.ndarray
    in_held: np.ndarray
    contaminated: float
    near_duplicates: int
    documents: int
    what: str


def repeats(train: np.ndarray, held: np.ndarray, starts: np.ndarray, size: int, tokenizer: Any) -> Repeats:
    """Look for the stretches of `size` tokens at `starts` of the training tokens, and for near-duplicate documents."""
    everywhere = hashes(train[:MOST_TOKENS], size)
    wanted = np.array([hashes(train[start : start + size], size)[0] for start in starts], dtype=np.uint64)
    in_train = np.sort(everywhere)
    times = np.searchsorted(in_train, wanted, "right") - np.searchsorted(in_train, wanted, "left")
    in_held = np.isin(wanted, hashes(held[:MOST_TOKENS], size))
    apart = hashes(held[:MOST_TOKENS], size)[::size]
    contaminated = float(np.isin(apart, in_train).mean()) if len(apart) else 0.0
    found, count, what = near_duplicates(train, tokenizer)
    return Repeats(np.maximum(times, 1), in_held, contaminated, found, count, what)


def hashes(ids: np.ndarray, size: int) -> np.ndarray:
    """uint64 (tokens - size + 1,): a number for each stretch, the same for equal ones."""
    codes = np.asarray(ids).astype(np.uint64) + np.uint64(1)
    count = max(0, len(codes) - size + 1)
    found = np.zeros(count, dtype=np.uint64)
    for place in range(size):
        found = (found ^ (found >> np.uint64(29))) * _STEP + codes[place : place + count]
    return found


def near_duplicates(ids: np.ndarray, tokenizer: Any) -> tuple[int, int, str]:
    """How many documents of the tokens are nearly the same as an earlier one, of how many; paragraphs where the text
    has fewer than ten documents. The start of a long text is looked at."""
    from nbllm.data.tokenizers import end_id

    end, texts, what = end_id(tokenizer), list[str](), "documents"
    for text in _documents(ids, end, tokenizer):
        texts.append(text)
    if len(texts) < 10:
        paragraphs = [part for text in texts for part in text.split("\n\n")]
        texts, what = [part for part in paragraphs if len(part) >= SHORTEST], "paragraphs"
    seen = NearDuplicates()
    return sum(seen.is_repeat(text) for text in texts if text.strip()), len(texts), what


def _documents(ids: np.ndarray, end: int | None, tokenizer: Any) -> Iterator[str]:
    """The texts between the ends of documents, up to two million characters or so."""
    ids = ids[:MOST_CHARACTERS]
    cuts = [] if end is None else np.flatnonzero(ids == end).tolist()
    left, start = MOST_CHARACTERS, 0
    for cut in [*cuts, len(ids)]:
        text = tokenizer.decode(ids[start:cut].tolist())
        start = cut + 1
        if text:
            yield text[:left]
        left -= len(text)
        if left <= 0:
            return
