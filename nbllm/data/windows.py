"""Fixed windows of tokens, and the order in which training sees them.

Legend: B windows of a batch, C context, N windows.

The order is a pure function of the seed and the step, so a resumed run needs no state to go on with the same windows.
"""

from __future__ import annotations

import numpy as np

from nbllm.data.token_file import TokenFile, TokenWriter

__all__ = ["TokenFile", "TokenWriter", "Windows"]

LARGEST_PERMUTATION = 50_000_000  # windows; beyond it the order is computed, not stored
_ROUNDS = 6


class Windows:
    """Windows of `context + 1` tokens (inputs and, one on, targets), a start every `stride` tokens."""

    def __init__(self, tokens: np.ndarray, context: int, stride: int | None = None):
        self.tokens = tokens
        self.context = context
        self.stride = stride or context
        self._count = max(0, (len(tokens) - context - 1) // self.stride + 1) if len(tokens) > context else 0
        self._offsets = np.arange(context + 1, dtype=np.int64)
        self._stored: tuple[tuple[int, int], np.ndarray] | None = None

    def __len__(self) -> int:
        return self._count

    def starts(self, indices: np.ndarray) -> np.ndarray:
        """Places of the first tokens of these windows."""
        return np.asarray(indices, dtype=np.int64) * self.stride

    def batch(self, indices: np.ndarray) -> np.ndarray:
        """(B, C + 1) int64: the tokens of these windows."""
        return self.tokens[self.starts(indices)[:, None] + self._offsets].astype(np.int64)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """(N,) the windows of an epoch as training sees them: each exactly once."""
        if self._count > LARGEST_PERMUTATION:
            return shuffled(np.arange(self._count, dtype=np.uint64), self._count, seed, epoch)
        if self._stored is None or self._stored[0] != (seed, epoch):
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch))))
            self._stored = ((seed, epoch), generator.permutation(self._count))
        return self._stored[1]

    def batch_indices(self, step: int, batch_size: int, seed: int) -> np.ndarray:
        """(B,) windows of a step, counted from 0. A batch may hold the end of one epoch and the start of the next."""
        assert self._count > 0, "no window: prepare refuses such a corpus"
        places = np.arange(step * batch_size, (step + 1) * batch_size, dtype=np.int64)
        epochs = places // self._count
        parts = []
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            within = places[epochs == epoch] % self._count
            if self._count > LARGEST_PERMUTATION:
                parts.append(shuffled(within.astype(np.uint64), self._count, seed, epoch))
            else:
                parts.append(self.order(seed, epoch)[within])
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
