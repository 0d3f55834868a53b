"""Feeds tokens to a model and gives the logits of the next one, past the end of its context too.

B sequences of equal length, T further tokens, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import nn

from nbllm.models.language_model import LanguageModel, State


class Reader:
    """Holds what has been read.

    A recurrent state carries on for ever. A cache that is full is begun anew with the last half of the context. A
    module without a state (a class of the user's own) reads its whole window again for every token.
    """

    def __init__(self, module: nn.Module, context: int, room: int):
        self.module = module
        self.context = context
        self.room = min(room, context)
        """Tokens that a cache is made for; `room` is how many will be read in all."""
        self.stateful = isinstance(module, LanguageModel)
        self.unbounded = isinstance(module, LanguageModel) and module.unbounded
        self.state: State | None = None
        self.used = 0
        self.history: list[torch.Tensor] = []

    def read(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        """Read T more tokens: logits_BV of what follows the last."""
        if self.unbounded:
            return self._step(tokens_BT)
        self.history.append(tokens_BT)
        if not self.stateful:
            return self.module(self._last(self.context))[:, -1]
        if self.used + tokens_BT.shape[1] > self.room:
            # At the start the whole context is used; later half, so that the other half of the cache is free again.
            tokens_BT = self._last(self.context // 2 if self.used else self.room)
            self.state, self.used = None, 0
        return self._step(tokens_BT)

    def _step(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.module, LanguageModel)
        if self.state is None:
            self.state = self.module.init_state(tokens_BT.shape[0], self.room)
        logits_BV, self.state = self.module.step(tokens_BT, self.state)
        self.used += tokens_BT.shape[1]
        return logits_BV

    def _last(self, count: int) -> torch.Tensor:
        self.history = [torch.cat(self.history, dim=1)[:, -self.context :]]
        return self.history[0][:, -count:]
