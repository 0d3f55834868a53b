"""One further token of each text with shapes that never change, so that a GPU can replay it: the numbers of
`LanguageModel.step`.

Launching its few hundred small kernels one by one takes a GPU longer than running them. Here the place of the token is
a number on the device, keys and values are written to it, and attention reads the whole cache with what was not read
yet masked; so all launches are recorded once (a CUDA graph) and replayed for every token.

B texts, J key heads, S places of the cache, K units of a head, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nbllm.models.language_model import LanguageModel
from nbllm.models.stack import State

WARM_UP = 3
"""Runs before the recording, in which libraries choose their kernels and take their room."""


class Static:
    """`step` takes one token of each text, and the state that `LanguageModel.step` leaves, and goes on in it. On a CPU
    nothing is recorded, and it is only as right as on a GPU. What it answers is written over by the next step."""

    def __init__(self, module: LanguageModel, rows: int):
        self.module, self.rows = module, rows
        self.bound: State | None = None
        self.graph: Any = None

    def step(self, tokens_B1: Tensor, state: State) -> tuple[Tensor, State]:
        """The logits after these tokens, logits_BV, and the state, which is the same one."""
        if state is not self.bound:
            self._bind(state, tokens_B1)
        self.tokens_B1.copy_(tokens_B1)
        if self.graph is None:
            logits_BV = self.answer()
        else:
            self.graph.replay()
            logits_BV = self.logits_BV
        state.read += 1
        for cache in self.caches:
            cache.length = state.read
        return logits_BV, state

    def answer(self) -> Tensor:
        """The step itself, which moves the place one on: logits_BV."""
        stack, place_1 = self.module.stack, self.place_1
        x_B1D = stack.embedding(self.tokens_B1)
        if stack.config.embedding_scale:
            x_B1D = x_B1D * stack.config.width**0.5
        if stack.positions is not None:
            x_B1D = x_B1D + self.table_SD.index_select(0, place_1)
        if stack.embedding_norm is not None:
            x_B1D = stack.embedding_norm(x_B1D)
        seen_S = self.places_S <= place_1
        for block, cache in zip(self.blocks, self.caches, strict=True):
            x_B1D = x_B1D + self._mixed(block.mixer, block.mixer_norm(x_B1D), cache, seen_S)
            if block.mlp is not None:
                x_B1D = x_B1D + block.mlp(block.mlp_norm(x_B1D))
        self.place_1 += 1
        return self.module.head(stack.norm(x_B1D)[:, -1])

    def _mixed(self, mixer: Any, x_B1D: Tensor, cache: Any, seen_S: Tensor) -> Tensor:
        heads = (mixer.heads, mixer.key_heads, mixer.key_heads)
        q, k, v = (
            layer(x_B1D).view(self.rows, 1, count, mixer.head_dim)
            for layer, count in zip((mixer.query, mixer.key, mixer.value), heads, strict=True)
        )
        q, k, v = (each.transpose(1, 2) for each in (mixer.query_norm(q), mixer.key_norm(k), v))
        if mixer.rope is not None:
            cos, sin = (table.index_select(0, self.place_1).to(q.dtype) for table in (mixer.rope.cos, mixer.rope.sin))
            q, k = (each * cos + each.roll(mixer.head_dim // 2, -1) * sin for each in (q, k))
        cache.keys.index_copy_(2, self.place_1, k)
        cache.values.index_copy_(2, self.place_1, v)
        if mixer.window is not None:
            seen_S = seen_S & (self.places_S > self.place_1 - mixer.window)
        y = F.scaled_dot_product_attention(
            q, cache.keys, cache.values, seen_S[None, None, None], enable_gqa=mixer.heads != mixer.key_heads
        )
        return mixer.out(y.transpose(1, 2).flatten(2))

    def _bind(self, state: State, tokens_B1: Tensor) -> None:
        """Go on in this state's caches, and record where that can be done."""
        stack, device = self.module.stack, tokens_B1.device
        self.bound, self.graph = state, None
        self.blocks: list[Any] = list(stack.blocks)
        self.caches: list[Any] = [block.mixer for block in state.blocks if block is not None]
        room = self.caches[0].keys.shape[2]
        self.place_1 = torch.tensor([state.read], device=device)
        self.places_S = torch.arange(room, device=device)
        self.tokens_B1 = tokens_B1.clone()
        if stack.positions is not None:
            self.table_SD = stack.positions(0, room)
        if device.type == "cuda":
            self._record(state.read)

    def _record(self, place: int) -> None:
        """A CUDA graph of the step. What the warming up has written at the place is written there again."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.answer()
                self.place_1.fill_(place)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.logits_BV = self.answer()
            self.graph = graph
        except RuntimeError:
            torch.cuda.synchronize()  # a kernel that cannot be recorded: step by step, then
        self.place_1.fill_(place)
