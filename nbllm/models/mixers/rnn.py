"""The simple recurrent layer (Elman 1990): h_t = f(W x_t + U h_{t-1} + b), with f = tanh or relu.

B batch, T tokens, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from nbllm.models.mixers.recurrent import Recurrent


class RNN(Recurrent):
    """One layer of torch.nn.RNN. It has no gates but its hidden state."""

    cell: ClassVar[Any] = nn.RNN
    gate_names: ClassVar[tuple[str, ...]] = ("hidden",)

    def one_way(self, x_BTD: torch.Tensor, weights: list[torch.Tensor], state: Any = None) -> dict[str, torch.Tensor]:
        """hidden (B, T, units), by the equation."""
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        squash = torch.tanh if self.rnn.nonlinearity == "tanh" else torch.relu
        hidden = x_BTD.new_zeros(x_BTD.shape[0], self.units) if state is None else state[0]
        steps = []
        for x_BD in x_BTD.unbind(1):
            hidden = squash(x_BD @ weight_ih.T + bias_ih + hidden @ weight_hh.T + bias_hh)
            steps.append(hidden)
        return {"hidden": torch.stack(steps, dim=1)}
