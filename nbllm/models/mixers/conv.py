"""Gated convolution along time (Dauphin et al. 2017), dilated as in WaveNet (van den Oord et al. 2016).

    y = W_out ((U * x) . sigmoid(V * x))

with `kernel` taps that stand `dilation` tokens apart: on the past alone where causal, else centred on the token.
B batch, T tokens, D width, P past tokens that the taps reach over.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from nbllm.models.mixers.base import Memory, Mixer


class Conv(Mixer):
    """A gated convolution and a matrix out of it."""

    unbounded: ClassVar[bool] = True

    def __init__(self, width: int, kernel: int, dilation: int, causal: bool = True, bias: bool = True):
        super().__init__()
        self.width, self.kernel, self.dilation, self.causal = width, kernel, dilation, causal
        self.reach = (kernel - 1) * dilation
        self.taps = nn.Conv1d(width, 2 * width, kernel, dilation=dilation, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def forward(
        self,
        x_BTD: torch.Tensor,
        *,
        real_BT: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        memory: Memory | None = None,
        state: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        assert mask is None, "a convolution looks where its taps are"
        assert memory is None, "a convolution looks at no memory"
        if real_BT is not None:
            x_BTD = x_BTD * real_BT.unsqueeze(-1)
        x_BDT = x_BTD.transpose(1, 2)
        if state is not None:
            x_BDT = torch.cat((state, x_BDT), dim=2)
            state = x_BDT[:, :, x_BDT.shape[2] - self.reach :]
        else:
            before = self.reach if self.causal else self.reach // 2
            x_BDT = F.pad(x_BDT, (before, self.reach - before))
        return self.out(F.glu(self.taps(x_BDT), dim=1).transpose(1, 2)), state

    def init_state(self, batch: int, length: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """past_BDP: the last tokens that the taps still reach, none yet."""
        assert self.causal, "a centred convolution has no state"
        return torch.zeros(batch, self.width, self.reach, device=device, dtype=dtype)

    def select(self, state: torch.Tensor, rows_B: torch.Tensor) -> torch.Tensor:
        return state.index_select(0, rows_B)

    def init_weights(self) -> None:
        nn.init.normal_(self.taps.weight, std=(self.width * self.kernel) ** -0.5)
        nn.init.zeros_(self.out.weight)
        for layer in (self.taps, self.out):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
