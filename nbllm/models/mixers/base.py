"""What every mixer is.

B batch, T tokens, D width of the residual stream, S tokens of a memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn


class Mixer(nn.Module, ABC):
    """Mixes tokens along time. The whole window at once for training, or a few tokens with a state for generation.

    Both ways give the same numbers: feeding a window piece by piece, each with the state that the last piece left,
    equals feeding it whole.
    """

    unbounded: ClassVar[bool]
    """True where a state carries on for ever (recurrent), False where it holds a given number of tokens (a cache)."""

    @abstractmethod
    def forward(
        self,
        x_BTD: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        memory: torch.Tensor | None = None,
        state: Any = None,
    ) -> tuple[torch.Tensor, Any]:
        """y_BTD and the state after these tokens (None where none was given).

        `mask` is boolean, broadcastable to (B, heads, T, S), True where a token may look. `memory_BSD` is what a
        cross-attending mixer looks at; the others take none.
        """

    @abstractmethod
    def init_state(self, batch: int, length: int, device: torch.device, dtype: torch.dtype) -> Any:
        """The state before any token, with room for `length` tokens where it is bounded."""

    @abstractmethod
    def init_weights(self) -> None:
        """Draw fresh weights from torch's own generator."""
