"""How much arithmetic a training takes, from the configuration alone: no torch, no weights.

    FLOPs = tokens * (6 N + 12 w r)

    N   parameters that every token is multiplied with: all but embedding tables that are only looked up (a tied table
        is multiplied too, as the head)
    w   heads * units of a head
    r   tokens that a position looks at, summed over the attention layers: the whole window both ways, half of it on
        average where the future is masked, no more than the sliding window

6 is a multiplication and an addition, forward once and backward twice; the scores and the weighted sum of attention are
two such products, so 12. Kaplan et al., Scaling laws for neural language models (2020), https://arxiv.org/abs/2001.08361,
section 2.1. It is a guide to compare runs by, for it leaves out norms, activations and the optimizer; of a network with
two stacks it takes each token through both.
"""

from __future__ import annotations

from nbllm.config import ModelConfig, RunConfig
from nbllm.registry import MODELS

TWO_STACKS = ("seq2seq", "vae")


def per_token(config: RunConfig, parameters: int, vocab_size: int) -> float:
    """Floating-point operations of training on one token. Of a network of the user's own only `parameters` is known."""
    model = config.model
    if not MODELS.is_builtin(model.kind) or model.kind == "huggingface":
        return 6.0 * parameters
    tables = 2 if model.kind in TWO_STACKS and not model.shared_embedding else 1
    looked_up = (tables - model.tied) * vocab_size * model.width
    return 6.0 * (parameters - looked_up) + 12.0 * model.heads * model.head_dim * _looked_at(
        model, config.train.context
    )


def _looked_at(model: ModelConfig, context: int) -> float:
    """Tokens that one position looks at, on average over the window, summed over the attention layers."""
    both_ways = float(context)
    reach = min(model.window or context, context)
    masked = reach - reach * (reach - 1) / (2 * context)  # the first positions have less to look back at
    if model.kind in TWO_STACKS:
        encoder, decoder = (stack.count("attention") for stack in model.two_stacks())
        crossed = both_ways if model.kind == "seq2seq" and model.cross != "none" else 0.0
        return encoder * both_ways + decoder * (masked + crossed)
    return model.stack().count("attention") * (both_ways if model.bidirectional else masked)
