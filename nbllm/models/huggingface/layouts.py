"""Which of transformers' layouts a network of ours has, so that the same weights give the same numbers.

    rms norms, rope, a gated MLP            Qwen3 with normalised queries and keys, Llama without, Mistral with a window
    layer norms, learned positions          GPT-2
    both ways, norms after                  BERT
    both ways, norms before, rope           ModernBERT
    two stacks                              BART and mBART (learned positions), Marian and Pegasus (sinusoids)

The way back is in `settings`, the weights' names in `names`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nbllm.config import ModelConfig
from nbllm.errors import ModelError
from nbllm.models.estimate import Shape

ADVICE = "It is written as nbllm.load reads it."
GATED = {"swiglu": "silu", "geglu": "gelu"}
PLAIN = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "relu": "relu", "relu2": "relu2", "silu": "silu"}
EPS = 1e-5
"""What torch's layer norm adds to the variance; BART's family has no setting for it."""
# Where the norms stand, how places are told and whether embeddings are normalised, to the layout with two stacks.
TWO_STACKS = {
    ("before", "learned", True): ("mbart", "MBartForConditionalGeneration"),
    ("after", "learned", True): ("bart", "BartForConditionalGeneration"),
    ("before", "sinusoidal", False): ("pegasus", "PegasusForConditionalGeneration"),
    ("after", "sinusoidal", False): ("marian", "MarianMTModel"),
}
_CLASSES = {"qwen3": "Qwen3", "llama": "Llama", "mistral": "Mistral", "gpt2": "GPT2"}


class NoLayout(ModelError):
    """A network that none of transformers' classes computes."""


@dataclass(frozen=True)
class Layout:
    """A class of transformers, the settings of its config.json, and the table of its weights' names (see `names`)."""

    model_type: str
    architecture: str
    table: str
    settings: dict[str, Any] = field(default_factory=dict)


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
    if not config.mlp:
        raise _none("attention without MLPs")
    extras = {
        "a table of token pairs": config.bigrams, "smeared embeddings": config.smear,
        "embeddings mixed into its blocks": config.mix_input, "labels read from a bag of words": config.bag,
    }  # fmt: skip
    if any(extras.values()):
        raise _none(f"a network with {' and '.join(name for name, there in extras.items() if there)}")
    if prefix:
        raise _none("a network that sees its prefix both ways")
    if shape.head in ("tags", "ends"):
        raise _none("a network that marks tokens")
    if shape.head == "target":
        return _two_stacks(config, shape)
    if config.bidirectional:
        return _encoder(config, shape, pairs)
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
    _want(
        config,
        name,
        norm_place="before",
        first_norm=True,
        positions="rope",
        embedding_norm=False,
        embedding_scale=False,
    )
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
        config, "GPT-2", norm_place="before", first_norm=True, positions="learned", bias=True, qk_norm=False,
        window=None, embedding_norm=False, embedding_scale=False,
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


def _encoder(config: ModelConfig, shape: Shape, pairs: bool) -> Layout:
    if shape.head == "labels" and config.pooler == "none":
        raise _none(
            f"a two-way classifier of kind {config.kind} that pools by {config.pooling}",
            "BERT's and ModernBERT's have a layer between: model: bert, with pool: auto",
        )
    return _bert(config, shape, pairs) if config.norm_place == "after" else _modernbert(config, shape, pairs)


def _bert(config: ModelConfig, shape: Shape, pairs: bool) -> Layout:
    _want(
        config, "BERT", norm="layer", positions="learned", bias=True, qk_norm=False, window=None, embedding_norm=True,
        embedding_scale=False,
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


def _modernbert(config: ModelConfig, shape: Shape, pairs: bool) -> Layout:
    if pairs:
        raise _none("an encoder with norms before and a head for the next sentence", "BERT has one: preset: bert")
    _want(
        config, "ModernBERT", norm="layer", positions="rope", qk_norm=False, window=None, embedding_norm=True,
        first_norm=False, embedding_scale=False, segments=False,
    )  # fmt: skip
    if config.activation not in GATED:
        raise _none(f"ModernBERT's layout with activation: {config.activation}", "its MLP is gated: swiglu or geglu")
    _even_heads(config, "ModernBERT")
    rope = {"rope_type": "default", "rope_theta": config.rope_base}
    settings = {
        "vocab_size": shape.vocab,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_of("attention"),
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "hidden_activation": GATED[config.activation],
        "max_position_embeddings": shape.context,
        "norm_eps": config.norm_eps,
        "norm_bias": config.bias,
        "attention_bias": config.bias,
        "mlp_bias": config.bias,
        "classifier_bias": config.bias,
        "decoder_bias": True,
        "layer_types": ["full_attention"] * config.layers,
        "rope_parameters": {"full_attention": rope, "sliding_attention": dict(rope)},
        "attention_dropout": 0.0,
        "embedding_dropout": config.dropout,
        "mlp_dropout": 0.0,
        "classifier_dropout": config.dropout,
        "classifier_activation": "gelu",
        "classifier_pooling": "cls" if config.pooling == "first" else "mean",
        "tie_word_embeddings": config.tied and shape.head == "masked",
    }
    kind = "SequenceClassification" if shape.head == "labels" else "MaskedLM"
    return Layout("modernbert", f"ModernBertFor{kind}", "modernbert", settings)


def _two_stacks(config: ModelConfig, shape: Shape) -> Layout:
    if shape.target_vocab not in (None, shape.vocab):
        raise _none("two vocabularies", "AutoTokenizer reads one: tokenizer.separate: false")
    found = TWO_STACKS.get((config.norm_place, config.positions, config.embedding_norm))
    if found is None:
        raise _none(
            f"two stacks with norm_place: {config.norm_place}, positions: {config.positions} and embedding_norm: "
            f"{str(config.embedding_norm).lower()}",
            "they are learned with embedding_norm, or sinusoidal without",
        )
    _want(
        config, found[1].partition("For")[0].removesuffix("MTModel"), norm="layer", norm_eps=EPS, bias=True,
        first_norm=True, qk_norm=False, window=None, cross="dot", shared_embedding=True,
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


def _want(config: ModelConfig, name: str, **wanted: Any) -> None:
    """NoLayout with the first field that differs from what a layout has."""
    for key, value in wanted.items():
        if getattr(config, key) != value:
            said, has = _word(getattr(config, key)), _word(value)
            raise _none(f"{name}'s layout with {key}: {said}", f"{name} has {key}: {has}")


def _ungated(config: ModelConfig, name: str) -> None:
    if config.activation not in PLAIN:
        raise _none(f"{name}'s layout with activation: {config.activation}", f"{name}'s MLP has no gate")
    _even_heads(config, name)


def _even_heads(config: ModelConfig, name: str) -> None:
    if config.key_heads != config.heads or config.heads * config.head_dim != config.width:
        raise _none(
            f"{name}'s layout with {config.heads} heads of {config.head_dim}, {config.key_heads} of keys",
            "its heads divide the width, as many for keys as for queries",
        )


def _none(what: str, why: str = "") -> NoLayout:
    return NoLayout(f"No class of transformers computes {what}{f' ({why})' if why else ''}.", ADVICE)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else str(value)
