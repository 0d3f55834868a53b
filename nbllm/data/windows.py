"""Fixed windows of tokens (the slicing of a long text into sequences).

B windows of a batch, C context.
"""

from __future__ import annotations

import numpy as np

from nbllm.data.token_file import TokenFile, TokenWriter

__all__ = ["TokenFile", "TokenWriter", "Windows"]


class Windows:
    """Windows of `context + 1` tokens (inputs and, one on, targets), a start every `stride` tokens."""

    def __init__(self, tokens: np.ndarray, context: int, stride: int | None = None):
        self.tokens = tokens
        self.context = context
        self.stride = stride or context
        self._count = max(0, (len(tokens) - context - 1) // self.stride + 1) if len(tokens) > context else 0
        self._offsets = np.arange(context + 1, dtype=np.int64)

    def __len__(self) -> int:
        return self._count

    def starts(self, indices: np.ndarray) -> np.ndarray:
        """Places of the first tokens of these windows."""
        return np.asarray(indices, dtype=np.int64) * self.stride

    def batch(self, indices: np.ndarray) -> np.ndarray:
        """(B, C + 1) int64: the tokens of these windows."""
        return self.tokens[self.starts(indices)[:, None] + self._offsets].astype(np.int64)
