"""The weights of a network under transformers' names, and back under ours: one table a layout serves both ways.

Q, K, V are the matrices of queries, keys and values; a Conv1D of transformers holds its matrix transposed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

# A tensor that is several of ours laid together, along its first axis (transposed: along its last).
Fused = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Table:
    """Ours to theirs. `top` names tensors or the modules they belong to, `heads` the same of each head (next, masked,
    labels, target), `blocks` where the blocks stand, `parts` what stands in one. `turned` are parts that lie transposed
    there; `offset` rows stand before the first place of a table of positions. One of theirs may be two of ours (an
    embedding that two stacks share)."""

    top: Mapping[str, str]
    heads: Mapping[str, Mapping[str, str]]
    blocks: Mapping[str, str]
    parts: Mapping[str, str]
    fused: tuple[Fused, ...] = ()
    turned: frozenset[str] = field(default_factory=frozenset)
    offset: int = 0


POSITIONS = "positions.position_embedding.weight"

_ROTARY = Table(
    top={"stack.embedding": "model.embed_tokens", "stack.norm": "model.norm"},
    heads={"next": {"head.linear": "lm_head"}, "labels": {"head": "score"}},
    blocks={"stack.blocks": "model.layers"},
    parts={
        "mixer_norm": "input_layernorm",
        "mixer.query": "self_attn.q_proj",
        "mixer.key": "self_attn.k_proj",
        "mixer.value": "self_attn.v_proj",
        "mixer.out": "self_attn.o_proj",
        "mixer.query_norm": "self_attn.q_norm",
        "mixer.key_norm": "self_attn.k_norm",
        "mlp_norm": "post_attention_layernorm",
        "mlp.gate": "mlp.gate_proj",
        "mlp.up": "mlp.up_proj",
        "mlp.down": "mlp.down_proj",
    },
)
_GPT2 = Table(
    top={
        "stack.embedding": "transformer.wte", "stack.positions.position_embedding": "transformer.wpe",
        "stack.norm": "transformer.ln_f",
    },
    heads={"next": {"head.linear": "lm_head"}, "labels": {"head": "score"}},
    blocks={"stack.blocks": "transformer.h"},
    parts={
        "mixer_norm": "ln_1", "mixer.out": "attn.c_proj", "mlp_norm": "ln_2", "mlp.up": "mlp.c_fc",
        "mlp.down": "mlp.c_proj",
    },
    fused=(("attn.c_attn", ("mixer.query", "mixer.key", "mixer.value")),),
    turned=frozenset({"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"}),
)  # fmt: skip
_BERT = Table(
    top={
        "stack.embedding": "bert.embeddings.word_embeddings",
        "stack.positions.position_embedding": "bert.embeddings.position_embeddings",
        "stack.segment_embedding": "bert.embeddings.token_type_embeddings",
        "stack.embedding_norm": "bert.embeddings.LayerNorm",
    },
    heads={
        "masked": {
            "head.transform": "cls.predictions.transform.dense",
            "head.norm": "cls.predictions.transform.LayerNorm",
            "head.linear": "cls.predictions.decoder",
            "head.bias": "cls.predictions.bias",
            "pair_head.pool": "bert.pooler.dense",
            "pair_head.answer": "cls.seq_relationship",
        },
        "labels": {"pooler.linear": "bert.pooler.dense", "head": "classifier"},
    },
    blocks={"stack.blocks": "bert.encoder.layer"},
    parts={
        "mixer.query": "attention.self.query",
        "mixer.key": "attention.self.key",
        "mixer.value": "attention.self.value",
        "mixer.out": "attention.output.dense",
        "mixer_norm": "attention.output.LayerNorm",
        "mlp.up": "intermediate.dense",
        "mlp.down": "output.dense",
        "mlp_norm": "output.LayerNorm",
    },
)
_MODERNBERT = Table(
    top={
        "stack.embedding": "model.embeddings.tok_embeddings",
        "stack.embedding_norm": "model.embeddings.norm",
        "stack.norm": "model.final_norm",
    },
    heads={
        "masked": {
            "head.transform": "head.dense",
            "head.norm": "head.norm",
            "head.linear": "decoder",
            "head.bias": "decoder.bias",
        },
        "labels": {"pooler.linear": "head.dense", "pooler.norm": "head.norm", "head": "classifier"},
    },
    blocks={"stack.blocks": "model.layers"},
    parts={"mixer_norm": "attn_norm", "mixer.out": "attn.Wo", "mlp_norm": "mlp_norm", "mlp.down": "mlp.Wo"},
    fused=(
        ("attn.Wqkv", ("mixer.query", "mixer.key", "mixer.value")),
        ("mlp.Wi", ("mlp.gate", "mlp.up")),
    ),
)
_STACK = {
    "mixer.query": "self_attn.q_proj",
    "mixer.key": "self_attn.k_proj",
    "mixer.value": "self_attn.v_proj",
    "mixer.out": "self_attn.out_proj",
    "mixer_norm": "self_attn_layer_norm",
    "cross.query": "encoder_attn.q_proj",
    "cross.key": "encoder_attn.k_proj",
    "cross.value": "encoder_attn.v_proj",
    "cross.out": "encoder_attn.out_proj",
    "cross_norm": "encoder_attn_layer_norm",
    "mlp.up": "fc1",
    "mlp.down": "fc2",
    "mlp_norm": "final_layer_norm",
}
_BART = Table(
    top={
        "encoder.embedding": "model.shared",
        "decoder.embedding": "model.shared",
        **{
            f"{side}.{ours}": f"model.{side}.{theirs}"
            for side in ("encoder", "decoder")
            for ours, theirs in (
                ("positions.position_embedding", "embed_positions"),
                ("embedding_norm", "layernorm_embedding"),
                ("norm", "layer_norm"),
            )
        },
    },
    heads={"target": {"head.linear": "lm_head"}},
    blocks={"encoder.blocks": "model.encoder.layers", "decoder.blocks": "model.decoder.layers"},
    parts=_STACK,
    offset=2,
)
TABLES = {"rotary": _ROTARY, "gpt2": _GPT2, "bert": _BERT, "modernbert": _MODERNBERT, "bart": _BART}


def to_theirs(tensors: Mapping[str, Tensor], table: str, head: str) -> dict[str, Tensor]:
    """The tensors under transformers' names, turned, joined and shifted as they lie there."""
    names = TABLES[table]
    top = {**names.top, **names.heads[head]}
    found: dict[str, Tensor] = {}
    joined: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        place, part, leaf = _place(name, names.blocks)
        if part is None:
            theirs = _top(name, top)
            if name.endswith(POSITIONS) and names.offset:
                tensor = torch.cat((tensor.new_zeros(names.offset, tensor.shape[1]), tensor))
            found[theirs] = tensor
            continue
        whole = next((whole for whole, parts in names.fused if part in parts), None)
        if whole is not None:
            joined.setdefault(f"{place}.{whole}.{leaf}", {})[part] = tensor
        elif part in names.parts:
            theirs = names.parts[part]
            found[f"{place}.{theirs}.{leaf}"] = _turned(tensor, theirs, leaf, names)
        else:
            raise AssertionError(f"'{name}' has no name in the layout {table}")
    for theirs, pieces in joined.items():
        whole, parts = next((w, p) for w, p in names.fused if f".{w}." in theirs)
        found[theirs] = _turned(torch.cat([pieces[part] for part in parts]), whole, theirs.rpartition(".")[2], names)
    return {name: tensor.detach().contiguous() for name, tensor in found.items()}


def to_ours(tensors: Mapping[str, Tensor], table: str, head: str) -> dict[str, Tensor]:
    """The tensors under our names. Those that our network has no use for are left out."""
    names = TABLES[table]
    top = {**names.top, **names.heads[head]}
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        for ours, theirs in top.items():
            whole, _, leaf = name.rpartition(".")
            if name == theirs or whole == theirs:
                known = ours if name == theirs else f"{ours}.{leaf}"
                shifted = names.offset if known.endswith(POSITIONS) else 0
                found[known] = tensor[shifted:]
        place, part, leaf = _place(name, {theirs: ours for ours, theirs in names.blocks.items()})
        if part is None:
            continue
        for ours, theirs in names.parts.items():
            if part == theirs:
                found[f"{place}.{ours}.{leaf}"] = _turned(tensor, theirs, leaf, names)
        for theirs, parts in names.fused:
            if part == theirs:
                pieces = _turned(tensor, theirs, leaf, names).chunk(len(parts))
                found |= {f"{place}.{ours}.{leaf}": piece for ours, piece in zip(parts, pieces, strict=True)}
    return found


def _turned(tensor: Tensor, part: str, leaf: str, names: Table) -> Tensor:
    return tensor.T if part in names.turned and leaf == "weight" else tensor


def _place(name: str, blocks: Mapping[str, str]) -> tuple[str, str | None, str]:
    """A tensor of a block as its place on the other side, its part and its leaf; the part is None for another's."""
    for here, there in blocks.items():
        if name.startswith(here + "."):
            index, _, rest = name.removeprefix(here + ".").partition(".")
            part, _, leaf = rest.rpartition(".")
            return f"{there}.{index}", part, leaf
    return name, None, ""


def _top(name: str, top: Mapping[str, str]) -> str:
    if name in top:
        return top[name]
    module, _, leaf = name.rpartition(".")
    if module not in top:
        raise AssertionError(f"'{name}' has no name in transformers")
    return f"{top[module]}.{leaf}"


def untied(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Each tensor once, by its first name: what a file of weights holds."""
    seen: set[tuple[int, torch.Size]] = set()
    for name, tensor in tensors.items():
        key = (tensor.data_ptr(), tensor.shape)
        if tensor.numel() and key in seen:
            continue
        seen.add(key)
        yield name, tensor
