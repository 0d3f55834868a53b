"""Hidden tokens filled in by an encoder.

T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.models.evaluating import evaluating

MASK_NAMES = ("<mask>", "[MASK]")


class Filled(NamedTuple):
    """What may stand at one hidden place: its texts, the likeliest first, and how likely each is."""

    texts: list[str]
    probabilities: list[float]


def fill(module: nn.Module, objective: Any, text: str, *, top: int = 5) -> list[Filled]:
    """For each <mask> in the text, in order, the `top` likeliest tokens. Raises ModelError where there is no <mask>, or
    for a model that was not trained to fill."""
    if not hasattr(objective, "mask") or objective.mask is None:
        raise ModelError("This model fills in nothing.", "Train one: model: bert, objective: mlm")
    tokenizer: Tokenizer = objective.task.tokenizer
    pieces = _cut(text)
    if len(pieces) < 2:
        raise ModelError(
            "There is no <mask> in the text.", 'Write one where a token is to be filled in: "The <mask> is".'
        )
    ids: list[int] = [] if objective.cls is None else [objective.cls]
    for number, piece in enumerate(pieces):
        ids += [objective.mask] if number else []
        ids += tokenizer.encode(piece, add_special_tokens=False).ids
    ids = ids[: objective.task.context - 1] + ([] if objective.sep is None else [objective.sep])
    tokens_BT = torch.tensor([ids], device=device_of(module))
    with torch.no_grad(), evaluating(module):
        logits_TV = module(tokens_BT)[0]
    from nbllm.data.tokenizers import special_ids

    logits_TV = logits_TV.index_fill(
        -1, torch.tensor(sorted(special_ids(tokenizer)), device=logits_TV.device), -torch.inf
    )
    found = []
    for place in (tokens_BT[0] == objective.mask).nonzero().flatten().tolist():
        likely = logits_TV[place].float().softmax(-1).topk(min(top, logits_TV.shape[-1]))
        found.append(Filled([tokenizer.decode([i]) for i in likely.indices.tolist()], likely.values.tolist()))
    return found


def _cut(text: str) -> list[str]:
    for name in MASK_NAMES:
        if name in text:
            return text.split(name)
    return [text]
