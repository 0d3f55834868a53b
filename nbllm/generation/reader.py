"""Feeds tokens to a model and gives the logits of the next one, past the end of its context too.

B sequences of equal length, T further tokens, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import nn

from nbllm.models import masks
from nbllm.models.answers import WritesTarget
from nbllm.models.quick import Quick, quick
from nbllm.models.static import Static
from nbllm.models.vae import VAE


class Reader(ABC):
    """Holds what has been read. `read` takes T more tokens; `select` goes on with some of the rows, for beam search."""

    room: int | None = None
    """Tokens that can be read in all; None for no limit."""

    @abstractmethod
    def read(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        """Read T more tokens: logits_BV of what follows the last."""

    @abstractmethod
    def select(self, rows_B: torch.Tensor) -> None:
        """Go on with these rows, in this order; a row may come several times."""


class TextReader(Reader):
    """A language model's reader.

    A recurrent state carries on for ever. A cache that is full is begun anew with the last half of the context. A
    module without a state (a class of the user's own) reads its whole window again for every token. A prefix model
    reads what it begins with both ways (`prefix`), up to half of the context as it was trained. A Transformer on a CPU
    reads single tokens by a quicker way (see `models.quick`).
    """

    def __init__(self, module: nn.Module, context: int, length: int, prefix: bool = False):
        self.module: Any = module
        self.context = context
        self.prefix = prefix
        self.stateful = hasattr(module, "init_state") and hasattr(module, "step")
        self.unbounded = self.stateful and bool(getattr(module, "unbounded", False))
        self.cached = min(length, context)
        """Tokens that a cache is made for; `length` is how many will be read in all."""
        self.state: Any = None
        self.used = 0
        self.history: list[torch.Tensor] = []
        self._quick: Quick | Static | None = None
        self._quick_rows = 0

    def read(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        if self.unbounded:
            return self._step(tokens_BT)
        self.history.append(tokens_BT)
        if not self.stateful:
            return self.module(self._last(self.context))[:, -1]
        if self.used + tokens_BT.shape[1] > self.cached:
            # At the start the whole context is used; later half, so that the other half of the cache is free again.
            tokens_BT = self._last(self.context // 2 if self.used else self.cached)
            self.state, self.used = None, 0
        return self._step(tokens_BT)

    def select(self, rows_B: torch.Tensor) -> None:
        if self.history:
            self.history = [torch.cat(self.history, dim=1).index_select(0, rows_B)]
        if self.state is not None:
            self.state = self.module.select(self.state, rows_B)

    def _step(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        if self.state is None:
            self.state = self.module.init_state(tokens_BT.shape[0], self.cached)
        elif tokens_BT.shape[1] == 1 and (step := self._quick_step(tokens_BT.shape[0])):
            logits_BV, self.state = step(tokens_BT, self.state)
            self.used += 1
            return logits_BV
        seen = {}
        if self.prefix and not self.used:
            length = tokens_BT.shape[1]
            both_ways = torch.tensor([min(length, max(1, self.context // 2))], device=tokens_BT.device)
            seen = {"mask": masks.prefix(both_ways, length)}
        logits_BV, self.state = self.module.step(tokens_BT, self.state, **seen)
        self.used += tokens_BT.shape[1]
        return logits_BV

    def _quick_step(self, rows: int) -> Any:
        """The quick way to read a token of each of so many texts, where the module has one."""
        if rows != self._quick_rows:
            # It holds weights as they are now, of which no gradient is wanted.
            self._quick = None if torch.is_grad_enabled() else quick(self.module, rows)
            self._quick_rows = rows
        return self._quick and self._quick.step

    def _last(self, count: int) -> torch.Tensor:
        self.history = [torch.cat(self.history, dim=1)[:, -self.context :]]
        return self.history[0][:, -count:]


class TargetReader(Reader):
    """Reads the target of an encoder-decoder, whose source has been read once; a target ends with its room."""

    def __init__(self, module: WritesTarget, source_BS: torch.Tensor, room: int, real_BS: torch.Tensor | None = None):
        self.module = module
        self.room = room
        with torch.inference_mode():
            self.state = module.init_state(source_BS, room, real_BS)

    def read(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        logits_BV, self.state = self.module.step(tokens_BT, self.state)
        return logits_BV

    def select(self, rows_B: torch.Tensor) -> None:
        self.state = self.module.select(self.state, rows_B)


class LatentReader(Reader):
    """Reads a sentence that lies at a point of a VAE's latent space."""

    def __init__(self, module: VAE, z_BZ: torch.Tensor, room: int):
        self.module = module
        self.room = room
        self.z_BZ = z_BZ
        self.state = module.init_state(z_BZ.shape[0], room)

    def read(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        logits_BV, self.state = self.module.step(tokens_BT, self.state, self.z_BZ)
        return logits_BV

    def select(self, rows_B: torch.Tensor) -> None:
        self.state = self.module.select(self.state, rows_B)
        self.z_BZ = self.z_BZ.index_select(0, rows_B)
