"""Attention weights, recomputed on demand: the fused kernels that train return none.

L layers, B batch, H heads, T tokens (queries and keys alike), S source tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.inspection.capture import run
from nbllm.inspection.internals import capture, internals
from nbllm.inspection.maps import AttentionMaps, place_of
from nbllm.inspection.reading import Reading, reading
from nbllm.models.answers import ShowsAttention, WritesTarget
from nbllm.models.encoder_decoder import EncoderDecoder
from nbllm.models.evaluating import evaluating
from nbllm.models.mixers.attention import Attention
from nbllm.models.mixers.cross import CrossAttention

PARTS = ("self", "encoder", "decoder", "cross")
_BLOCK = re.compile(r"\bblocks\.(\d+)\.")
DTYPES = {"float32": torch.float32, "float16": torch.float16}


def attention_maps(
    module: nn.Module,
    objective: Any,
    text: str,
    *,
    pair: str = "",
    target: str | None = None,
    part: str | None = None,
    layers: Sequence[int] | None = None,
    dtype: str = "float32",
) -> AttentionMaps:
    """The maps of a text (or a pair), cut to the model's context.

    `part` says which attention, where a network has several: encoder, decoder, or cross, which is what each token of
    the `target` draws from each of the source. Raises ModelError for no text or a model without attention.
    """
    part = part_of(module, part, target)
    kind = dtype_of(dtype)
    if part in ("decoder", "cross") and target is None and isinstance(module, WritesTarget):
        raise ModelError("A decoder reads a target.", "Give target=TEXT, or generate=True for what the model writes.")
    read = reading(module, objective, text, pair, target)
    with torch.no_grad(), evaluating(module):
        weights, numbers = _weights(module, read, part, layers, kind)
    blocks = None if numbers == list(range(len(numbers))) else numbers
    if part in ("decoder", "cross"):
        labels, ids = read.target_labels, read.target
        if part == "cross":
            return AttentionMaps(weights, labels, read.labels, part, read.ids, blocks=blocks)
        return AttentionMaps(weights, labels, part=part, key_ids=ids, blocks=blocks)
    return AttentionMaps(weights, read.labels, part=part, key_ids=read.ids, segments=read.segments, blocks=blocks)


def part_of(module: nn.Module, part: str | None, target: str | None = None) -> str:
    """The part that is meant: that of a single stack is `self`, and of two the encoder, or cross for a target."""
    if part is not None and part not in PARTS:
        raise ModelError(f"There is no part '{part}'.", "Use encoder, decoder or cross.")
    two = isinstance(module, WritesTarget) or hasattr(module, "encoder")
    if two and part in (None, "self"):
        return "encoder" if target is None else "cross"
    if not two and part not in (None, "self"):
        raise ModelError(f"A {type(module).__name__} has one stack and no {part}.", "Leave part out.")
    return part or "self"


def dtype_of(name: str) -> torch.dtype:
    """float32, or float16, which takes half the room and keeps three digits."""
    if name not in DTYPES:
        raise ModelError(f"Attention is kept as float32 or float16, not {name!r}.", 'Use dtype="float16".')
    return DTYPES[name]


def patterns(module: nn.Module, part: str) -> list[str]:
    """The names of the attention patterns of a part of a network of ours, lowest first."""
    kind = CrossAttention if part == "cross" else Attention
    known = internals(module)
    found = [name for name, each in known.items() if name.endswith("pattern") and isinstance(each.part, kind)]
    return [name for name in found if part not in ("encoder", "decoder") or name.startswith(f"{part}.")]


def check_patterns(module: nn.Module, part: str) -> list[str]:
    """The same; ModelError where there are none."""
    found = patterns(module, part)
    if not found and part == "cross" and isinstance(module, EncoderDecoder):
        raise ModelError("This decoder has only its encoder's last state to go by.", "Train with model.cross: dot")
    if not found:
        if part == "encoder" and isinstance(module, EncoderDecoder) and patterns(module, "cross"):
            raise ModelError("The encoder has no attention layers.", "Give target=TEXT: what the decoder looks at.")
        where = f"{part} of the " if part in ("encoder", "decoder") else ""
        raise ModelError(
            f"The {where}{type(module).__name__} has no attention layers, and so no attention weights.",
            _advice(module),
        )
    return found


def blocks_of(names: Sequence[str]) -> list[int]:
    """The blocks that the names of internals stand for: 3 of `encoder.blocks.3.attention.pattern`; in a network that
    knows no blocks their own places."""
    found = [_BLOCK.search(name) for name in names]
    return [index if each is None else int(each[1]) for index, each in enumerate(found)]


def choose_layers(known: Sequence[int], layers: Sequence[int] | None) -> list[int]:
    """The places of the layers that are wanted among those that are there."""
    return list(range(len(known))) if layers is None else [place_of(known, layer) for layer in layers]


def gather(
    module: nn.Module, names: Sequence[str], run: Callable[[], Any], dtype: torch.dtype, row: int | None = None
) -> Tensor:
    """The patterns of these names during a run, or those of one row of the batch, as one tensor. Each is put into its
    place as soon as it is there, so that a long text is held once and not twice."""
    known = internals(module)
    parts = [known[name].part for name in names]
    if all(type(part) is Attention for part in parts):
        return _seen(parts, run, dtype, row)
    place = {name: index for index, name in enumerate(names)}
    found: list[Tensor] = []

    def put(name: str, weights: Tensor) -> Tensor:
        weights = weights if row is None else weights[row]
        if not found:
            found.append(weights.new_empty(len(names), *weights.shape, dtype=dtype))
        found[0][place[name]] = weights
        return weights.new_empty(0)

    with capture(module, *names, dtype=dtype, keep=put):
        run()
    return found[0]


def _seen(mixers: Sequence[Any], run: Callable[[], Any], dtype: torch.dtype, row: int | None) -> Tensor:
    """The same of self-attention: while it runs, the mixers' fused kernel makes way for one that computes the weights
    and goes on with them, so that the scores are computed once and not twice."""
    found: list[Tensor] = []

    def showing(place: int, mixer: Any) -> Callable[..., Any]:
        def attend(q_BHTK: Tensor, k_BJSK: Tensor, v_BJSK: Tensor, *more: Tensor | None) -> Tensor:
            batch, heads, queries, _ = q_BHTK.shape
            shape = (heads, queries, k_BJSK.shape[2])
            if not found:
                whole = shape if row is not None else (batch, *shape)
                found.append(q_BHTK.new_empty(len(mixers), *whole, dtype=dtype))
            own = found[0][place] if row is None else found[0][place][None]
            fits = row is None or batch == 1
            room_BHTS = own if fits else q_BHTK.new_empty(batch, *shape, dtype=dtype)
            y_BHTK = mixer.show(room_BHTS, q_BHTK, k_BJSK, v_BJSK, *more)
            if not fits:
                own.copy_(room_BHTS[row])
            return y_BHTK

        return attend

    try:
        for place, mixer in enumerate(mixers):
            mixer.attend = showing(place, mixer)  # hides the method of that name
        run()
    finally:
        for mixer in mixers:
            vars(mixer).pop("attend", None)
    return found[0]


def _weights(
    module: Any, read: Reading, part: str, layers: Sequence[int] | None, dtype: torch.dtype
) -> tuple[np.ndarray, list[int]]:
    """(L, H, Q, K), and the block of each layer."""
    if isinstance(module, ShowsAttention):
        found = _shown(module, read, part)
        places = choose_layers(range(len(found)), layers)
        return found[places][:, 0].to("cpu", dtype).numpy(), places
    names = check_patterns(module, part)
    names = [names[place] for place in choose_layers(blocks_of(names), layers)]
    found = gather(module, names, lambda: read.run(module), dtype, row=0)
    return found.cpu().numpy(), blocks_of(names)


def _shown(module: Any, read: Reading, part: str) -> Tensor:
    """What a model of transformers tells itself: (L, B, H, Q, K)."""
    device = device_of(module)
    tokens_BT = torch.tensor([read.ids], device=device)
    if part in ("decoder", "cross"):
        return module.target_attention(tokens_BT, torch.tensor([read.target], device=device), part=part)
    segments_BT = None if read.segments is None else torch.tensor([read.segments], device=device)
    return module.attention(tokens_BT, segments_BT=segments_BT)


def attention(module: nn.Module, tokens_BT: Tensor, real_BT: Tensor | None = None) -> Tensor:
    """The weights of every attention layer for these tokens: float32 (L, B, H, T, T). The module is left as it was.

    No place looks at one where `real_BT` is False, which is filling. Raises ModelError where there is no attention.
    """
    if isinstance(module, ShowsAttention):
        with torch.no_grad(), evaluating(module):
            return module.attention(tokens_BT, real_BT).float()
    names = check_patterns(module, part_of(module, None))
    with torch.no_grad(), evaluating(module):
        return gather(module, names, lambda: run(module, tokens_BT, real_BT), torch.float32)


def shows_attention(module: nn.Module) -> bool:
    """Whether the module has attention weights to show for a text."""
    return isinstance(module, ShowsAttention) or bool(patterns(module, part_of(module, None)))


def looks_at_source(module: nn.Module) -> bool:
    """Whether the module is a decoder with attention to a source."""
    if isinstance(module, EncoderDecoder):
        return bool(module.decoder.crosses())
    return isinstance(module, ShowsAttention) and isinstance(module, WritesTarget)


def cross_attention(module: nn.Module, source_BS: Tensor, target_BT: Tensor, real_BS: Tensor | None = None) -> Tensor:
    """The weights with which each layer of a decoder looks at the source: float32 (L, B, H, T, S).

    Raises ModelError where the decoder looks at nothing.
    """
    if not isinstance(module, WritesTarget) or not isinstance(module, nn.Module):
        raise ModelError(f"A {type(module).__name__} looks at no source.", "Use a model of kind seq2seq.")
    if isinstance(module, ShowsAttention):
        with torch.no_grad(), evaluating(module):
            return module.target_attention(source_BS, target_BT, real_BS).float()
    names = check_patterns(module, "cross")
    with torch.no_grad(), evaluating(module):
        return gather(module, names, lambda: module(source_BS, target_BT, real_BS), torch.float32)


def _advice(module: nn.Module) -> str:
    from nbllm.inspection.gates import recurrent_layers

    return (
        "Ask for its gates instead: .gates(text)." if recurrent_layers(module) else "Use a model of kind transformer."
    )


__all__ = [
    "AttentionMaps", "attention", "attention_maps", "cross_attention", "device_of", "looks_at_source",
    "shows_attention",
]  # fmt: skip
