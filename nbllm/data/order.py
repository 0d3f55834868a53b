"""The order in which training sees its examples: a pure function of the seed and the step, so that a resumed run
needs no state to go on with the same ones.

N examples, B of a batch.
"""

from __future__ import annotations

import numpy as np

LARGEST_PERMUTATION = 50_000_000  # examples; beyond it the order is computed, not stored
SORTED_TOGETHER = 16  # batches whose examples are sorted by length, so that little of a batch is filling
_ROUNDS = 6


class Order:
    """Each epoch shows each of `count` examples exactly once, shuffled."""

    def __init__(self, count: int):
        self.count = count
        self._stored: tuple[tuple[int, int], np.ndarray] | None = None
        self._sorted: tuple[tuple[int, int, int], np.ndarray] | None = None

    def epoch(self, seed: int, epoch: int) -> np.ndarray:
        """(N,) the examples of an epoch as training sees them."""
        if self.count > LARGEST_PERMUTATION:
            return shuffled(np.arange(self.count, dtype=np.uint64), self.count, seed, epoch)
        if self._stored is None or self._stored[0] != (seed, epoch):
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch))))
            self._stored = ((seed, epoch), generator.permutation(self.count))
        return self._stored[1]

    def batch(self, step: int, batch_size: int, seed: int) -> np.ndarray:
        """(B,) examples of a step, counted from 0. A batch may hold the end of one epoch and the start of the next."""
        assert self.count > 0, "no example: prepare refuses such a corpus"
        return self._places(np.arange(step * batch_size, (step + 1) * batch_size, dtype=np.int64), seed)

    def batch_of_like_length(self, step: int, batch_size: int, seed: int, lengths: np.ndarray) -> np.ndarray:
        """(B,) examples of a step: the batches of 16 steps hold the examples that `batch` would give them together,
        sorted by length, and come in an order of their own."""
        group = step // SORTED_TOGETHER
        if self._sorted is None or self._sorted[0] != (group, batch_size, seed):
            first = group * SORTED_TOGETHER * batch_size
            places = np.arange(first, first + SORTED_TOGETHER * batch_size, dtype=np.int64)
            indices = self._places(places, seed)
            indices = indices[np.argsort(lengths[indices], kind="stable")].reshape(SORTED_TOGETHER, batch_size)
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, group, 1))))
            self._sorted = ((group, batch_size, seed), indices[generator.permutation(SORTED_TOGETHER)])
        return self._sorted[1][step % SORTED_TOGETHER]

    def _places(self, places: np.ndarray, seed: int) -> np.ndarray:
        epochs = places // self.count
        parts = []
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            within = places[epochs == epoch] % self.count
            if self.count > LARGEST_PERMUTATION:
                parts.append(shuffled(within.astype(np.uint64), self.count, seed, epoch))
            else:
                parts.append(self.epoch(seed, epoch)[within])
        return np.concatenate(parts)


def shuffled(places: np.ndarray, count: int, seed: int, epoch: int) -> np.ndarray:
    """Where a permutation of range(count) takes these places, in no more memory than the places themselves.

    A Feistel network on the next power of four (Luby and Rackoff 1988), walked again while it leads outside the
    range (Black and Rogaway 2002), which keeps it one to one.
    """
    half = np.uint64(max(1, (int(count - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    keys = np.random.SeedSequence((seed, epoch)).generate_state(_ROUNDS, dtype=np.uint64)
    found = places.astype(np.uint64)
    outside = np.ones(len(found), dtype=bool)
    while outside.any():
        value = found[outside]
        left, right = value >> half, value & mask
        for key in keys:
            mixed = (right + key) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(32)
            mixed *= np.uint64(0xD6E8FEB86659FD93)
            left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
        found[outside] = (left << half) | right
        outside[outside] = found[outside] >= np.uint64(count)
    return found.astype(np.int64)
