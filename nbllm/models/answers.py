"""What networks answer, whoever built them: what writing, filling in and labelling tell them apart by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch


class FillsMasks:
    """Answers what stands at hidden places; it does not write."""


class GivesLabels:
    """Answers with labels; it does not write."""


class MarksTokens(GivesLabels):
    """Answers with a label for each token, not for the text."""


class MarksAnswer(GivesLabels):
    """Answers with how likely each token is the first and the last of an answer: logits_BT2."""


class WritesTarget(ABC):
    """Answers a source with a target, a token after another.

    B batch, S source tokens, T target tokens, V target vocabulary.
    """

    @abstractmethod
    def init_state(self, source_BS: torch.Tensor, length: int, real_BS: torch.Tensor | None = None) -> Any:
        """The state before any target token, with room for `length` of them."""

    @abstractmethod
    def step(self, target_BT: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """The logits after the last of these further target tokens, logits_BV, and the state to go on with."""

    @abstractmethod
    def select(self, state: Any, rows_B: torch.Tensor) -> Any:
        """The state of these rows of its batch, in this order."""


class ShowsAttention(ABC):
    """Tells its attention weights by itself.

    L layers, B batch, H heads, T queries, S keys.
    """

    @abstractmethod
    def attention(
        self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None, segments_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The self-attention over a text, of an encoder-decoder that of its encoder: (L, B, H, T, T)."""

    def target_attention(
        self,
        source_BS: torch.Tensor,
        target_BT: torch.Tensor,
        real_BS: torch.Tensor | None = None,
        part: str = "cross",
    ) -> torch.Tensor:
        """Of an encoder-decoder what the target looks at: in the source (cross, (L, B, H, T, S)) or in itself (decoder,
        (L, B, H, T, T)). No other network has a target."""
        raise AssertionError(f"a {type(self).__name__} has no target")
