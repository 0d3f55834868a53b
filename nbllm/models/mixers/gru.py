"""The gated recurrent unit (Cho et al. 2014), in the form of torch and cuDNN.

    r, z = sigmoid(W x_t + U h_{t-1} + b) each         n = tanh(W x_t + b + r * (U h_{t-1} + c))
    h_t = (1 - z) * n + z * h_{t-1}

B batch, T tokens, D width. Rows of the stacked weights stand in torch's order: r, z, n.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from nbllm.models.mixers.recurrent import Recurrent


class GRU(Recurrent):
    """One layer of torch.nn.GRU."""

    cell: ClassVar[Any] = nn.GRU
    gate_names: ClassVar[tuple[str, ...]] = ("reset", "update", "candidate", "hidden")

    def one_way(self, x_BTD: torch.Tensor, weights: list[torch.Tensor], state: Any = None) -> dict[str, torch.Tensor]:
        """Every gate at every step, by the equations: reset, update, candidate and hidden, each (B, T, units)."""
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        hidden = x_BTD.new_zeros(x_BTD.shape[0], self.units) if state is None else state[0]
        steps: dict[str, list[torch.Tensor]] = {name: [] for name in self.gate_names}
        for x_BD in x_BTD.unbind(1):
            r_in, z_in, n_in = (x_BD @ weight_ih.T + bias_ih).chunk(3, dim=-1)
            r_at, z_at, n_at = (hidden @ weight_hh.T + bias_hh).chunk(3, dim=-1)
            reset, update = (r_in + r_at).sigmoid(), (z_in + z_at).sigmoid()
            candidate = (n_in + reset * n_at).tanh()
            hidden = (1 - update) * candidate + update * hidden
            for name, value in zip(steps, (reset, update, candidate, hidden), strict=True):
                steps[name].append(value)
        return {name: torch.stack(values, dim=1) for name, values in steps.items()}
