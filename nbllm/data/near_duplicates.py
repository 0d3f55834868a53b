"""Near duplicates by MinHash and locality-sensitive hashing, in bounded memory.

Broder, "On the resemblance and containment of documents" (1997): the share of equal minima of random hashes over two
sets of shingles estimates their Jaccard similarity. Bands of minima (Leskovec et al., "Mining of massive datasets",
ch. 3) find the earlier documents worth comparing: with 16 bands of 4, a pair at similarity 0.8 meets in a band with
probability 0.9998.
"""

from __future__ import annotations

import numpy as np

SHINGLE = 8  # characters
BANDS, ROWS = 16, 4
HASHES = BANDS * ROWS
SIMILAR = 0.8  # share of equal minima from which a document counts as a repeat
REMEMBERED = 1 << 18  # latest documents compared with: 64 MB of signatures, whatever the corpus's size
SLOTS = 1 << 19  # of the table of a band
_BLOCK = 1 << 11  # shingles hashed at a time: 1 MB


class NearDuplicates:
    """Remembers the signatures of the latest documents."""

    def __init__(self) -> None:
        draw = np.random.Generator(np.random.PCG64(20261122))
        self._multipliers = draw.integers(0, 2**64, HASHES, dtype=np.uint64) | np.uint64(1)
        self._offsets = draw.integers(0, 2**64, HASHES, dtype=np.uint64)
        self._bands = draw.integers(0, 2**64, ROWS, dtype=np.uint64) | np.uint64(1)
        self._signatures = np.zeros((REMEMBERED, HASHES), dtype=np.uint32)
        self._table = np.zeros((BANDS, SLOTS), dtype=np.uint32)  # place in the ring + 1; 0: none
        self._count = 0

    def is_repeat(self, text: str) -> bool:
        """Whether an earlier document is nearly the same; a document that is not is remembered."""
        signature = self._signature(text)
        keys = (signature.reshape(BANDS, ROWS).astype(np.uint64) * self._bands).sum(axis=1, dtype=np.uint64)
        slots = (keys >> np.uint64(32)) % np.uint64(SLOTS)
        lines = np.arange(BANDS)
        candidates = self._table[lines, slots]
        candidates = candidates[candidates > 0] - 1
        if candidates.size and ((self._signatures[candidates] == signature).mean(axis=1) >= SIMILAR).any():
            return True
        place = self._count % REMEMBERED
        self._signatures[place] = signature
        self._table[lines, slots] = place + 1
        self._count += 1
        return False

    def _signature(self, text: str) -> np.ndarray:
        """(HASHES,) uint32: the smallest hash of the text's shingles under each hash function."""
        folded = " ".join(text.lower().split()).ljust(SHINGLE)
        codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
        shingles = np.zeros(len(codes) - SHINGLE + 1, dtype=np.uint64)
        for i in range(SHINGLE):  # a polynomial hash modulo 2^64
            shingles = shingles * np.uint64(0x9E3779B97F4A7C15) + codes[i : i + len(shingles)]
        shingles = np.unique(shingles ^ (shingles >> np.uint64(29)))
        smallest = np.full(HASHES, 2**32 - 1, dtype=np.uint64)
        for start in range(0, len(shingles), _BLOCK):
            block = shingles[start : start + _BLOCK, None]
            hashed = (block * self._multipliers + self._offsets) >> np.uint64(32)  # (shingles, HASHES)
            smallest = np.minimum(smallest, hashed.min(axis=0))
        return smallest.astype(np.uint32)
