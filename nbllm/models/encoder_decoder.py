"""An encoder and a decoder (Sutskever et al. 2014): the decoder begins where a recurrent encoder ended, and looks at
what the encoder has read (Bahdanau et al. 2015; Vaswani et al. 2017) unless `cross` is none.

B batch, S source tokens, T target tokens, D width, V target vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.answers import WritesTarget
from nbllm.models.blocks import BlockState
from nbllm.models.mixers.base import Memory
from nbllm.models.mixers.lstm import LSTMState
from nbllm.models.mixers.recurrent import Recurrent
from nbllm.models.stack import Head, Stack, State


class Bridge(nn.Module):
    """From an encoder layer's last state to a decoder layer's first: as it is where it fits, else tanh(W s + b)
    (Bahdanau et al. 2015, appendix A.2.2). Each part of the state (hidden, cell) has a matrix of its own."""

    def __init__(self, source: Recurrent, target: Recurrent):
        super().__init__()
        self.parts = 2 if isinstance(target.cell, type) and target.cell is nn.LSTM else 1
        fits = source.causal and source.units == target.units and source.cell is target.cell
        width = source.units * (1 if source.causal else 2)
        self.layers = nn.ModuleList([] if fits else [nn.Linear(width, target.units) for _ in range(self.parts)])
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=width**-0.5)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, state: Any) -> Any:
        """state of the encoder layer, each part (directions, B, units) -> state of the decoder layer, (1, B, units)."""
        if not self.layers:
            return state
        given = list(state) if isinstance(state, tuple) else [state]
        joined = [part.transpose(0, 1).flatten(1) for part in given]
        made = [
            torch.tanh(layer(joined[min(index, len(joined) - 1)])).unsqueeze(0)
            for index, layer in enumerate(self.layers)
        ]
        return LSTMState(*made) if self.parts == 2 else made[0]


class EncoderDecoder(nn.Module, WritesTarget):
    """source_BS and target_BT (int64) -> logits_BTV of the token after each target token."""

    def __init__(
        self,
        config: ModelConfig,
        vocab_size: int,
        context: int,
        target_vocab: int | None = None,
        target_context: int | None = None,
    ):
        super().__init__()
        encoder, decoder = config.two_stacks()
        target_vocab = target_vocab or vocab_size
        self.encoder = Stack(config, encoder, vocab_size, context, causal=not config.two_way_encoder)
        self.decoder = Stack(config, decoder, target_vocab, target_context or context, cross=True)
        self.head = Head(config, target_vocab, self.decoder)
        self.encoder.init_weights(config.tied)
        self.decoder.init_weights(config.tied)
        self.shared = config.shared_embedding and target_vocab == vocab_size
        if self.shared:
            self.decoder.embedding.weight = self.encoder.embedding.weight
        pairs = zip(self.encoder.mixers(), self.decoder.mixers(), strict=False)
        self.bridges = nn.ModuleList(
            Bridge(a, b) if isinstance(a, Recurrent) and isinstance(b, Recurrent) else nn.Identity() for a, b in pairs
        )

    def forward(
        self, source_BS: torch.Tensor, target_BT: torch.Tensor, real_BS: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Every target token is answered from the source and the target tokens up to it: logits_BTV."""
        memory, finals = self.encode(source_BS, real_BS)
        return self.decode(target_BT, memory, finals)

    def encode(self, source_BS: torch.Tensor, real_BS: torch.Tensor | None = None) -> tuple[Memory, list[Any]]:
        """What the decoder looks at, and the state that each of its blocks begins with (None: afresh)."""
        stack = self.encoder
        x_BSD = stack.embed(source_BS)
        finals: list[Any] = []
        bridges: list[Any] = [*self.bridges, *[None] * (len(stack.blocks) - len(self.bridges))]
        blocks: list[Any] = list(stack.blocks)
        for block, bridge in zip(blocks, bridges, strict=True):
            if isinstance(bridge, Bridge):
                begin = BlockState(block.mixer.init_state(x_BSD.shape[0], 0, x_BSD.device, x_BSD.dtype))
                x_BSD, after = block(x_BSD, real_BT=real_BS, state=begin)
                finals.append(bridge(after.mixer))
            else:
                x_BSD, _ = block(x_BSD, real_BT=real_BS)
                finals.append(None)
        finals += [None] * (len(self.decoder.blocks) - len(finals))
        return Memory(stack.norm(x_BSD), real_BS), finals[: len(self.decoder.blocks)]

    def decode(self, target_BT: torch.Tensor, memory: Memory, finals: list[Any]) -> torch.Tensor:
        """The decoder's logits over a whole target: logits_BTV."""
        state = State([None if final is None else BlockState(final) for final in finals])
        return self.head(self.decoder(target_BT, memory=memory, state=state)[0])

    def init_state(self, source_BS: torch.Tensor, length: int, real_BS: torch.Tensor | None = None) -> State:
        """The decoder's state before any target token, with room for `length` of them."""
        memory, finals = self.encode(source_BS, real_BS)
        state = self.decoder.init_state(source_BS.shape[0], length, memory)
        blocks = [
            block if final is None or block is None else BlockState(final, block.cross)
            for block, final in zip(state.blocks, finals, strict=True)
        ]
        return State(blocks)

    def step(self, target_BT: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """The logits after the last of these further target tokens, logits_BV, and the state to go on with."""
        x_BTD, after = self.decoder(target_BT, state=state)
        return self.head(x_BTD[:, -1]), after

    def select(self, state: State, rows_B: torch.Tensor) -> State:
        """The state of these rows of its batch, in this order."""
        return self.decoder.select(state, rows_B)
