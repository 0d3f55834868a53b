"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    i, f, o = sigmoid(W x_t + U h_{t-1} + b) each      g = tanh(W x_t + U h_{t-1} + b)
    c_t = f * c_{t-1} + i * g                          h_t = o * tanh(c_t)

B batch, T tokens, D width. Rows of the stacked weights stand in torch's order: i, f, g, o.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.mixers.base import Mixer


class Memory(NamedTuple):
    """What an LSTM carries on: hidden_1BD and cell_1BD, as torch.nn.LSTM takes them."""

    hidden: torch.Tensor
    cell: torch.Tensor


class LSTM(Mixer):
    """One layer of torch.nn.LSTM, so that the fused kernels of each device are used."""

    unbounded: ClassVar[bool] = True

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.width = config.width
        self.lstm = nn.LSTM(config.width, config.width, batch_first=True)

    def forward(
        self,
        x_BTD: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        memory: torch.Tensor | None = None,
        state: Memory | None = None,
    ) -> tuple[torch.Tensor, Memory | None]:
        assert mask is None, "an LSTM reads every token in turn"
        assert memory is None, "an LSTM looks at no memory"
        if state is None:
            return self.lstm(x_BTD)[0], None
        y_BTD, after = self.lstm(x_BTD, tuple(state))
        return y_BTD, Memory(*after)

    def gates(self, x_BTD: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every gate at every step, by the equations: input, forget, output, cell and hidden, each (B, T, D)."""
        weight_ih, weight_hh, bias_ih, bias_hh = self.lstm.all_weights[0]
        hidden = cell = x_BTD.new_zeros(x_BTD.shape[0], self.width)
        steps: dict[str, list[torch.Tensor]] = {"input": [], "forget": [], "output": [], "cell": [], "hidden": []}
        for x_BD in x_BTD.unbind(1):
            i, f, g, o = (x_BD @ weight_ih.T + hidden @ weight_hh.T + bias_ih + bias_hh).chunk(4, dim=-1)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            cell = f * cell + i * g
            hidden = o * cell.tanh()
            for name, value in zip(steps, (i, f, o, cell, hidden), strict=True):
                steps[name].append(value)
        return {name: torch.stack(values, dim=1) for name, values in steps.items()}

    def init_state(self, batch: int, length: int, device: torch.device, dtype: torch.dtype) -> Memory:
        shape = (1, batch, self.width)
        return Memory(torch.zeros(shape, device=device, dtype=dtype), torch.zeros(shape, device=device, dtype=dtype))

    def init_weights(self) -> None:
        """Orthogonal recurrent weights a gate (Saxe et al. 2014), forget bias 1 (Jozefowicz et al. 2015)."""
        weight_ih, weight_hh, bias_ih, bias_hh = self.lstm.all_weights[0]
        nn.init.normal_(weight_ih, std=self.width**-0.5)
        for gate in weight_hh.data.chunk(4):
            nn.init.orthogonal_(gate)
        nn.init.zeros_(bias_ih)
        nn.init.zeros_(bias_hh)
        bias_ih.data[self.width : 2 * self.width] = 1.0
