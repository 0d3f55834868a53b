"""A model of bytes by counting: how often each byte followed the seven before it, smoothed by shorter contexts.

Witten & Bell 1991, interpolated: p_n(b | c) = (count(c b) + kinds(c) p_{n-1}(b)) / (count(c) + kinds(c)).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

LONGEST = 8  # bytes of a count, the last one being what follows: as many as a 64-bit number holds


class ByteNgrams:
    """Counts of all runs of 1 to 8 bytes of some texts, as sorted numbers."""

    def __init__(self, texts: Iterable[str]):
        data = np.frombuffer("\x00".join(texts).encode("utf-8", "replace") or b"\n", np.uint8)
        self.counts: list[tuple[np.ndarray, np.ndarray]] = []
        runs = np.zeros(len(data), np.uint64)
        for length in range(1, min(LONGEST, len(data)) + 1):
            behind = data[length - 1 :].astype(np.uint64)
            runs = (runs[: len(behind)] << np.uint64(8)) | behind
            self.counts.append(np.unique(runs, return_counts=True))

    def next(self, context: bytes) -> np.ndarray:
        """(256,) how likely each byte is to follow."""
        chances = np.full(256, 1 / 256)
        for length, (runs, counts) in enumerate(self.counts, 1):
            before = context[len(context) - length + 1 :] if length > 1 else b""
            if len(before) < length - 1:
                break
            key = int.from_bytes(before, "big") << 8
            first, last = np.searchsorted(runs, np.array([key, key + 255], np.uint64))
            last += int(last < len(runs) and int(runs[last]) == key + 255)
            if first == last:
                break  # a longer context is not known either
            seen = np.zeros(256)
            seen[(runs[first:last] & np.uint64(255)).astype(int)] = counts[first:last]
            kinds = last - first
            chances = (seen + kinds * chances) / (seen.sum() + kinds)
        return chances

    def bits(self, prompt: str, completion: str) -> tuple[float, int]:
        """-log2 p(completion | prompt), and its bytes."""
        before, target = prompt.encode("utf-8", "replace")[-LONGEST:], completion.encode("utf-8", "replace")
        total = 0.0
        for byte in target:
            total -= math.log2(self.next(before)[byte])
            before = (before + bytes([byte]))[-LONGEST:]
        return total, len(target)

    def complete(self, prompt: str, stop: Callable[[str], int | None], most: int = 400) -> str:
        """The likeliest byte, again and again, to where `stop` says or to `most` bytes."""
        before, written = prompt.encode("utf-8", "replace")[-LONGEST:], b""
        while len(written) < most:
            byte = bytes([int(self.next(before).argmax())])
            written, before = written + byte, (before + byte)[-LONGEST:]
            said = written.decode("utf-8", "ignore")
            if (cut := stop(said)) is not None:
                return said[:cut]
        return written.decode("utf-8", "ignore")
