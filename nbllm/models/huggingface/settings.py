"""From a config.json of transformers to the fields of our model section, for `--from hf:... --model transformer`.

Read from the file as it stands, without transformers; what a file leaves out has the default of its class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbllm.models.huggingface.layouts import EPS, TWO_STACKS, NoLayout

ADVICE = "Leave model out: it then trains as it is."
_GATED = {"silu": "swiglu", "swish": "swiglu", "gelu": "geglu"}
_PLAIN = {
    "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu", "silu": "silu",
    "swish": "silu",
}  # fmt: skip


def ours(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of our model section from a config.json of theirs. NoLayout where our core has no such network."""
    kind = str(settings.get("model_type"))
    readers = {
        "qwen3": _from_rotary, "llama": _from_rotary, "mistral": _from_rotary, "gpt2": _from_gpt2, "bert": _from_bert,
        "modernbert": _from_modernbert,
        **{each: _from_two_stacks for each, _ in TWO_STACKS.values()},
    }  # fmt: skip
    if kind not in readers:
        raise NoLayout(
            f"A model of type '{kind}' is none that nbllm's own core computes.",
            f"It knows {', '.join(sorted(readers))}. {ADVICE}",
        )
    return readers[kind](kind, settings)


def _from_rotary(kind: str, s: Mapping[str, Any]) -> dict[str, Any]:
    rope = s.get("rope_parameters") or s.get("rope_scaling") or {}
    rope_type = rope.get("rope_type", rope.get("type", "default"))
    _same(kind, rope_type=(rope_type, "default"), partial_rotary_factor=(rope.get("partial_rotary_factor", 1.0), 1.0))
    biases = bool(s.get("attention_bias", False))
    _same(kind, mlp_bias=(bool(s.get("mlp_bias", False)), biases))
    heads = int(s["num_attention_heads"])
    window = s.get("sliding_window") if kind == "mistral" or s.get("use_sliding_window") else None
    if kind == "qwen3" and window and set(s.get("layer_types") or ["sliding_attention"]) != {"sliding_attention"}:
        raise NoLayout("It mixes layers with and without a window.", ADVICE)
    return {
        "kind": "transformer",
        "layers": s["num_hidden_layers"],
        "width": s["hidden_size"],
        "heads": heads,
        "kv_heads": s.get("num_key_value_heads") or heads,
        "head_width": s.get("head_dim") or (128 if kind == "qwen3" else int(s["hidden_size"]) // heads),
        "window": window,
        "qk_norm": kind == "qwen3",
        "positions": "rope",
        "rope_base": float(rope.get("rope_theta", s.get("rope_theta", 10_000.0))),
        "mlp_width": s["intermediate_size"],
        "activation": _activation(kind, s.get("hidden_act", "silu"), _GATED),
        "norm": "rms",
        "norm_place": "before",
        "norm_eps": s.get("rms_norm_eps", 1e-6),
        "bias": biases,
        "tied": bool(s.get("tie_word_embeddings", False)),
    }


def _from_gpt2(kind: str, s: Mapping[str, Any]) -> dict[str, Any]:
    _same(
        kind,
        scale_attn_weights=(s.get("scale_attn_weights", True), True),
        scale_attn_by_inverse_layer_idx=(s.get("scale_attn_by_inverse_layer_idx", False), False),
    )
    return {
        "kind": "transformer",
        "layers": s["n_layer"],
        "width": s["n_embd"],
        "heads": s["n_head"],
        "qk_norm": False,
        "positions": "learned",
        "mlp_width": s.get("n_inner") or 4 * int(s["n_embd"]),
        "activation": _activation(kind, s.get("activation_function", "gelu_new"), _PLAIN),
        "norm": "layer",
        "norm_place": "before",
        "norm_eps": s.get("layer_norm_epsilon", 1e-5),
        "bias": True,
        "tied": bool(s.get("tie_word_embeddings", True)),
    }


def _from_bert(kind: str, s: Mapping[str, Any]) -> dict[str, Any]:
    _same(
        kind,
        type_vocab_size=(s.get("type_vocab_size", 2), 2),
        position_embedding_type=(s.get("position_embedding_type", "absolute"), "absolute"),
        is_decoder=(s.get("is_decoder", False), False),
    )
    return {
        "kind": "bert",
        "layers": s["num_hidden_layers"],
        "width": s["hidden_size"],
        "heads": s["num_attention_heads"],
        "positions": "learned",
        "norm_place": "after",
        "bias": True,
        "first_norm": True,
        "segments": True,
        "mlp_width": s["intermediate_size"],
        "activation": _activation(kind, s.get("hidden_act", "gelu"), _PLAIN),
        "norm_eps": s.get("layer_norm_eps", 1e-12),
        "tied": bool(s.get("tie_word_embeddings", True)),
    }


def _from_modernbert(kind: str, s: Mapping[str, Any]) -> dict[str, Any]:
    every = s.get("global_attn_every_n_layers", 1 if s.get("layer_types") else 3)
    types = set(s.get("layer_types") or ["full_attention", *(["sliding_attention"] if every > 1 else [])])
    rope = s.get("rope_parameters") or {}
    base = (rope.get("full_attention") or {}).get("rope_theta", s.get("global_rope_theta", 160_000.0))
    biases = bool(s.get("attention_bias", False))
    _same(
        kind,
        layer_types=(sorted(types), ["full_attention"]),
        norm_bias=(bool(s.get("norm_bias", False)), biases),
        mlp_bias=(bool(s.get("mlp_bias", False)), biases),
        classifier_bias=(bool(s.get("classifier_bias", False)), biases),
        classifier_activation=(s.get("classifier_activation", "gelu"), "gelu"),
    )
    return {
        "kind": "bert",
        "layers": s["num_hidden_layers"],
        "width": s["hidden_size"],
        "heads": s["num_attention_heads"],
        "rope_base": float(base),
        "mlp_width": s["intermediate_size"],
        "activation": _activation(kind, s.get("hidden_activation", "gelu"), _GATED),
        "norm_eps": s.get("norm_eps", 1e-5),
        "bias": biases,
        "pool": "mean" if s.get("classifier_pooling", "cls") == "mean" else "first",
        "tied": bool(s.get("tie_word_embeddings", True)),
    }


def _from_two_stacks(kind: str, s: Mapping[str, Any]) -> dict[str, Any]:
    place, positions, embedding_norm = next(key for key, (each, _) in TWO_STACKS.items() if each == kind)
    _same(
        kind,
        decoder_attention_heads=(s["decoder_attention_heads"], s["encoder_attention_heads"]),
        decoder_ffn_dim=(s["decoder_ffn_dim"], s["encoder_ffn_dim"]),
        share_encoder_decoder_embeddings=(s.get("share_encoder_decoder_embeddings", True), True),
    )
    return {
        "kind": "seq2seq",
        "encoder": ["attention"] * int(s["encoder_layers"]),
        "decoder": ["attention"] * int(s["decoder_layers"]),
        "width": s["d_model"],
        "heads": s["encoder_attention_heads"],
        "qk_norm": False,
        "positions": positions,
        "mlp_width": s["encoder_ffn_dim"],
        "activation": _activation(kind, s.get("activation_function", "gelu"), _PLAIN),
        "norm": "layer",
        "norm_place": place,
        "norm_eps": EPS,
        "bias": True,
        "embedding_norm": embedding_norm,
        "embedding_scale": bool(s.get("scale_embedding", False)),
        "tied": bool(s.get("tie_word_embeddings", True)),
    }


def _activation(kind: str, name: Any, table: Mapping[str, str]) -> str:
    if name not in table:
        raise NoLayout(f"Its activation '{name}' is none that our {kind} has.", ADVICE)
    return table[str(name)]


def _same(kind: str, **values: tuple[Any, Any]) -> None:
    for name, (said, has) in values.items():
        if said != has:
            raise NoLayout(
                f"Its {name} is {said}, and our core computes {kind} with {has} alone.",
                ADVICE,
            )
