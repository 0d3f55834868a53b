"""What the recurrent mixers share: one layer of torch's own, so that the fused kernels of each device (cuDNN) are used.

B batch, T tokens, D width. A layer that reads both ways has half of the width for each.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nbllm.models.mixers.base import Memory, Mixer


class Recurrent(Mixer):
    """A layer that reads one token after another and carries its state on for ever."""

    unbounded: ClassVar[bool] = True
    cell: ClassVar[Any]
    """torch.nn.RNN, GRU or LSTM."""
    gate_names: ClassVar[tuple[str, ...]]
    """What `gates` gives, in order."""

    def __init__(self, width: int, bidirectional: bool = False, **settings: Any):
        super().__init__()
        self.width = width
        self.causal = not bidirectional
        self.units = width // 2 if bidirectional else width
        self.rnn = self.cell(width, self.units, batch_first=True, bidirectional=bidirectional, **settings)

    def forward(
        self,
        x_BTD: torch.Tensor,
        *,
        real_BT: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        memory: Memory | None = None,
        state: Any = None,
    ) -> tuple[torch.Tensor, Any]:
        assert mask is None, "a recurrent layer reads every token in turn"
        assert memory is None, "a recurrent layer looks at no memory"
        y_BTD, after = self.read(x_BTD, real_BT, state)
        return y_BTD, None if state is None else after

    def read(
        self, x_BTD: torch.Tensor, real_BT: torch.Tensor | None, state: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor | tuple[torch.Tensor, ...]]:
        """y_BTD and the state after the last real token of each row, as torch's layer gives it."""
        given = None if state is None else self.as_torch(state)
        if real_BT is None or bool(real_BT.all()):
            y_BTD, after = self.rnn(x_BTD, given)
            return y_BTD, self.from_torch(after)
        lengths_B = real_BT.sum(1).clamp(min=1).cpu()
        packed, after = self.rnn(pack_padded_sequence(x_BTD, lengths_B, True, enforce_sorted=False), given)
        y_BTD, _ = pad_packed_sequence(packed, batch_first=True, total_length=x_BTD.shape[1])
        return y_BTD, self.from_torch(after)

    def as_torch(self, state: Any) -> Any:
        """Our state as torch's layer takes it: hidden_1BD."""
        return state

    def from_torch(self, state: Any) -> Any:
        """The other way round."""
        return state

    def init_state(self, batch: int, length: int, device: torch.device, dtype: torch.dtype) -> Any:
        return torch.zeros(1 if self.causal else 2, batch, self.units, device=device, dtype=dtype)

    def select(self, state: Any, rows_B: torch.Tensor) -> Any:
        return state.index_select(1, rows_B)

    def gates(self, x_BTD: torch.Tensor, state: Any = None) -> dict[str, torch.Tensor]:
        """What the layer computes at every step, from a state on where one is given, by its equations: name to
        (B, T, D), a two-way layer's forward units before its backward ones."""
        forward = self.one_way(x_BTD, self.rnn.all_weights[0], state)
        if self.causal:
            return forward
        backward = self.one_way(x_BTD.flip(1), self.rnn.all_weights[1])
        return {name: torch.cat((value, backward[name].flip(1)), dim=-1) for name, value in forward.items()}

    @abstractmethod
    def one_way(self, x_BTD: torch.Tensor, weights: list[torch.Tensor], state: Any = None) -> dict[str, torch.Tensor]:
        """The equations, step by step, with the weights of one direction and the state of one, each (1, B, units):
        name to (B, T, units)."""

    def init_weights(self) -> None:
        """Inputs scaled by fan-in, orthogonal recurrent weights a gate (Saxe et al. 2014), biases zero."""
        for direction in self.rnn.all_weights:
            weight_ih, weight_hh, *biases = direction
            nn.init.normal_(weight_ih, std=self.width**-0.5)
            for gate in weight_hh.data.split(self.units):
                nn.init.orthogonal_(gate)
            for bias in biases:
                nn.init.zeros_(bias)
