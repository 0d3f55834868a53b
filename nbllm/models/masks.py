"""Who may look at whom, and a softmax that keeps to it.

B batch, T queries, S keys, H heads. A mask is boolean and True where the query may look at the key; masks are joined
with `&`, and broadcast to (B, H, T, S).
"""

from __future__ import annotations

import torch


def causal(queries: int, keys: int, device: torch.device | str | None = None) -> torch.Tensor:
    """mask_TS: every query sees the keys up to its own place; the queries are the last of the keys."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def window(
    queries: int, keys: int, size: int, *, both_ways: bool = False, device: torch.device | str | None = None
) -> torch.Tensor:
    """mask_TS of a sliding window (Beltagy et al. 2020): a query sees itself and the `size` - 1 places before it.

    With `both_ways` as many after it too. It is to be joined with `causal` where the future is out of sight.
    """
    near = torch.ones(queries, keys, dtype=torch.bool, device=device).triu(keys - queries - size + 1)
    return near.tril(keys - queries + size - 1) if both_ways else near


def padding(real_BS: torch.Tensor) -> torch.Tensor:
    """mask_B11S: keys that are tokens, not filling; real_BS is True where there is a token."""
    return real_BS[:, None, None, :]


def prefix(lengths_B: torch.Tensor, length: int) -> torch.Tensor:
    """mask_B1TT of a prefix model (Raffel et al. 2020): the first `lengths_B` tokens see each other both ways, all
    later ones what came before."""
    place_T = torch.arange(length, device=lengths_B.device)
    within_BT = place_T < lengths_B[:, None]
    return (within_BT[:, None, :] | causal(length, length, lengths_B.device)).unsqueeze(1)


def cross(real_BS: torch.Tensor | None, queries: int) -> torch.Tensor | None:
    """mask_B1TS of a decoder that looks at an encoder's tokens; None where every place holds one."""
    return None if real_BS is None else padding(real_BS).expand(-1, 1, queries, -1)


def masked_softmax(scores: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Softmax over the last axis (float32 or wider) of the allowed scores; a row with nothing allowed is all zeros.

    scores (..., T, S), mask broadcastable to it -> weights (..., T, S) in the dtype of the scores.
    """
    wide = scores if scores.dtype == torch.float64 else scores.float()
    if mask is None:
        return wide.softmax(-1).to(scores.dtype)
    wide = wide.masked_fill(~mask, torch.finfo(wide.dtype).min)
    return wide.softmax(-1).masked_fill(~mask, 0.0).to(scores.dtype)
