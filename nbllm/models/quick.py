"""One further token of each text, for a Transformer on a CPU: the numbers of `LanguageModel.step` with less work.

A small network spends most of a decoded token between its operations, a large one reads its weights. So what can be
done once is done once (the matrices that read the same numbers are joined, the rotary waves of all layers are made by
one product, the scales of queries and keys are part of them), the caches stay where they are, and a single text is
multiplied by `torch.mv`, which reads a matrix as quickly as memory gives it.

B texts, L layers, H query heads, J key heads, K units of a head, D width, S tokens read, V vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbllm.models.blocks import ACTIVATIONS, MLP, Block
from nbllm.models.int8 import Int8Embedding, Int8Linear, times_int8
from nbllm.models.language_model import LanguageModel
from nbllm.models.mixers.attention import Attention
from nbllm.models.norm import RMSNorm
from nbllm.models.stack import State
from nbllm.models.static import Static

JOINED = 4_000_000
"""Weights of the blocks up to which matrices are copied side by side: a large network is busy reading them anyway."""

Product = Callable[[Tensor], Tensor]


def quick(module: nn.Module, rows: int) -> Quick | Static | None:
    """The quick step for so many texts, on a GPU a recorded one where $NBLLM_CUDA_GRAPHS=1 asks for it; None where the
    network is not one that every part is known of, or where its parts are watched (hooks)."""
    if type(module) is not LanguageModel or module.training or _watched(module):
        return None
    tensors = list(module.parameters())
    device = tensors[0].device.type
    if any(each.device.type != device for each in tensors) or len({each.dtype for each in tensors}) != 1:
        return None
    stack = module.stack
    blocks: list[Any] = list(stack.blocks)
    if stack.segment_embedding is not None or not all(_plain(block) for block in blocks):
        return None
    known = [stack.embedding, stack.positions, stack.embedding_norm, stack.norm, module.head.linear]
    if device == "cpu":
        known += [stack.bigrams, stack.smear, stack.mix]
    for block in blocks:
        mixer, mlp = block.mixer, block.mlp
        known += [block.mixer_norm, block.mlp_norm, mixer.query, mixer.key, mixer.value, mixer.out]
        known += [mixer.query_norm, mixer.key_norm] + ([] if mlp is None else [mlp.gate, mlp.up, mlp.down])
    read = {id(parameter) for part in known if part is not None for parameter in part.parameters()}
    if any(id(parameter) not in read for parameter in tensors):
        return None  # a part that is not read here would silently be left out
    if device == "cpu":
        return Quick(module, rows)
    recorded = device == "cuda" and os.environ.get("NBLLM_CUDA_GRAPHS") == "1"  # no GPU was at hand to try it on
    return Static(module, rows) if recorded else None


class Quick:
    """`step` takes one token of each text, and the state that `LanguageModel.step` leaves; either may go on from what
    the other has left. The weights are those of the time it was made."""

    def __init__(self, module: LanguageModel, rows: int):
        stack = module.stack
        self.stack, self.rows = stack, rows
        blocks: list[Any] = list(stack.blocks)
        dtype = next(iter(module.parameters())).dtype
        joined = sum(p.numel() for p in stack.blocks.parameters()) <= JOINED
        self.layers = [_Layer(block, rows, joined, dtype) for block in blocks]
        self.norm, self.mix = _norm(stack.norm, rows), stack.mix
        head = module.head.linear
        self.head = _together([stack.embedding if head is None else head], rows, False)
        self.rope = blocks[0].mixer.rope
        self.scales_L2HK = torch.stack([layer.scales_2HK for layer in self.layers])
        self.bound: State | None = None

    def step(self, tokens_B1: Tensor, state: State) -> tuple[Tensor, State]:
        """The logits after these tokens, logits_BV, and the state, which is the same one."""
        if state is not self.bound:
            self._bind(state)
        place = state.read
        x = self._embed(tokens_B1, state)
        first = x.clone() if self.mix is not None else x
        turns: Any = [None] * len(self.layers)
        if self.rope is not None:
            turns = (self.scales_L2HK * self.waves_S21K[place]).unbind(0)
        for index, layer in enumerate(self.layers):
            if self.mix is not None and index:
                x = self.mix(index, x, first)
            x = layer(x, self.keys[index], self.values[index], place, turns[index])
        for cache in self.caches:
            cache.length = place + 1
        state.read = place + 1
        return self.head(self.norm(x)).view(self.rows, -1), state

    def _bind(self, state: State) -> None:
        """Take over the caches, each (B * J, room, K)."""
        self.caches: list[Any] = [block.mixer for block in state.blocks if block is not None]
        self.keys = [cache.keys.flatten(0, 1) for cache in self.caches]
        self.values = [cache.values.flatten(0, 1) for cache in self.caches]
        if self.rope is not None:
            cos_SK, sin_SK = self.rope.table(0, self.keys[0].shape[1])
            self.waves_S21K = torch.stack((cos_SK, sin_SK), dim=1).unsqueeze(2).to(self.scales_L2HK.dtype)
        self.bound = state

    def _embed(self, tokens_B1: Tensor, state: State) -> Tensor:
        """(B, D), or (D,) of a single text, in room of its own, which is added to."""
        x_B1D, state.before = self.stack.vectors(tokens_B1, state.before)
        x_B1D = self.stack.placed(x_B1D, tokens_B1, state.read, None)
        return x_B1D[0, 0] if self.rows == 1 else x_B1D[:, 0]


class _Layer:
    """A block, one token of each text."""

    def __init__(self, block: Any, rows: int, joined: bool, dtype: torch.dtype):
        mixer: Attention = block.mixer
        self.rows, self.heads, self.key_heads, self.units = rows, mixer.heads, mixer.key_heads, mixer.head_dim
        self.both = mixer.heads + mixer.key_heads
        self.window = mixer.window
        self.normalises = isinstance(mixer.query_norm, RMSNorm)
        self.wide = torch.promote_types(dtype, torch.float32)
        self.least = torch.tensor(getattr(mixer.query_norm, "eps", 0.0), dtype=self.wide)
        self.norm = _norm(block.mixer_norm, rows)
        # Where matrices are joined, rows are there twice: once more with the halves of each head changed for each
        # other, which is what a rotation adds.
        self.twice = joined and mixer.rope is not None
        self.qkv = _together([mixer.query, mixer.key, mixer.value], rows, joined, self._changed if self.twice else None)
        self.out = _onto(mixer.out, rows)
        self.scales_2HK = self._scales(mixer, dtype)
        mlp: MLP | None = block.mlp
        self.mlp_norm = None if mlp is None else _norm(block.mlp_norm, rows)
        if mlp is not None:
            self.gated = mlp.gate is not None
            self.activation = ACTIVATIONS[mlp.activation]
            self.up = _together([mlp.up] if mlp.gate is None else [mlp.gate, mlp.up], rows, joined)
            self.down = _onto(mlp.down, rows)

    def __call__(self, x: Tensor, keys: Tensor, values: Tensor, place: int, turn: Tensor | None) -> Tensor:
        """x after the block; its key and value stand in the caches, (B * J, room, K), at `place`."""
        found = self.qkv(self.norm(x))
        count, units, both = self.rows * self.key_heads, self.units, self.both
        size = both * units
        if turn is None:
            seen = self._normalised(found[..., :size].view(self.rows, 1, both, units), self.scales_2HK[:1])
        else:
            if self.twice:
                pair = found[..., : 2 * size].view(self.rows, 2, both, units)
            else:
                plain = found[..., :size].view(self.rows, both, units)
                pair = torch.stack((plain, plain.roll(units // 2, -1)), dim=1)
            seen = self._normalised(pair, turn)
        queries, key = seen.split((self.heads, self.key_heads), dim=1)
        keys[:, place] = key.reshape(count, units)
        values[:, place] = found[..., -self.key_heads * units :].reshape(count, units)
        start, end = 0 if self.window is None else max(0, place + 1 - self.window), place + 1
        scores = torch.bmm(queries.reshape(count, -1, units), keys[:, start:end].transpose(1, 2))
        y = torch.bmm(scores.softmax(-1), values[:, start:end])
        x = self.out(x, y.view(-1) if self.rows == 1 else y.view(self.rows, -1))
        if self.mlp_norm is None:
            return x
        inside = self.up(self.mlp_norm(x))
        if not self.gated:
            return self.down(x, self.activation(inside))
        gate, up = inside.chunk(2, dim=-1)
        return self.down(x, self.activation(gate) * up)

    def _normalised(self, pair: Tensor, turn: Tensor) -> Tensor:
        """The queries and keys of each text, with their halves changed or without, (B, 2 or 1, H + J, K): normalised a
        head, scaled, and turned; (B, H + J, K)."""
        seen = (pair * turn).sum(1)
        if not self.normalises:
            return seen
        # A norm is a number a head, and so may come last; it is the same with the halves changed.
        length = torch.linalg.vector_norm(pair[:, 0], dim=-1, keepdim=True, dtype=self.wide)
        return seen * torch.addcmul(self.least, length, length, value=1 / self.units).rsqrt_().to(seen.dtype)

    def _scales(self, mixer: Attention, dtype: torch.dtype) -> Tensor:
        """What queries (with 1 / sqrt(K)) and keys are multiplied by; and the same with the halves of a head changed
        for each other, which go with the sines."""
        weights = [
            part.weight.detach() if isinstance(part, RMSNorm) else torch.ones(self.units, dtype=dtype)
            for part in (mixer.query_norm, mixer.key_norm)
        ]
        query = (weights[0] / self.units**0.5).expand(self.heads, -1)
        straight = torch.cat((query, weights[1].expand(self.key_heads, -1)))
        return torch.stack((straight, straight.roll(self.units // 2, -1)))

    def _changed(self, weights: list[Tensor]) -> list[Tensor]:
        """Queries and keys, both once more with the halves of each head changed for each other, and values."""
        query, key, value = weights
        halves = [each.unflatten(0, (-1, self.units)).roll(self.units // 2, 1).flatten(0, 1) for each in (query, key)]
        return [query, key, *halves, value]


def _watched(module: nn.Module) -> bool:
    """Whether someone listens to what the parts do, which are not called here."""
    if torch.nn.modules.module._has_any_global_hook():
        return True
    return any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def _plain(block: Any) -> bool:
    """Whether a block is attention and perhaps an MLP, its norms before, and made of layers of ours or torch's own."""
    if type(block) is not Block or not block.before or block.cross is not None or type(block.mixer) is not Attention:
        return False
    mixer, mlp = block.mixer, block.mlp
    layers = [mixer.query, mixer.key, mixer.value, mixer.out]
    if mlp is not None:
        layers += [layer for layer in (mlp.gate, mlp.up, mlp.down) if layer is not None]
    return (mlp is None or type(mlp) is MLP) and all(type(layer) in (nn.Linear, Int8Linear) for layer in layers)


def _norm(part: nn.Module, rows: int) -> Product:
    """A norm without what calling a module costs."""
    if isinstance(part, RMSNorm):
        weight, eps = part.weight.detach(), part.eps
        if rows > 1:
            return lambda x: F.rms_norm(x, weight.shape, weight, eps)
        size = len(weight)
        # torch's own is five operations on a CPU; that of a single text has its length as a number of Python's.
        return lambda x: (x * weight).mul_((torch.dot(x, x).item() / size + eps) ** -0.5)
    if isinstance(part, nn.LayerNorm):
        return lambda x: F.layer_norm(x, part.normalized_shape, part.weight, part.bias, part.eps)
    assert isinstance(part, nn.Identity), f"a norm that is a {type(part).__name__}"
    return lambda x: x


def _together(
    layers: list[Any], rows: int, joined: bool, arranged: Callable[[list[Tensor]], list[Tensor]] | None = None
) -> Product:
    """x -> the answers of layers that read the same, side by side; by one matrix where they are `joined`."""
    if len(layers) > 1 and not joined:
        each = [_together([layer], rows, False) for layer in layers]
        return lambda x: torch.cat([product(x) for product in each], dim=-1)
    parts = [_tensors(layer) for layer in layers]
    whole: list[Tensor | None] = []
    for tensors in zip(*parts, strict=True):
        given = [tensor for tensor in tensors if tensor is not None]
        whole.append(torch.cat(arranged(given) if arranged else given) if len(given) > 1 else next(iter(given), None))
    return _product(*whole, rows=rows)  # type: ignore[arg-type]


def _tensors(layer: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """weight_ED, the scale of each of its rows where it is int8, and bias_E."""
    bias = getattr(layer, "bias", None)
    scale = layer.scale if isinstance(layer, Int8Linear | Int8Embedding) else None
    weight = layer.int8 if scale is not None else layer.weight.detach()
    return weight, scale, None if bias is None else bias.detach()


def _product(weight_ED: Tensor, scale_E: Tensor | None, bias_E: Tensor | None, *, rows: int) -> Product:
    """x (B, D), or (D,) of a single text -> x W^T + b."""
    if scale_E is not None:
        return lambda x: times_int8(x, weight_ED, scale_E, bias_E)
    if weight_ED.dtype == torch.bfloat16:  # torch's own matrix-vector product is slower in it where a CPU has no AMX
        return lambda x: F.linear(x.view(rows, -1), weight_ED, bias_E).view(*x.shape[:-1], -1)
    if rows > 1:
        return lambda x: F.linear(x, weight_ED, bias_E)
    if bias_E is None:
        return lambda x: torch.mv(weight_ED, x)
    return lambda x: torch.addmv(bias_E, weight_ED, x)


def _onto(layer: Any, rows: int) -> Callable[[Tensor, Tensor], Tensor]:
    """x, y -> x + y W^T + b, written into x."""
    weight_ED, scale_E, bias_E = _tensors(layer)
    if scale_E is not None:
        return lambda x, y: x.add_(times_int8(y, weight_ED, scale_E, bias_E))
    weight_DE = weight_ED.T
    if weight_ED.dtype == torch.bfloat16:
        product = _product(weight_ED, None, bias_E, rows=rows)
        return lambda x, y: x.add_(product(y))

    def add(x: Tensor, y: Tensor) -> Tensor:
        x = x.addmv_(weight_ED, y) if rows == 1 else x.addmm_(y, weight_DE)
        return x if bias_E is None else x.add_(bias_E)

    return add
