"""How likely a model holds a part of each of many texts, given what stands about it: log2 p, text by text.

A language model reads the text up to each token of the part. An encoder sees all of the text but that token and, of
the same part, those behind it, so that the part's tokens multiply as in a chain (Kauf and Ivanova 2023, "A Better Way
to Do Masked Language Model Scoring"); where several parts are asked for, each token is hidden alone, as Salazar et al.
2020 do. Texts of one length are read together, so that nothing is padded.

B rows of a batch, T tokens of a row, V vocabulary.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.inspection.asking import tokens_together
from nbllm.models.answers import FillsMasks, GivesLabels, WritesTarget
from nbllm.models.evaluating import evaluating
from nbllm.models.vae import VAE

Span = tuple[int, int]


class Asked(NamedTuple):
    """A text, the parts of it (from one character to before another) whose likelihood is asked for, and the parts that
    a model must know the words of to be asked."""

    text: str
    spans: tuple[Span, ...]
    needs: tuple[Span, ...] = ()


class _Row(NamedTuple):
    """What is read, and which places answer which tokens of it."""

    owner: int
    tokens: list[int]
    places: list[int]
    answers: list[int]


def span_bits(module: nn.Module, objective: Any, asked: Sequence[Asked]) -> np.ndarray:
    """float64 (texts,): the sum of log2 p over the tokens that reach into the spans of each text.

    NaN where that cannot be said: the vocabulary lacks a token of these parts, the text is longer than the context, or
    no token is in the spans. Raises ModelError for models that neither go on from a text nor fill in.
    """
    if isinstance(module, GivesLabels | WritesTarget | VAE):
        raise ModelError(
            "This model does not say how likely a text is.", "Ask a language model or an encoder: clm or mlm."
        )
    fills = isinstance(module, FillsMasks) or hasattr(objective, "mask")
    if fills and getattr(objective, "mask", None) is None:
        raise ModelError("This model fills in nothing.", "Train one: model: bert, objective: mlm")
    rows: list[_Row] = []
    for owner, each in enumerate(asked):
        rows += _hidden(objective, owner, each) if fills else _next(objective, owner, each)
    found = np.full(len(asked), np.nan)
    for owner in {row.owner for row in rows}:
        found[owner] = 0.0
    with torch.inference_mode(), evaluating(module):
        for owner, bits in _read(module, rows):
            found[owner] += bits
    return found


def _next(objective: Any, owner: int, asked: Asked) -> list[_Row]:
    """One row: the whole text, read after the end of another where the tokenizer has one."""
    from nbllm.data.tokenizers import end_id

    cut = _cut(objective, asked)
    end = end_id(objective.task.tokenizer)
    before = [] if end is None else [end]
    if cut is None or len(cut[0]) + len(before) - 1 > objective.task.context:
        return []
    ids, inside = cut
    read = [*before, *ids]
    answered = [i + len(before) for i in inside if i + len(before) > 0]
    if not answered:
        return []
    return [_Row(owner, read[:-1], [i - 1 for i in answered], [read[i] for i in answered])]


def _hidden(objective: Any, owner: int, asked: Asked) -> list[_Row]:
    """A row a token that is asked for, with that token hidden; of a single part, with those behind it hidden too."""
    cut = _cut(objective, asked)
    before = [] if objective.cls is None else [objective.cls]
    behind = [] if objective.sep is None else [objective.sep]
    if cut is None or len(cut[0]) + len(before) + len(behind) > objective.task.context:
        return []
    ids, inside = cut
    rows = []
    for number, place in enumerate(inside):
        read = [*before, *ids, *behind]
        for other in inside[number:] if len(asked.spans) == 1 else [place]:
            read[other + len(before)] = objective.mask
        rows.append(_Row(owner, read, [place + len(before)], [ids[place]]))
    return rows


def _cut(objective: Any, asked: Asked) -> tuple[list[int], list[int]] | None:
    """The tokens of the text, and which of them reach into the spans; None where one that counts is unknown."""
    from nbllm.data.tokenizers import unknown_id

    tokenizer: Tokenizer = objective.task.tokenizer
    encoding = tokenizer.encode(asked.text, add_special_tokens=False)
    inside = _reaching(encoding.offsets, asked.spans)
    unknown = unknown_id(tokenizer)
    if unknown is not None:
        counts = [*inside, *_reaching(encoding.offsets, asked.needs)]
        if any(encoding.ids[place] == unknown for place in counts):
            return None
    return encoding.ids, inside


def _reaching(offsets: Sequence[Span], spans: Sequence[Span]) -> list[int]:
    """Which tokens reach into the spans."""
    return [
        place
        for place, (start, end) in enumerate(offsets)
        if any(start < last and end > first for first, last in spans)
    ]


def _read(module: nn.Module, rows: list[_Row]) -> list[tuple[int, float]]:
    """The bits of each row, with its owner."""
    device, together = device_of(module), tokens_together(module)
    by_length = defaultdict(list)
    for row in rows:
        by_length[len(row.tokens)].append(row)
    found = []
    for length, alike in by_length.items():
        step = max(1, together // length)
        for start in range(0, len(alike), step):
            batch = alike[start : start + step]
            logits_BTV = module(torch.tensor([row.tokens for row in batch], device=device))
            for number, row in enumerate(batch):
                logits_NV = logits_BTV[number, row.places]
                logs = (logits_NV if logits_NV.dtype == torch.float64 else logits_NV.float()).log_softmax(-1)
                answers = torch.tensor(row.answers, device=device)
                bits = logs.gather(-1, answers[:, None]).sum().item() / math.log(2)
                found.append((row.owner, bits))
    return found
