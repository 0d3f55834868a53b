"""How much arithmetic a model takes, from the configuration alone: no torch, no weights.

Counted are the matrix products, a multiplication and an addition each (so 2 FLOPs a weight and token), as torch's own
counter does (`torch.utils.flop_counter`). Norms, activations, embeddings that are only looked up and the optimizer are
left out. With D the width, V the vocabulary, and r the tokens that a position looks at, a token takes forward

    attention   4 (H + J) K D of the projections (H query heads, J key heads, K units of a head), 4 H K r of the scores
                and the weighted sum
    recurrent   2 G u (D + u) of G gates and u units, each way that is read
    conv        2 k D 2D of k taps and both halves of the gate, 2 D D of the way out
    MLP         2 D M of each of its two matrices, or three where gated
    head        2 D V an answer: of every token, of the hidden ones alone (mlm), or of a text (labels)

r is the whole window where both ways are read, half of it on average where the future is masked, and no more than a
sliding window: what a fused kernel computes. Backward takes twice as much: a product for the gradient of the input, one
for that of the weights (Kaplan et al. 2020, "Scaling laws for neural language models",
https://arxiv.org/abs/2001.08361, section 2.1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from nbllm.config import GOALS, ModelConfig, RunConfig
from nbllm.models.estimate import GATES, Shape, knows

PARTS = ("mixers", "attention", "mlps", "head")
"""mixers are the matrices of attention, recurrence and convolution; attention its scores and weighted sums."""

TRAINING = 3
"""Forward once and backward twice."""

Seen = Literal["allowed", "all"]
Parts = dict[str, float]


def per_token(config: RunConfig, parameters: int, vocab_size: int) -> float:
    """FLOPs of training on one token. Of a network of the user's own only the number of `parameters` is known."""
    if not counts(config) or not vocab_size:
        return 2.0 * TRAINING * parameters
    return TRAINING * sum(forward(config, vocab_size).values())


def counts(config: RunConfig) -> bool:
    """Whether network and objective are ours, so that their products can be counted."""
    return knows(config.model) and config.objective.kind in GOALS


def forward(config: RunConfig, vocab_size: int) -> dict[str, float]:
    """FLOPs a token of a forward pass in training, by part, on average over windows as long as the context.

    Where there are two stacks a token is one of the source or of the target, as the run counts them. ModelError for a
    network that is not ours.
    """
    shape = Shape.of(config, vocab_size)
    source, target = shape.context, shape.target_context or shape.context
    found = row(config, shape, source, target)
    tokens = source + target if shape.head == "target" else source
    return {part: count / tokens for part, count in found.items()}


def row(
    config: RunConfig, shape: Shape, source: int, target: int, answers: float | None = None, seen: Seen = "allowed"
) -> dict[str, float]:
    """FLOPs of a forward pass over one row of `source` tokens (and `target` tokens where there are two stacks).

    `answers` are the places at which the head runs, as many as training asks where not given. `seen="all"` counts what
    masks hide too, as plain products compute it.
    """
    model, head = config.model, shape.head
    answers = _answers(config, head, source, target) if answers is None else answers
    parts: Parts = defaultdict(float)
    width = model.width
    if head in ("target", "latent"):
        encoder, decoder = model.two_stacks()
        _add(parts, _stack(model, encoder, source, causal=not model.two_way_encoder, seen=seen))
        _add(parts, _stack(model, decoder, target, causal=True, seen=seen))
        if head == "target":
            _add(parts, _cross(model, decoder, source, target))
            parts["mixers"] += 2.0 * sum(_bridge(model, a, b) for a, b in zip(encoder, decoder, strict=False))
        else:
            parts["head"] += 2.0 * (width * 2 * model.latent + model.latent * width)
        parts["head"] += 2.0 * answers * width * (shape.target_vocab or shape.vocab)
    else:
        _add(parts, _stack(model, model.stack(), source, causal=not model.bidirectional, seen=seen))
        if head == "next":
            parts["head"] += 2.0 * answers * width * shape.vocab
        elif head == "masked":
            parts["head"] += 2.0 * answers * width * (width + shape.vocab)
            if config.objective.kind == "nsp" or config.objective.next_sentence:
                parts["head"] += 2.0 * width * (width + 2)
        else:
            pooled = width if head == "labels" and model.pooler != "none" else 0
            read = width * (1 + (model.bag and head == "labels"))
            parts["head"] += 2.0 * answers * (read * shape.outputs + width * pooled)
    return {part: float(parts[part]) for part in PARTS}


def _add(parts: Parts, more: Parts) -> None:
    for name, products in more.items():
        parts[name] += products


def _answers(config: RunConfig, head: str, source: int, target: int) -> float:
    """Places of a row at which training lets the head run."""
    if head == "masked":
        return 0.0 if config.objective.kind == "nsp" else source * config.objective.mask_share
    return {"next": source, "tags": source, "ends": source, "target": target, "latent": target}.get(head, 1)


def _stack(model: ModelConfig, mixers: Sequence[str], tokens: int, *, causal: bool, seen: Seen) -> Parts:
    """A forward pass of one stack over a row of so many tokens."""
    parts: Parts = defaultdict(float)
    width = model.width
    for name in mixers:
        if name in GATES:
            units = width if causal else width // 2
            parts["mixers"] += 2.0 * tokens * GATES[name] * units * (width + units) * (1 if causal else 2)
        elif name == "conv":
            parts["mixers"] += 2.0 * tokens * (model.kernel * width * 2 * width + width * width)
        else:
            heads = 2 * model.heads + 2 * model.key_heads
            parts["mixers"] += 2.0 * tokens * heads * model.head_dim * width
            looked = tokens if seen == "all" else _looked_at(model, tokens, causal)
            parts["attention"] += 4.0 * tokens * model.heads * model.head_dim * looked
        gated = model.activation in ("swiglu", "geglu")
        parts["mlps"] += 2.0 * tokens * (3 if gated else 2) * width * model.mlp_of(name)
    return parts


def _cross(model: ModelConfig, decoder: Sequence[str], source: int, target: int) -> Parts:
    """A decoder's looking at what its encoder has read. Additive scores are sums, not products."""
    if model.cross == "none":
        return {}
    looks = sum(name == "attention" or index == len(decoder) - 1 for index, name in enumerate(decoder))
    units = model.heads * model.head_dim
    products = 2 if model.cross == "additive" else 4
    return {
        "mixers": looks * 2.0 * 2 * (source + target) * model.width * units,
        "attention": looks * float(products) * target * units * source,
    }


def _bridge(model: ModelConfig, encoder: str, decoder: str) -> int:
    """Weights between the last state of an encoder's layer and the first of a decoder's."""
    if not {encoder, decoder} <= set(GATES) or (not model.two_way_encoder and encoder == decoder):
        return 0
    return (2 if decoder == "lstm" else 1) * model.width * model.width


def _looked_at(model: ModelConfig, tokens: int, causal: bool) -> float:
    """Tokens that one position looks at, on average over a row of so many."""
    if not causal:
        return float(tokens if model.window is None else _both_sides(model.window, tokens))
    reach = min(model.window or tokens, tokens)
    return reach - reach * (reach - 1) / (2 * tokens)  # the first positions have less to look back at


def _both_sides(window: int, tokens: int) -> float:
    """The same with a sliding window to both sides, less at both ends."""
    reach = min(window, tokens) - 1
    return 1 + 2 * (reach - reach * (reach + 1) / (2 * tokens))
