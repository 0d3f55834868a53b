"""Who may look at whom, and a softmax that keeps to it.

T queries, S keys, H heads. A mask is boolean and True where the query may look at the key.
"""

from __future__ import annotations

import torch


def causal(queries: int, keys: int, device: torch.device | str | None = None) -> torch.Tensor:
    """mask_TS: every query sees the keys up to its own place; the queries are the last of the keys."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def masked_softmax(scores: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Softmax over the last axis (float32 or wider) of the allowed scores; a row with nothing allowed is all zeros.

    scores (..., T, S), mask broadcastable to it -> weights (..., T, S) in the dtype of the scores.
    """
    wide = scores if scores.dtype == torch.float64 else scores.float()
    if mask is None:
        return wide.softmax(-1).to(scores.dtype)
    wide = wide.masked_fill(~mask, torch.finfo(wide.dtype).min)
    return wide.softmax(-1).masked_fill(~mask, 0.0).to(scores.dtype)
