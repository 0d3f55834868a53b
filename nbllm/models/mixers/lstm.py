"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    i, f, o = sigmoid(W x_t + U h_{t-1} + b) each      g = tanh(W x_t + U h_{t-1} + b)
    c_t = f * c_{t-1} + i * g                          h_t = o * tanh(c_t)

B batch, T tokens, D width. Rows of the stacked weights stand in torch's order: i, f, g, o.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn

from nbllm.models.mixers.recurrent import Recurrent


class LSTMState(NamedTuple):
    """What an LSTM carries on: hidden_1BD and cell_1BD, as torch.nn.LSTM takes them."""

    hidden: torch.Tensor
    cell: torch.Tensor


class LSTM(Recurrent):
    """One layer of torch.nn.LSTM."""

    cell: ClassVar[Any] = nn.LSTM
    gate_names: ClassVar[tuple[str, ...]] = ("input", "forget", "output", "cell", "hidden")

    def as_torch(self, state: LSTMState) -> Any:
        return tuple(state)

    def from_torch(self, state: Any) -> LSTMState:
        return LSTMState(*state)

    def init_state(self, batch: int, length: int, device: torch.device, dtype: torch.dtype) -> LSTMState:
        zeros = super().init_state(batch, length, device, dtype)
        return LSTMState(zeros, torch.zeros_like(zeros))

    def select(self, state: LSTMState, rows_B: torch.Tensor) -> LSTMState:
        return LSTMState(*(part.index_select(1, rows_B) for part in state))

    def one_way(self, x_BTD: torch.Tensor, weights: list[torch.Tensor], state: Any = None) -> dict[str, torch.Tensor]:
        """Every gate at every step, by the equations: input, forget, output, cell and hidden, each (B, T, units)."""
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        hidden = cell = x_BTD.new_zeros(x_BTD.shape[0], self.units)
        if state is not None:
            hidden, cell = state.hidden[0], state.cell[0]
        steps: dict[str, list[torch.Tensor]] = {name: [] for name in self.gate_names}
        for x_BD in x_BTD.unbind(1):
            i, f, g, o = (x_BD @ weight_ih.T + hidden @ weight_hh.T + bias_ih + bias_hh).chunk(4, dim=-1)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            cell = f * cell + i * g
            hidden = o * cell.tanh()
            for name, value in zip(steps, (i, f, o, cell, hidden), strict=True):
                steps[name].append(value)
        return {name: torch.stack(values, dim=1) for name, values in steps.items()}

    def init_weights(self) -> None:
        """As every recurrent layer, and a forget bias of 1 (Jozefowicz et al. 2015)."""
        super().init_weights()
        for direction in self.rnn.all_weights:
            direction[2].data[self.units : 2 * self.units] = 1.0
