"""The families of models and the objectives: what each is, which go together, and what is set where nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from nbllm.registry import OBJECTIVES


@dataclass(frozen=True)
class Goal:
    """What an objective wants: its data, its columns, the model's head, and the families that can learn it.

    data: `stream` is a corpus cut into windows, `sentences` a corpus cut into sentences, `rows` a table.
    """

    data: Literal["stream", "sentences", "rows"]
    head: str
    kinds: frozenset[str]
    columns: tuple[str, ...] = ()
    two_way: bool = False
    """Whether it is meant for networks that read both ways."""
    source: str = "python-docs"
    """The built-in data where none is named."""


STACKS = frozenset({"rnn", "lstm", "gru", "cnn", "transformer", "hybrid"})

GOALS: dict[str, Goal] = {
    "clm": Goal("stream", "next", STACKS | {"huggingface"}),
    "prefix-lm": Goal("stream", "next", frozenset({"transformer"})),
    "mlm": Goal("stream", "masked", STACKS | {"bert", "huggingface"}, two_way=True),
    "nsp": Goal("sentences", "masked", STACKS | {"bert"}, two_way=True),
    "seq2seq": Goal("rows", "target", frozenset({"seq2seq", "huggingface"}), ("source", "target"), source="date-pairs"),
    "span": Goal("stream", "target", frozenset({"seq2seq", "huggingface"})),
    "classification": Goal(
        "rows", "labels", STACKS | {"bert", "huggingface"}, ("text", "label"), two_way=True, source="python-topics"
    ),
    "tagging": Goal("rows", "tags", STACKS | {"bert", "huggingface"}, ("text", "spans"), two_way=True, source="events"),
    "answer-span": Goal(
        "rows", "ends", frozenset({"bert", "huggingface"}), ("source", "target"), two_way=True, source="qa"
    ),
    "elbo": Goal("sentences", "latent", frozenset({"vae"})),
}

_EVERY = {"kind", "layers", "width", "dropout", "tied", "bias", "norm", "norm_place", "norm_eps", "positions"}
_EVERY |= {"embedding_norm", "first_norm", "embedding_scale", "mlp", "mlp_width", "activation"}
_ATTENTION = {"heads", "kv_heads", "head_width", "qk_norm", "rope_base", "window"}
_EXTRAS = {"bigrams", "smear", "mix_input"}  # what no published layout has: see the preset `fast`
_POOLED = {"pool", "bag"}  # of a network that gives a text a label
_RECURRENT = {"plain", "bidirectional", *_POOLED}
_CONV = {"kernel", "dilations", "plain", "bidirectional", *_POOLED}
_TWO = {"encoder", "decoder", "shared_embedding", "nonlinearity"}


@dataclass(frozen=True)
class Family:
    """A kind of model: the fields it knows, the objective it is made for, and its defaults by dotted key."""

    fields: frozenset[str]
    objective: str = "clm"
    defaults: dict[str, Any] = field(default_factory=dict)


# Encoders and encoder-decoders follow ModernBERT (Warner et al. 2024) and mBART, so that they have a home in
# transformers. Rotary positions learn several times sooner here than BERT's own learned ones: see the preset `bert`.
_ENCODER = {
    "model.bidirectional": True, "model.norm": "layer", "model.norm_eps": 1e-5, "model.activation": "geglu",
    "model.qk_norm": False, "model.embedding_norm": True, "model.first_norm": False,
}  # fmt: skip
_MBART = {
    "model.positions": "learned", "model.norm": "layer", "model.norm_eps": 1e-5, "model.bias": True,
    "model.activation": "gelu", "model.qk_norm": False, "model.embedding_norm": True,
}  # fmt: skip

FAMILIES: dict[str, Family] = {
    "transformer": Family(frozenset(_EVERY | _ATTENTION | _EXTRAS | _POOLED | {"bidirectional"})),
    "rnn": Family(frozenset(_EVERY | _RECURRENT | {"nonlinearity"})),
    "lstm": Family(frozenset(_EVERY | _RECURRENT)),
    "gru": Family(frozenset(_EVERY | _RECURRENT)),
    "cnn": Family(frozenset(_EVERY | _CONV), defaults={"model.bias": True}),
    "hybrid": Family(frozenset(_EVERY | _ATTENTION | _RECURRENT | _CONV | {"blocks", "nonlinearity"})),
    "bert": Family(frozenset(_EVERY | _ATTENTION | _POOLED | {"bidirectional", "segments"}), "mlm", _ENCODER),
    "seq2seq": Family(
        frozenset(_EVERY | _ATTENTION | _RECURRENT | _CONV | _TWO | {"cross"}) - _POOLED, "seq2seq", _MBART
    ),
    "vae": Family(
        frozenset(_EVERY | _ATTENTION | _RECURRENT | _CONV | _TWO | {"latent"}),
        "elbo",
    ),
    "huggingface": Family(frozenset({"kind", "options"})),
}


def goal_of(objective: Any) -> Goal:
    """What the objective of a configuration wants; one registered in a cell says it by its class's `goal`."""
    goal = GOALS.get(objective.kind)
    if goal is None:
        goal = getattr(OBJECTIVES.get(objective.kind), "goal", GOALS["clm"])
    assert isinstance(goal, Goal), "an objective says by its `goal` what data it wants"
    pairs = objective.kind == "mlm" and objective.next_sentence
    return replace(goal, data="sentences") if pairs else goal


def usual(kind: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a family sets where nothing is said, by dotted key; `asked` is what was said."""
    family = FAMILIES.get(kind)
    if family is None:
        return {}
    objective = str(asked.get("objective.kind") or family.objective)
    found: dict[str, Any] = {"objective.kind": objective, **family.defaults}
    goal = GOALS.get(objective)
    if goal:
        found["data.source"] = goal.source
    if objective == "answer-span":
        found["data.source_column"] = "context+question"
    if goal and goal.two_way and kind in STACKS and not asked.get("model.plain"):
        found["model.bidirectional"] = True
    if asked.get("model.positions") == "sinusoidal" and "embedding_scale" in family.fields:
        found["model.embedding_scale"] = True  # as in Vaswani et al. 2017: small embeddings would drown in the waves
    stacks = [asked[key] for key in ("model.encoder", "model.decoder") if asked.get(key)]
    if kind == "seq2seq" and stacks and not any("attention" in str(stack) for stack in stacks):
        found["model.positions"] = "none"  # recurrent and convolutional layers know the order
    return found
