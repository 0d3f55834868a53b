"""Self-attention (Vaswani et al. 2017), with grouped queries (Ainslie et al. 2023), a sliding window, rotary positions
and, as in Qwen3, queries and keys normalised a head, each where the configuration says so.

B batch, T queries, S keys, D width, H query heads, J key heads (H a multiple of J), K units of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models import masks, products
from nbllm.models.mixers.base import Memory, Mixer
from nbllm.models.norm import RMSNorm
from nbllm.models.rope import Rope
from nbllm.models.turned import normed_and_turned

_WIDE = (torch.float32, torch.float64)
_CACHED = 1 << 19
"""Scores that are computed at once where weights are shown: two megabytes."""


@dataclass
class Cache:
    """Keys and values of the tokens read so far, in room reserved once: keys_BJSK and values_BJSK; `length` count."""

    keys: torch.Tensor
    values: torch.Tensor
    length: int = 0

    def append(self, keys_BJTK: torch.Tensor, values_BJTK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Write T more tokens; all that count now, as views."""
        start, self.length = self.length, self.length + keys_BJTK.shape[2]
        assert self.length <= self.keys.shape[2], (
            f"a cache for {self.keys.shape[2]} tokens is asked to hold {self.length}"
        )
        self.keys[:, :, start : self.length] = keys_BJTK
        self.values[:, :, start : self.length] = values_BJTK
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]


class Attention(Mixer):
    """softmax(q k^T / sqrt(K)) v over the tokens so far (or, two-way, over all), by torch's fused kernels."""

    unbounded: ClassVar[bool] = False

    def __init__(self, config: ModelConfig, rope: Rope | None, causal: bool = True):
        super().__init__()
        self.heads, self.key_heads, self.head_dim = config.heads, config.key_heads, config.head_dim
        self.rope = rope
        self.causal = causal
        self.window = config.window
        self.query = nn.Linear(config.width, self.heads * self.head_dim, bias=config.bias)
        self.key = nn.Linear(config.width, self.key_heads * self.head_dim, bias=config.bias)
        self.value = nn.Linear(config.width, self.key_heads * self.head_dim, bias=config.bias)
        self.out = nn.Linear(self.heads * self.head_dim, config.width, bias=config.bias)
        self.query_norm = RMSNorm(self.head_dim, config.norm_eps) if config.qk_norm else nn.Identity()
        self.key_norm = RMSNorm(self.head_dim, config.norm_eps) if config.qk_norm else nn.Identity()

    def forward(
        self,
        x_BTD: torch.Tensor,
        *,
        real_BT: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        memory: Memory | None = None,
        state: Cache | None = None,
    ) -> tuple[torch.Tensor, Cache | None]:
        assert memory is None, "self-attention looks at no memory"
        q_BHTK, k_BJSK, v_BJSK = self.project(x_BTD, start=0 if state is None else state.length)
        if state is not None:
            k_BJSK, v_BJSK = state.append(k_BJSK, v_BJSK)
        y_BHTK = self.attend(q_BHTK, k_BJSK, v_BJSK, real_BT, mask)
        return products.through(self.out, y_BHTK.transpose(1, 2).flatten(2)), state

    def attend(
        self,
        q_BHTK: torch.Tensor,
        k_BJSK: torch.Tensor,
        v_BJSK: torch.Tensor,
        real_BS: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """softmax(q k^T / sqrt(K)) v, y_BHTK, by a fused kernel, which shows no weights (`show` does)."""
        queries, keys = q_BHTK.shape[2], k_BJSK.shape[2]
        # The kernels' own causal mask aligns the first query with the first key: right only where both begin together.
        plain = real_BS is None and mask is None and self.window is None and (not self.causal or queries in (1, keys))
        return F.scaled_dot_product_attention(
            q_BHTK,
            k_BJSK,
            v_BJSK,
            None if plain else self.allowed(queries, keys, q_BHTK.device, real_BS, mask),
            is_causal=plain and self.causal and queries > 1,
            enable_gqa=self.heads != self.key_heads,
        )

    def project(self, x_BTD: torch.Tensor, start: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries_BHTK and keys_BJTK, normalised and turned to their places from `start` on, and values_BJTK."""
        if self.rope is not None and self._trains_on_cpu(x_BTD):
            return self._project_together(x_BTD, self.rope, start)
        q_BHTK = self.query_norm(self._split(self.query(x_BTD), self.heads)).transpose(1, 2)
        k_BJTK = self.key_norm(self._split(self.key(x_BTD), self.key_heads)).transpose(1, 2)
        v_BJTK = self._split(self.value(x_BTD), self.key_heads).transpose(1, 2)
        if self.rope is not None:
            q_BHTK, k_BJTK = self.rope(q_BHTK, start), self.rope(k_BJTK, start)
        return q_BHTK, k_BJTK, v_BJTK

    def _trains_on_cpu(self, x_BTD: torch.Tensor) -> bool:
        """Whether one product, with a backward pass of our own behind it, may take the place of the parts: where a
        gradient is wanted, nobody listens to them (hooks), and nothing was put in their place (adapters)."""
        if not torch.is_grad_enabled() or x_BTD.device.type != "cpu" or x_BTD.dtype not in _WIDE:
            return False
        if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling() or self.query.bias is not None:
            return False
        parts = (self.query, self.key, self.value, self.query_norm, self.key_norm, self.rope)
        kinds = (nn.Linear, nn.Linear, nn.Linear, RMSNorm, RMSNorm, Rope)
        return all(type(part) is kind and not products.heard(part) for part, kind in zip(parts, kinds, strict=True))

    def _project_together(
        self, x_BTD: torch.Tensor, rope: Rope, start: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What `project` gives, by one matrix product."""
        assert isinstance(self.query_norm, RMSNorm), "asked for by _trains_on_cpu"
        assert isinstance(self.key_norm, RMSNorm), "asked for by _trains_on_cpu"
        heads, key_heads, tokens = self.heads, self.key_heads, x_BTD.shape[1]
        together = torch.cat((self.query.weight, self.key.weight, self.value.weight))
        multiply = products.product if products.rounds(x_BTD, together) else F.linear
        x_BTNK = self._split(multiply(x_BTD, together), heads + 2 * key_heads)
        scales_NK = torch.cat((self.query_norm.weight.expand(heads, -1), self.key_norm.weight.expand(key_heads, -1)))
        cos_TK, sin_TK = rope.table(start, tokens)
        turned_BTNK = normed_and_turned(
            x_BTNK[:, :, : heads + key_heads], scales_NK, cos_TK, sin_TK, self.query_norm.eps
        )
        q_BTHK, k_BTJK = turned_BTNK[:, :, :heads], turned_BTNK[:, :, heads:]
        v_BTJK = x_BTNK[:, :, heads + key_heads :]
        return q_BTHK.transpose(1, 2), k_BTJK.transpose(1, 2), v_BTJK.transpose(1, 2)

    def allowed(
        self,
        queries: int,
        keys: int,
        device: torch.device,
        real_BS: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Where each of the last `queries` of the `keys` may look. A `mask` takes the place of the causal one: it says
        itself how much of what comes later is seen."""
        found = torch.ones(queries, keys, dtype=torch.bool, device=device)
        if mask is not None:
            found = found & mask
        elif self.causal:
            found = masks.causal(queries, keys, device)
        if self.window is not None:
            found = found & masks.window(queries, keys, self.window, both_ways=not self.causal, device=device)
        return found if real_BS is None else found & masks.padding(real_BS)

    def weights(
        self,
        q_BHTK: torch.Tensor,
        k_BJSK: torch.Tensor,
        real_BS: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> torch.Tensor:
        """weights_BHTS, which the fused kernel never shows, in `dtype` where one is given."""
        batch, heads, queries, _ = q_BHTK.shape
        out_BHTS = q_BHTK.new_empty(batch, heads, queries, k_BJSK.shape[2], dtype=dtype)
        self.show(out_BHTS, q_BHTK, k_BJSK, None, real_BS, mask)
        return out_BHTS

    def show(
        self,
        out_BHTS: torch.Tensor,
        q_BHTK: torch.Tensor,
        k_BJSK: torch.Tensor,
        v_BJSK: torch.Tensor | None,
        real_BS: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """Write the weights into room for them, in its dtype; with values also what `attend` gives, y_BHTK.

        Some queries at a time, so that their scores stay in the processor's cache, and without keys that are out of
        sight anyway: at 1,024 tokens ten times as quick as all at once.
        """
        batch, heads, queries, _ = q_BHTK.shape
        keys = k_BJSK.shape[2]
        before = keys - queries
        k_BHKS = _spread(k_BJSK, self.heads).transpose(2, 3)
        v_BHSK = None if v_BJSK is None else _spread(v_BJSK, self.heads)
        y_BHTK = None if v_BHSK is None else torch.empty_like(q_BHTK)
        plain = real_BS is None and mask is None and self.window is None
        allowed = None if plain else self.allowed(queries, keys, q_BHTK.device, real_BS, mask)
        size = max(16, _CACHED // (batch * heads * keys))
        for start in range(0, queries, size):
            end = min(start + size, queries)
            seen = before + end if self.causal and mask is None else keys
            part, room = slice(start, end), out_BHTS[:, :, start:end, :seen]
            if allowed is not None:
                scores = q_BHTK[:, :, part] @ k_BHKS[..., :seen] / self.head_dim**0.5
                weights = masks.masked_softmax(scores, allowed[..., part, :seen])
            else:
                weights = self._plain_weights(q_BHTK[:, :, part], k_BHKS[..., :seen], room)
            if weights is not room:
                room.copy_(weights)
            if seen < keys:
                out_BHTS[:, :, part, seen:] = 0
            if y_BHTK is not None and v_BHSK is not None:
                y_BHTK[:, :, part] = weights @ v_BHSK[:, :, :seen]
        return y_BHTK

    def _plain_weights(self, q_BHTK: torch.Tensor, k_BHKS: torch.Tensor, room_BHTS: torch.Tensor) -> torch.Tensor:
        """The weights of the last queries over all keys, nothing hidden but the future; in `room` where they fit in."""
        (batch, heads, queries, _), keys = q_BHTK.shape, k_BHKS.shape[3]
        added = _future(queries, keys, q_BHTK.device, q_BHTK.dtype) if self.causal else q_BHTK.new_zeros(1)
        scores = torch.baddbmm(added, q_BHTK.flatten(0, 1), k_BHKS.flatten(0, 1), alpha=self.head_dim**-0.5)
        scores = scores.view(batch, heads, queries, keys)
        if scores.dtype == room_BHTS.dtype and room_BHTS.is_contiguous() and scores.dtype.itemsize >= 4:
            return torch.softmax(scores, -1, out=room_BHTS)
        return (scores if scores.dtype == torch.float64 else scores.float()).softmax(-1).to(scores.dtype)

    def init_state(self, batch: int, length: int, device: torch.device, dtype: torch.dtype) -> Cache:
        assert self.causal, "attention that looks both ways has no state"
        shape = (batch, self.key_heads, length, self.head_dim)
        return Cache(torch.zeros(shape, device=device, dtype=dtype), torch.zeros(shape, device=device, dtype=dtype))

    def select(self, state: Cache, rows_B: torch.Tensor) -> Cache:
        return Cache(state.keys.index_select(0, rows_B), state.values.index_select(0, rows_B), state.length)

    def init_weights(self) -> None:
        """Scaled by fan-in; the way out begins at zero."""
        for layer in (self.query, self.key, self.value):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        nn.init.zeros_(self.out.weight)
        for layer in (self.query, self.key, self.value, self.out):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def _split(self, x_BTE: torch.Tensor, heads: int) -> torch.Tensor:
        return x_BTE.view(*x_BTE.shape[:2], heads, self.head_dim)


@lru_cache(maxsize=4)
def _future(queries: int, keys: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """What is added to scores_TS: -inf where a query, the last of the keys, would see what comes after it."""
    return torch.full((queries, keys), -torch.inf, device=device, dtype=dtype).triu(keys - queries + 1)


def _spread(x_BJSK: torch.Tensor, heads: int) -> torch.Tensor:
    """Each key head repeated for the query heads that share it: x_BHSK."""
    return x_BJSK if x_BJSK.shape[1] == heads else x_BJSK.repeat_interleave(heads // x_BJSK.shape[1], dim=1)
