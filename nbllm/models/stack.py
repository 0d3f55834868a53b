"""A stack: embedding, positions, blocks that each hold one mixer, and a final norm. Every network here is one or two.

B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.blocks import Block, BlockState, PlainBlock
from nbllm.models.mixers.attention import Attention
from nbllm.models.mixers.base import Memory, Mixer
from nbllm.models.mixers.conv import Conv
from nbllm.models.mixers.cross import CrossAttention
from nbllm.models.mixers.gru import GRU
from nbllm.models.mixers.lstm import LSTM
from nbllm.models.mixers.rnn import RNN
from nbllm.models.norm import norm
from nbllm.models.positions import Learned, Sinusoidal
from nbllm.models.reading import Before, Bigrams, Mix, Smear
from nbllm.models.rope import Rope

# Measured by the held-out loss of short runs: small where a norm follows, for each block's answer then soon outweighs
# it; a plain network reads the embedding as it is and learns slowly from small numbers.
EMBEDDING_STD = 0.02
PLAIN_TIED_STD = 0.3
PLAIN_STD = 1.0


@dataclass
class State:
    """What a stack carries from token to token: a state a block, how many tokens were read, and where the last of them
    counts (see `reading`) what it was."""

    blocks: list[BlockState | None]
    read: int = 0
    before: Before | None = None


class Stack(nn.Module):
    """tokens_BT (int64) -> x_BTD, the whole window at once, or a few tokens at a time with a state."""

    def __init__(
        self,
        config: ModelConfig,
        mixers: list[str],
        vocab_size: int,
        context: int,
        *,
        causal: bool = True,
        cross: bool = False,
    ):
        super().__init__()
        self.config = config
        self.causal = causal
        self.context = context
        width = config.width
        self.embedding = nn.Embedding(vocab_size, width)
        self.bigrams = Bigrams(config.pair_rows(vocab_size), vocab_size, width) if config.bigrams else None
        self.smear = Smear(width) if config.smear else None
        self.mix = Mix(len(mixers) - 1) if config.mix_input and len(mixers) > 1 else None
        self.segment_embedding = nn.Embedding(2, width) if config.segments and not causal else None
        self.positions: nn.Module | None = None
        if config.positions == "sinusoidal":
            self.positions = Sinusoidal(width, context)
        elif config.positions == "learned":
            self.positions = Learned(width, context)
        self.embedding_norm = norm(config) if config.embedding_norm else None
        self.dropout = nn.Dropout(config.dropout)
        rope = None
        if config.positions == "rope" and "attention" in mixers:
            rope = Rope(config.head_dim, context, config.rope_base)
        self.blocks = nn.ModuleList()
        for index, name in enumerate(mixers):
            mixer = _mixer(name, config, rope, causal, index)
            # Attention looks at the memory in every block; of a recurrent or convolutional decoder only the last does.
            looks = cross and config.cross != "none" and (name == "attention" or index == len(mixers) - 1)
            self.blocks.append(_block(mixer, CrossAttention(config) if looks else None, name, config, index))
        last = not config.plain and config.norm_place == "before"
        self.norm = norm(config) if last else nn.Identity()

    def forward(
        self,
        tokens_BT: torch.Tensor,
        *,
        real_BT: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        segments_BT: torch.Tensor | None = None,
        memory: Memory | None = None,
        state: State | None = None,
        added: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, State | None]:
        """x_BTD and the state after these tokens. `added` is joined to every embedding (a latent, (B, 1, D))."""
        vectors_BTD, before = self.vectors(tokens_BT, None if state is None else state.before)
        x_BTD = self.placed(vectors_BTD, tokens_BT, 0 if state is None else state.read, segments_BT)
        if added is not None:
            x_BTD = x_BTD + added
        x_BTD, after = self.run(x_BTD, real_BT=real_BT, mask=mask, memory=memory, state=state)
        if after is not None:
            after.before = before
        return x_BTD, after

    def embed(self, tokens_BT: torch.Tensor, start: int = 0, segments_BT: torch.Tensor | None = None) -> torch.Tensor:
        """What the first block reads, x_BTD; the first token stands at place `start`, and nothing before it."""
        return self.placed(self.vectors(tokens_BT, None)[0], tokens_BT, start, segments_BT)

    def vectors(self, tokens_BT: torch.Tensor, before: Before | None) -> tuple[torch.Tensor, Before | None]:
        """What each token is read as, x_BTD, and what the next ones need to know of the last."""
        x_BTD = self.embedding(tokens_BT)
        if self.config.embedding_scale:
            x_BTD = x_BTD * self.config.width**0.5
        if self.bigrams is None and self.smear is None:
            return x_BTD, None
        before = self._nothing_before(len(tokens_BT)) if before is None else before
        if self.bigrams is not None:
            x_BTD = x_BTD + self.bigrams(tokens_BT, before.token)
        last = Before(tokens_BT[:, -1:], x_BTD[:, -1:])
        return x_BTD if self.smear is None else self.smear(x_BTD, before.x), last

    def _nothing_before(self, batch: int) -> Before:
        like, rows = next(self.blocks.parameters()), self.embedding.num_embeddings
        none_B1 = torch.full((batch, 1), rows, dtype=torch.long, device=like.device)
        return Before(none_B1, like.new_zeros(batch, 1, self.config.width))

    def placed(
        self, x_BTD: torch.Tensor, tokens_BT: torch.Tensor, start: int, segments_BT: torch.Tensor | None
    ) -> torch.Tensor:
        """The vectors with their places, from `start` on, and segments; normalised where the configuration says so."""
        if self.positions is not None:
            x_BTD = x_BTD + self.positions(start, tokens_BT.shape[1])
        if self.segment_embedding is not None:
            x_BTD = x_BTD + self.segment_embedding(torch.zeros_like(tokens_BT) if segments_BT is None else segments_BT)
        if self.embedding_norm is not None:
            x_BTD = self.embedding_norm(x_BTD)
        return self.dropout(x_BTD)

    def run(
        self,
        x_BTD: torch.Tensor,
        *,
        real_BT: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        memory: Memory | None = None,
        state: State | None = None,
    ) -> tuple[torch.Tensor, State | None]:
        """The blocks and the final norm, from embedded tokens on."""
        after: list[BlockState | None] = []
        first_BTD = x_BTD
        for index, block in enumerate(self.blocks):
            if self.mix is not None and index:
                x_BTD = self.mix(index, x_BTD, first_BTD)
            x_BTD, block_state = block(
                x_BTD,
                real_BT=real_BT,
                mask=mask if isinstance(block.mixer, Attention) else None,
                memory=memory,
                state=None if state is None else state.blocks[index],
            )
            after.append(block_state)
        x_BTD = self.norm(x_BTD)
        return x_BTD, None if state is None else State(after, state.read + x_BTD.shape[1])

    def init_state(self, batch: int, length: int, memory: Memory | None = None) -> State:
        """The state before any token, with room for `length` tokens; `memory` is what the blocks will look at."""
        like = next(self.blocks.parameters())
        blocks: list[BlockState | None] = []
        for block in self._blocks():
            state = block.mixer.init_state(batch, length, like.device, like.dtype)
            blocks.append(BlockState(state, block.cross.remember(memory) if block.cross is not None else None))
        return State(blocks)

    def select(self, state: State, rows_B: torch.Tensor) -> State:
        """The state of these rows of its batch, in this order."""
        blocks: list[BlockState | None] = []
        for block, before in zip(self._blocks(), state.blocks, strict=True):
            if before is None:
                blocks.append(None)
                continue
            crossed = None if before.cross is None else block.cross.select(before.cross, rows_B)
            blocks.append(BlockState(block.mixer.select(before.mixer, rows_B), crossed))
        last = None if state.before is None else Before(*(part.index_select(0, rows_B) for part in state.before))
        return State(blocks, state.read, last)

    def mixers(self) -> list[Mixer]:
        """The mixer of each block, lowest first."""
        return [block.mixer for block in self._blocks()]

    def crosses(self) -> list[CrossAttention]:
        """The cross-attentions, lowest first."""
        return [block.cross for block in self._blocks() if block.cross is not None]

    def _blocks(self) -> list[Any]:
        return list(self.blocks)

    @property
    def unbounded(self) -> bool:
        """Whether a state can be carried past any length."""
        return all(mixer.unbounded for mixer in self.mixers()) and not isinstance(self.positions, Learned)

    def embedding_std(self, tied: bool) -> float:
        """The standard deviation of fresh embeddings."""
        if self.config.embedding_scale:
            return self.config.width**-0.5
        if self.config.plain:
            return PLAIN_TIED_STD if tied else PLAIN_STD
        return EMBEDDING_STD

    def init_weights(self, tied: bool) -> None:
        """Small embeddings, hidden matrices scaled by fan-in, the ways out of a block zero."""
        nn.init.normal_(self.embedding.weight, std=self.embedding_std(tied))
        if self.segment_embedding is not None:
            nn.init.normal_(self.segment_embedding.weight, std=EMBEDDING_STD)
        for block in self._blocks():
            block.init_weights()


class Head(nn.Module):
    """x (..., D) -> logits (..., V): by the embedding's weights where `tied`, else by a matrix that begins at zero."""

    def __init__(self, config: ModelConfig, vocab_size: int, stack: Stack):
        super().__init__()
        self.linear = None if config.tied else nn.Linear(config.width, vocab_size, bias=config.plain)
        self._stack = [stack]  # in a list, so that its weights are not the head's too
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)
            if self.linear.bias is not None:
                nn.init.zeros_(self.linear.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.embedding().weight) if self.linear is None else self.linear(x)

    def embedding(self) -> nn.Embedding:
        """The table that a tied head shares."""
        return self._stack[0].embedding


def _mixer(name: str, config: ModelConfig, rope: Rope | None, causal: bool, index: int) -> Mixer:
    """One mixer; a recurrent one reads both ways where the stack does."""
    match name:
        case "attention":
            return Attention(config, rope, causal)
        case "conv":
            return Conv(config.width, config.kernel, config.dilation(index), causal, config.bias)
        case "rnn":
            return RNN(config.width, not causal, nonlinearity=config.nonlinearity)
        case "gru":
            return GRU(config.width, not causal)
        case "lstm":
            return LSTM(config.width, not causal)
    raise AssertionError(f"the configuration has let a mixer '{name}' through")


def _block(mixer: Mixer, cross: Mixer | None, name: str, config: ModelConfig, index: int) -> nn.Module:
    if config.plain:
        return PlainBlock(mixer, cross, config)
    return Block(mixer, cross, config, config.mlp_of(name), normed=index == 0 and not config.first_norm)
