"""How well a model expects a text: bits per byte, comparable between tokenizers.

B windows, T tokens of a window, V vocabulary.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.models.evaluating import evaluating

WINDOWS_A_BATCH = 16


def score(module: nn.Module, tokenizer: Tokenizer, text: str, *, context: int) -> float:
    """Bits per UTF-8 byte of the text: the sum of -log2 p(token | tokens before it in its window) / bytes.

    Windows follow each other without overlap, as in the evaluation while training. The first token is scored after
    <eos> where the tokenizer has one; otherwise it and its bytes do not count. Raises ModelError for a text with
    nothing to score.
    """
    encoding = tokenizer.encode(text, add_special_tokens=False)
    ids, size = encoding.ids, len(text.encode())
    from nbllm.data.tokenizers import end_id

    eos = end_id(tokenizer)
    if eos is not None:
        ids = [eos, *ids]
    elif ids:
        size -= len(text[: encoding.offsets[0][1]].encode())
    if len(ids) < 2 or size <= 0:
        raise ModelError("The text is too short to score.", "Give at least two tokens of text.")
    device = device_of(module)
    tokens_N = torch.tensor(ids, device=device)
    whole = (len(ids) - 1) // context
    with evaluating(module), torch.inference_mode():
        nats = 0.0
        for first in range(0, whole, WINDOWS_A_BATCH):
            batch = min(WINDOWS_A_BATCH, whole - first)
            part_N = tokens_N[first * context : (first + batch) * context + 1]
            nats += _nats(module, part_N[:-1].view(batch, context), part_N[1:].view(batch, context))
        rest_N = tokens_N[whole * context :]
        if len(rest_N) > 1:
            nats += _nats(module, rest_N[None, :-1], rest_N[None, 1:])
    return nats / math.log(2) / size


def _nats(module: nn.Module, tokens_BT: torch.Tensor, targets_BT: torch.Tensor) -> float:
    return F.cross_entropy(module(tokens_BT).flatten(0, 1).float(), targets_BT.flatten(), reduction="sum").item()
