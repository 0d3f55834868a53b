"""The answer that stands in a text, by a model that marks where it begins and ends.

B windows, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.models.answers import MarksAnswer
from nbllm.models.evaluating import evaluating

TOGETHER = 32
LONGEST = 30  # tokens of an answer


class Found(NamedTuple):
    """Where an answer stands, in characters (start == end: the text holds none), and how likely both ends are."""

    start: int
    end: int
    probability: float


def find(module: nn.Module, objective: Any, texts: Sequence[str], questions: Sequence[str]) -> list[Found]:
    """The likeliest answer to each question in its text: of all places start <= end of a window that with the highest
    sum of logits, of all windows the best. The text holds none where the first place has more in every window
    (Rajpurkar et al. 2018; Devlin et al. 2019, section 4.3)."""
    if not isinstance(module, MarksAnswer):
        raise ModelError("This model marks no answer.", "Train one: objective: answer-span")
    windows = [
        (row, window)
        for row, (text, question) in enumerate(zip(texts, questions, strict=True))
        for window in objective.windows(text, " ".join(question.split()))
    ]
    best: dict[int, tuple[float, Found]] = {}
    nothing: dict[int, tuple[float, float]] = {}
    windows.sort(key=lambda each: len(each[1].tokens))
    device = device_of(module)
    with torch.no_grad(), evaluating(module):
        for start in range(0, len(windows), TOGETHER):
            part = windows[start : start + TOGETHER]
            examples = [
                {"tokens": np.array(w.tokens), "segments": np.array(w.segments), "ends": np.zeros(2, int)}
                for _, w in part
            ]
            batch = objective.collate(examples, np.random.default_rng(0))
            logits_BT2 = module(*(batch[name].to(device) for name in ("tokens", "real", "segments")))
            real_BT1 = batch["real"].to(device).unsqueeze(-1)
            logits_BT2 = logits_BT2.float().masked_fill(~real_BT1, -torch.inf)
            logs_BT2 = logits_BT2.log_softmax(1).cpu().numpy()
            for (row, window), logits_T2, logs_T2 in zip(part, logits_BT2.cpu().numpy(), logs_BT2, strict=True):
                none = float(logits_T2[0].sum()), float(np.exp(logs_T2[0].sum()))
                nothing[row] = min(nothing.get(row, none), none)
                score, first, last = _likeliest(logits_T2, window.ahead, len(window.offsets))
                if row not in best or score > best[row][0]:
                    sure = float(np.exp(logs_T2[first, 0] + logs_T2[last, 1]))
                    a, b = window.offsets[first - window.ahead][0], window.offsets[last - window.ahead][1]
                    best[row] = (score, Found(a, b, sure))
    found = []
    for row in range(len(texts)):
        if row not in best:  # neither text nor question has a token
            found.append(Found(0, 0, 1.0))
        elif nothing[row][0] >= best[row][0]:
            found.append(Found(0, 0, nothing[row][1]))
        else:
            found.append(_trimmed(texts[row], best[row][1]))
    return found


def _trimmed(text: str, found: Found) -> Found:
    """Without the white space that a token has at its ends."""
    part = text[found.start : found.end]
    start = found.start + len(part) - len(part.lstrip())
    return Found(start, max(start, found.end - (len(part) - len(part.rstrip()))), found.probability)


def _likeliest(logits_T2: np.ndarray, ahead: int, count: int) -> tuple[float, int, int]:
    """The sum of logits of the best pair of places of the text, and the two."""
    starts, ends = logits_T2[ahead : ahead + count, 0], logits_T2[ahead : ahead + count, 1]
    sums = starts[:, None] + ends[None, :]
    allowed = np.triu(np.ones((count, count), dtype=bool)) & ~np.triu(np.ones((count, count), dtype=bool), LONGEST)
    place = int(np.where(allowed, sums, -np.inf).argmax())
    return float(sums.flat[place]), ahead + place // count, ahead + place % count
