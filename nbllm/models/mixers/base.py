"""What every mixer is.

B batch, T tokens, D width of the residual stream, S tokens of a memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn


class Memory(NamedTuple):
    """What an encoder has read, for a decoder to look at: x_BSD, and which of its places hold a token (all: None)."""

    x: torch.Tensor
    real: torch.Tensor | None = None


class Mixer(nn.Module, ABC):
    """Mixes tokens along time. The whole window at once for training, or a few tokens with a state for generation.

    Both ways give the same numbers: feeding a window piece by piece, each with the state that the last piece left,
    equals feeding it whole. A mixer that reads both ways (`causal` False) has no state.
    """

    unbounded: ClassVar[bool]
    """True where a state carries on for ever (recurrent), False where it holds a given number of tokens (a cache)."""

    causal: bool = True

    @abstractmethod
    def forward(
        self,
        x_BTD: torch.Tensor,
        *,
        real_BT: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        memory: Memory | None = None,
        state: Any = None,
    ) -> tuple[torch.Tensor, Any]:
        """y_BTD and the state after these tokens (None where none was given).

        `real_BT` is True where there is a token and False where a row was filled up, at its end: no answer at a real
        place depends on what stands there. `mask` is boolean, broadcastable to (B, heads, T, S), True where a token may
        look; only attention takes one. `memory` is what a cross-attending mixer looks at; the others take none.
        """

    @abstractmethod
    def init_state(self, batch: int, length: int, device: torch.device, dtype: torch.dtype) -> Any:
        """The state before any token, with room for `length` tokens where it is bounded."""

    @abstractmethod
    def select(self, state: Any, rows_B: torch.Tensor) -> Any:
        """The state with these rows of its batch, in this order: what beam search goes on with."""

    @abstractmethod
    def init_weights(self) -> None:
        """Draw fresh weights from torch's own generator."""
