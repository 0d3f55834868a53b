"""Which of transformers' layouts a network of ours has, so that the same weights give the same numbers; and the way back.

    layout(config, shape)  ours to theirs: the class, and what its config.json says
    ours(settings)         a config.json of theirs to the fields of our model section

    rms norms, rope, a gated MLP             Qwen3 with normalised queries and keys, Llama without, Mistral with a window
    layer norms, learned positions           GPT-2
    the same both ways, norms after          BERT
    two stacks                               BART and mBART (learned positions), Marian and Pegasus (sinusoids)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbllm.config import ModelConfig
from nbllm.errors import ModelError
from nbllm.models.estimate import Shape

OURS_FIRST = "It is written as nbllm.load reads it."
GATED = {"swiglu": "silu", "geglu": "gelu"}
PLAIN = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "relu": "relu", "silu": "silu"}
_GATED_BACK = {"silu": "swiglu", "swish": "swiglu", "gelu": "geglu"}
_PLAIN_BACK = {
    "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu", "silu": "silu",
    "swish": "silu",
}  # fmt: skip
_SEQ2SEQ_EPS = 1e-5
"""What torch's layer norm adds to the variance; BART's family has no setting for it."""
# Where the norms stand and how places are told, to the layout with two stacks.
_TWO_STACKS = {
    ("before", "learned", True): ("mbart", "MBartForConditionalGeneration"),
    ("after", "learned", True): ("bart", "BartForConditionalGeneration"),
    ("before", "sinusoidal", False): ("pegasus", "PegasusForConditionalGeneration"),
    ("after", "sinusoidal", False): ("marian", "MarianMTModel"),
}
_CLASSES = {"qwen3": "Qwen3", "llama": "Llama", "mistral": "Mistral", "gpt2": "GPT2", "bert": "Bert"}


class NoLayout(ModelError):
    """A network that none of transformers' classes computes."""


@dataclass(frozen=True)
class Layout:
    """A class of transformers, the settings of its config.json, and the table of its weights' names (see `names`)."""

    model_type: str
    architecture: str
    table: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def auto_class(self) -> str:
        """The class of transformers that finds this one by its config.json."""
        return AUTO_CLASSES[_ending(self.architecture)]


AUTO_CLASSES = {
    "ForCausalLM": "AutoModelForCausalLM",
    "LMHeadModel": "AutoModelForCausalLM",
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForPreTraining": "AutoModelForPreTraining",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForConditionalGeneration": "AutoModelForSeq2SeqLM",
    "ForSeq2SeqLM": "AutoModelForSeq2SeqLM",
    "MTModel": "AutoModelForSeq2SeqLM",
    "WithLMHeadModel": "AutoModelForMaskedLM",
}


def _ending(architecture: str) -> str:
    return next((ending for ending in AUTO_CLASSES if architecture.endswith(ending)), "")


# ---- ours to theirs


def layout(config: ModelConfig, shape: Shape, *, pairs: bool = False, prefix: bool = False) -> Layout:
    """The layout of a network with the head of `shape`; `pairs` keeps BERT's head for the next sentence, and `prefix`
    says that it was trained to see a prefix both ways. Raises NoLayout with the reason where there is none."""
    if shape.head == "latent":
        raise _none("a variational autoencoder")
    foreign = config.all_mixers() - {"attention"}
    if foreign:
        raise _none(f"a network with {' and '.join(sorted(foreign))} layers")
    if config.plain:
        raise _none("attention without residuals and norms")
    if prefix:
        raise _none("a network that sees its prefix both ways")
    if shape.head == "target":
        return _two_stacks(config, shape)
    if config.bidirectional:
        return _bert(config, shape, pairs)
    if shape.head == "masked":
        raise _none("a network that reads one way and fills in hidden tokens")
    return _decoder(config, shape)


def _decoder(config: ModelConfig, shape: Shape) -> Layout:
    if shape.head == "labels" and config.pool not in ("auto", "last"):
        raise _none(f"a one-way classifier that pools by {config.pool}")
    found = _gpt2(config, shape) if config.norm == "layer" else _rotary(config, shape)
    name = _CLASSES[found.model_type]
    causal = "GPT2LMHeadModel" if name == "GPT2" else f"{name}ForCausalLM"
    return Layout(
        found.model_type,
        f"{name}ForSequenceClassification" if shape.head == "labels" else causal,
        found.table,
        found.settings,
    )


def _rotary(config: ModelConfig, shape: Shape) -> Layout:
    """Qwen3, Llama or Mistral."""
    # Llama wants heads that divide the width and has no window; Mistral has both, and no biases.
    free = config.window is not None or config.heads * config.head_dim != config.width
    kind = "qwen3" if config.qk_norm else "mistral" if free else "llama"
    name = _CLASSES[kind]
    _want(config, name, norm_place="before", positions="rope", embedding_norm=False, embedding_scale=False)
    if config.activation not in GATED:
        raise _none(f"{name}'s layout with activation: {config.activation}", f"{name} has swiglu or geglu")
    if config.bias and kind != "llama":
        raise _none(f"{name}'s layout with biases", "Llama's alone has them, with qk_norm: false")
    settings: dict[str, Any] = {
        "vocab_size": shape.vocab,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_of("attention"),
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_heads,
        "head_dim": config.head_dim,
        "hidden_act": GATED[config.activation],
        "max_position_embeddings": shape.context,
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "tie_word_embeddings": config.tied and shape.head == "next",
        "attention_dropout": 0.0,
    }
    if kind == "llama":
        settings |= {"attention_bias": config.bias, "mlp_bias": config.bias}
    if kind == "qwen3":
        settings |= {"attention_bias": False, "use_sliding_window": config.window is not None}
        settings |= {"sliding_window": config.window, "max_window_layers": 0}
    if kind == "mistral":
        settings["sliding_window"] = config.window
    return Layout(kind, "", "rotary", settings)


def _gpt2(config: ModelConfig, shape: Shape) -> Layout:
    _want(
        config, "GPT-2", norm_place="before", positions="learned", bias=True, qk_norm=False, window=None,
        embedding_norm=False, embedding_scale=False,
    )  # fmt: skip
    _ungated(config, "GPT-2")
    settings = {
        "vocab_size": shape.vocab,
        "n_positions": shape.context,
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads,
        "n_inner": config.mlp_of("attention"),
        "activation_function": PLAIN[config.activation],
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": 0.0,
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied and shape.head == "next",
    }
    return Layout("gpt2", "", "gpt2", settings)


def _bert(config: ModelConfig, shape: Shape, pairs: bool) -> Layout:
    if shape.head == "labels" and not reads_first(config):
        raise _none(
            f"a classifier that pools by {config.pool if config.pool != 'auto' else 'mean'}",
            "BERT's reads its first token: pool: first, with model: bert",
        )
    _want(
        config, "BERT", norm="layer", norm_place="after", positions="learned", bias=True, qk_norm=False, window=None,
        embedding_norm=True, embedding_scale=False,
    )  # fmt: skip
    _ungated(config, "BERT")
    settings = {
        "vocab_size": shape.vocab,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp_of("attention"),
        "hidden_act": PLAIN[config.activation],
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": shape.context,
        "type_vocab_size": 2,
        "layer_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied and shape.head == "masked",
    }
    kind = "SequenceClassification" if shape.head == "labels" else "PreTraining" if pairs else "MaskedLM"
    return Layout("bert", f"BertFor{kind}", "bert", settings)


def _two_stacks(config: ModelConfig, shape: Shape) -> Layout:
    if shape.target_vocab not in (None, shape.vocab):
        raise _none("two vocabularies", "AutoTokenizer reads one: tokenizer.separate: false")
    found = _TWO_STACKS.get((config.norm_place, config.positions, config.embedding_norm))
    if found is None:
        raise _none(
            f"two stacks with norm_place: {config.norm_place}, positions: {config.positions} and embedding_norm: "
            f"{str(config.embedding_norm).lower()}",
            "they are learned with embedding_norm, or sinusoidal without",
        )
    _want(
        config, found[1].partition("For")[0].removesuffix("MTModel"), norm="layer", norm_eps=_SEQ2SEQ_EPS, bias=True,
        qk_norm=False, window=None, cross="dot", shared_embedding=True,
    )  # fmt: skip
    _ungated(config, found[1])
    encoder, decoder = config.two_stacks()
    units = config.mlp_of("attention")
    settings = {
        "vocab_size": shape.vocab,
        "d_model": config.width,
        "encoder_layers": len(encoder),
        "decoder_layers": len(decoder),
        "encoder_attention_heads": config.heads,
        "decoder_attention_heads": config.heads,
        "encoder_ffn_dim": units,
        "decoder_ffn_dim": units,
        "activation_function": PLAIN[config.activation],
        "dropout": config.dropout,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "max_position_embeddings": max(shape.context, shape.target_context or 0),
        "scale_embedding": config.embedding_scale,
        "tie_word_embeddings": config.tied,
        "is_encoder_decoder": True,
        "forced_eos_token_id": None,
        "forced_bos_token_id": None,
    }
    return Layout(*found, "bart", settings)


def reads_first(config: ModelConfig) -> bool:
    """Whether a classifier of ours reads the first token through BERT's pooler (see `classifier`)."""
    return config.kind == "bert" and config.pool in ("auto", "first")


def _want(config: ModelConfig, name: str, **wanted: Any) -> None:
    """NoLayout with the first field that differs from what a layout has."""
    for key, value in wanted.items():
        if getattr(config, key) != value:
            said, has = _word(getattr(config, key)), _word(value)
            raise _none(f"{name}'s layout with {key}: {said}", f"{name} has {key}: {has}")


def _ungated(config: ModelConfig, name: str) -> None:
    if config.activation not in PLAIN:
        raise _none(f"{name}'s layout with activation: {config.activation}", f"{name}'s MLP has no gate")
    if config.key_heads != config.heads or config.heads * config.head_dim != config.width:
        raise _none(
            f"{name}'s layout with {config.heads} heads of {config.head_dim}, {config.key_heads} of keys",
            "its heads divide the width, as many for keys as for queries",
        )


def _none(what: str, why: str = "") -> NoLayout:
    return NoLayout(f"No class of transformers computes {what}{f' ({why})' if why else ''}.", OURS_FIRST)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else str(value)


# ---- theirs to ours


def ours(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of our model section from a config.json of theirs. NoLayout where our core has no such network."""
    kind = str(settings.get("model_type"))
    readers = {
        "qwen3": _from_rotary, "llama": _from_rotary, "mistral": _from_rotary, "gpt2": _from_gpt2, "bert": _from_bert,
        **{each: _from_two_stacks for each, _ in _TWO_STACKS.values()},
    }  # fmt: skip
    if kind not in readers:
        raise NoLayout(
            f"A model of type '{kind}' is none that nbllm's own core computes.",
            f"It knows {', '.join(sorted(readers))}. Leave model out: it then trains as it is.",
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
        raise NoLayout("It mixes layers with and without a window.", "Leave model out: it then trains as it is.")
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
        "activation": _activation(kind, s.get("hidden_act", "silu"), _GATED_BACK),
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
        "activation": _activation(kind, s.get("activation_function", "gelu_new"), _PLAIN_BACK),
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
        "mlp_width": s["intermediate_size"],
        "activation": _activation(kind, s.get("hidden_act", "gelu"), _PLAIN_BACK),
        "norm_eps": s.get("layer_norm_eps", 1e-12),
        "tied": bool(s.get("tie_word_embeddings", True)),
    }


def _from_two_stacks(kind: str, s: Mapping[str, Any]) -> dict[str, Any]:
    place, positions, embedding_norm = next(key for key, (each, _) in _TWO_STACKS.items() if each == kind)
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
        "activation": _activation(kind, s.get("activation_function", "gelu"), _PLAIN_BACK),
        "norm": "layer",
        "norm_place": place,
        "norm_eps": _SEQ2SEQ_EPS,
        "bias": True,
        "embedding_norm": embedding_norm,
        "embedding_scale": bool(s.get("scale_embedding", False)),
        "tied": bool(s.get("tie_word_embeddings", True)),
    }


def _activation(kind: str, name: Any, table: Mapping[str, str]) -> str:
    if name not in table:
        raise NoLayout(
            f"Its activation '{name}' is none that our {kind} has.", "Leave model out: it then trains as it is."
        )
    return table[str(name)]


def _same(kind: str, **values: tuple[Any, Any]) -> None:
    for name, (said, has) in values.items():
        if said != has:
            raise NoLayout(
                f"Its {name} is {said}, and our core computes {kind} with {has} alone.",
                "Leave model out: it then trains as it is.",
            )
