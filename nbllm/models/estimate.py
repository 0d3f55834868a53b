"""How large a model is and how much memory its training takes, from the configuration alone: no torch, no weights.

Counts are exact (tested against the modules). Memory is an estimate of what training holds at its peak: the weights,
a gradient each, the optimizer's moments, and the numbers kept for the backward pass.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from nbllm.config import GOALS, ModelConfig, RunConfig, goal_of
from nbllm.errors import ModelError
from nbllm.registry import MODELS

FLOAT = 4
"""Bytes of a float32, which weights, gradients and moments are kept in."""

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


KEPT = {"rnn": 1, "gru": 7, "lstm": 20, "conv": 3}
"""Numbers a token and unit that a mixer keeps for the backward pass, or holds in it, as measured on a CPU (see
nbllm/training/footprint.py): torch's LSTM keeps a workspace of its own."""


@dataclass(frozen=True)
class Shape:
    """What is not in the model's section: vocabularies, contexts, the head and its labels."""

    vocab: int
    context: int = 64
    head: str = "next"
    target_vocab: int | None = None
    target_context: int | None = None
    outputs: int = 0

    @classmethod
    def of(cls, config: RunConfig, vocab: int) -> Shape:
        """The shape that a run's configuration asks for."""
        labels, goal = config.objective.labels or [], goal_of(config.objective)
        one = config.objective.answer == "sigmoid" and len(labels) == 2 and not config.objective.multi_label
        apart = vocab if config.tokenizer.separate else None
        outputs = 1 + 2 * (len(labels) or 2) if goal.head == "tags" else 1 if one else len(labels) or 2
        return cls(vocab, config.train.context, goal.head, apart, config.train.target_context, outputs)


def knows(config: ModelConfig) -> bool:
    """Whether the model is of a family of ours, whose parameters can be counted before it is built."""
    return MODELS.is_builtin(config.kind) and config.kind != "huggingface"


def parameters(config: ModelConfig, shape: Shape | int) -> dict[str, int]:
    """Parameters by part (embedding, positions, mixers, mlps, norms, head) and in all (total).

    Raises ModelError for a kind of the user's own, or of Hugging Face.
    """
    if not knows(config):
        raise ModelError(f"The parameters of '{config.kind}' are known once it is built.", "Count module.parameters().")
    if isinstance(shape, int):
        shape = Shape(shape)
    parts: Counter[str] = Counter(dict.fromkeys(("embedding", "positions", "mixers", "mlps", "norms", "head"), 0))
    width = config.width
    if shape.head in ("target", "latent"):
        encoder, decoder = config.two_stacks()
        target_vocab = shape.target_vocab or shape.vocab
        target_context = shape.target_context or shape.context
        parts += _stack(config, encoder, shape.vocab, shape.context, causal=not config.two_way_encoder)
        cross = shape.head == "target"
        parts += _stack(config, decoder, target_vocab, target_context, causal=True, cross=cross)
        if config.shared_embedding and target_vocab == shape.vocab:
            parts["embedding"] -= width * target_vocab
        parts["head"] += _vocabulary_head(config, target_vocab)
        if cross:
            parts["mixers"] += sum(
                _bridge(config, a, b) for a, b in zip(encoder, decoder, strict=False) if {a, b} <= set(GATES)
            )
        else:
            parts["head"] += width * 2 * config.latent + 2 * config.latent + config.latent * width + width
    else:
        parts += _stack(config, config.stack(), shape.vocab, shape.context, causal=not config.bidirectional)
        if shape.head == "next":
            parts["head"] += _vocabulary_head(config, shape.vocab)
        elif shape.head == "masked":
            parts["head"] += width * width + width * config.bias + _norm(config)  # transform and norm
            parts["head"] += shape.vocab  # a bias a token
            parts["head"] += 0 if config.tied else width * shape.vocab
            parts["head"] += width * width + width + 2 * width + 2  # the pair's pooler and answer
        else:
            read = width * (1 + (config.bag and shape.head == "labels"))
            parts["head"] += read * shape.outputs + shape.outputs * config.labels_bias
            if config.pooler != "none" and shape.head == "labels":
                parts["head"] += width * width + width * (config.pooler == "bert" or config.bias)
                parts["head"] += _norm(config) if config.pooler == "modernbert" else 0
    found = {name: parts[name] for name in ("embedding", "positions", "mixers", "mlps", "norms", "head")}
    return {**found, "total": sum(found.values())}


def memory(config: RunConfig, vocab_size: int) -> dict[str, int]:
    """Bytes that training holds at its peak: weights, gradients, optimizer, activations, total.

    The runtime itself (torch and its libraries, about 0.3 GB) is not counted.
    """
    shape = Shape.of(config, vocab_size)
    count = parameters(config.model, shape)
    hidden = hidden_matrices(config.model, shape) if config.train.optimizer == "muon" else 0
    moments = hidden + 2 * (count["total"] - hidden)
    parts = {
        "weights": FLOAT * count["total"],
        "gradients": FLOAT * count["total"],
        "optimizer": FLOAT * moments,
        "activations": _activations(config, vocab_size),
    }
    return {**parts, "total": sum(parts.values())}


def hidden_matrices(config: ModelConfig, shape: Shape) -> int:
    """Parameters that Muon takes, with one moment each: matrices inside the blocks, but for those of recurrence and the
    taps of convolutions."""
    width, units = config.width, config.heads * config.head_dim
    two = shape.head in ("target", "latent")
    stacks = config.two_stacks() if two else (config.stack(),)
    found = 0
    for number, mixers in enumerate(stacks):
        for index, name in enumerate(mixers):
            found += (3 if config.activation in ("swiglu", "geglu") else 2) * width * config.mlp_of(name)
            if name == "conv":
                found += width * width
            elif name == "attention":
                found += 2 * width * (units + config.key_heads * config.head_dim)
            looks = shape.head == "target" and number == 1 and config.cross != "none"
            found += 4 * width * units if looks and (name == "attention" or index == len(mixers) - 1) else 0
    if shape.head == "target":
        pairs = [(a, b) for a, b in zip(*config.two_stacks(), strict=False) if {a, b} <= set(GATES)]
        found += sum(_bridge(config, a, b) // (width + 1) * width for a, b in pairs)
    elif shape.head == "latent":
        found += 3 * width * config.latent
    elif shape.head == "labels" and config.pooler != "none":
        found += width * width
    return found


def cache(config: RunConfig) -> int:
    """Bytes of what one text takes while it is written: keys and values of a whole context, recurrent states, and the
    last tokens that convolutions reach over. 0 where a model writes nothing."""
    model, head = config.model, GOALS.get(config.objective.kind, GOALS["clm"]).head
    if head in ("masked", "labels", "tags", "ends"):
        return 0
    two = head in ("target", "latent")
    mixers = model.two_stacks()[1] if two else model.stack()
    source, context = config.train.context, config.train.context
    if head == "target":
        context = config.train.target_context or context
    kept = 0
    for index, name in enumerate(mixers):
        if name in GATES:
            kept += model.width * (2 if name == "lstm" else 1)
        elif name == "conv":
            kept += model.width * (model.kernel - 1) * model.dilation(index)
        else:
            kept += 2 * context * model.key_heads * model.head_dim
        if head == "target" and model.cross != "none" and (name == "attention" or index == len(mixers) - 1):
            kept += 2 * source * model.heads * model.head_dim
    return FLOAT * kept


def _stack(
    config: ModelConfig, mixers: list[str], vocab: int, context: int, *, causal: bool, cross: bool = False
) -> Counter[str]:
    """The parameters of one stack."""
    width, norm = config.width, _norm(config)
    parts: Counter[str] = Counter(embedding=vocab * width)
    parts["positions"] += context * width if config.positions == "learned" else 0
    parts["positions"] += 2 * width if config.segments and not causal else 0
    parts["embedding"] += width * config.pair_rows(vocab) + width * config.smear
    parts["embedding"] += 2 * (len(mixers) - 1) * config.mix_input
    parts["norms"] += norm if config.embedding_norm else 0
    for index, name in enumerate(mixers):
        looks = cross and config.cross != "none" and (name == "attention" or index == len(mixers) - 1)
        mlp = config.mlp_of(name)
        parts["mixers"] += _mixer(config, name, causal) + (_cross(config) if looks else 0)
        if mlp:
            matrices = 3 if config.activation in ("swiglu", "geglu") else 2
            biases = (matrices - 1) * mlp + width if config.bias else 0
            parts["mlps"] += matrices * width * mlp + biases
        if not config.plain:
            parts["norms"] += norm * (1 + looks + bool(mlp) - (index == 0 and not config.first_norm))
            if name == "attention" and config.qk_norm:
                parts["norms"] += 2 * config.head_dim
        elif name == "attention" and config.qk_norm:
            parts["norms"] += 2 * config.head_dim
    if not config.plain and config.norm_place == "before":
        parts["norms"] += norm
    return parts


def _mixer(config: ModelConfig, name: str, causal: bool) -> int:
    width = config.width
    if name in GATES:
        units = width if causal else width // 2
        return (1 if causal else 2) * GATES[name] * units * (width + units + 2)
    if name == "conv":
        biases = 3 * width if config.bias else 0
        return config.kernel * width * 2 * width + width * width + biases
    queries, keys = config.heads * config.head_dim, config.key_heads * config.head_dim
    biases = queries + 2 * keys + width if config.bias else 0
    return 2 * width * queries + 2 * width * keys + biases


def _cross(config: ModelConfig) -> int:
    units = config.heads * config.head_dim
    biases = 3 * units + config.width if config.bias else 0
    return 4 * config.width * units + biases + (units if config.cross == "additive" else 0)


def _bridge(config: ModelConfig, encoder: str, decoder: str) -> int:
    if not config.two_way_encoder and encoder == decoder:
        return 0
    return (2 if decoder == "lstm" else 1) * (config.width * config.width + config.width)


def _norm(config: ModelConfig) -> int:
    return config.width * (2 if config.norm == "layer" and config.bias else 1)


def _vocabulary_head(config: ModelConfig, vocab: int) -> int:
    return 0 if config.tied else vocab * (config.width + config.plain)


def _activations(config: RunConfig, vocab_size: int) -> int:
    """Bytes kept for the backward pass of one micro-batch, counted from what each layer's backward reads."""
    model, head = config.model, GOALS.get(config.objective.kind, GOALS["clm"]).head
    tokens = config.train.batch_size // config.train.accumulate * config.train.context
    mixers = [*model.two_stacks()[0], *model.two_stacks()[1]] if head in ("target", "latent") else model.stack()
    width = model.width
    queries, keys = model.heads * model.head_dim, model.key_heads * model.head_dim
    kept = 0
    for name in mixers:
        mlp = model.mlp_of(name)
        norm = 0 if model.plain else 2 * width  # the norm's input and output
        if name in KEPT:
            kept += KEPT[name] * width + norm
        else:
            kept += 2 * width + 2 * queries + 2 * keys  # norm's input and output; turned q and k, v, kernel's output
            kept += queries + keys if model.qk_norm else 0  # q and k before their norms
        kept += 2 * width + 4 * mlp if mlp else 0  # gate, up, silu(gate) and their product
    number = 2 if config.train.precision == "bf16" else FLOAT
    dropped = 2 * width * len(mixers) if model.dropout else 0  # masks
    answers = {"labels": 0.0, "tags": 0.0, "ends": 0.0, "masked": config.objective.mask_share}.get(head, 1.0)
    logits = 3 * vocab_size * answers  # the logits, their log-softmax and its gradient, always float32
    return int(tokens * (number * (kept + dropped + 2 * width) + FLOAT * logits))
