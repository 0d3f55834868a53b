"""Entities in texts: what a tagger marks, and how sure it is.

B texts, T tokens, L tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from nbllm.data.entities import Span
from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.models.answers import MarksTokens
from nbllm.models.evaluating import evaluating
from nbllm.models.huggingface.tags import whole_words

TOGETHER = 64
_CHINESE = 0x2E80  # from here on signs stand for themselves


def mark(module: nn.Module, objective: Any, texts: Sequence[str]) -> list[list[tuple[Span, float]]]:
    """The spans of each text, in characters, with the probability of the tag that each begins with. What lies behind
    the context is not read."""
    if not isinstance(module, MarksTokens):
        raise ModelError("This model marks no tokens.", "Train one: objective: tagging")
    encodings = objective.task.tokenizer.encode_batch(list(texts), add_special_tokens=False)
    order = np.argsort([len(encoding.ids) for encoding in encodings], kind="stable")
    found: list[list[tuple[Span, float]]] = [[] for _ in texts]
    device, ahead = device_of(module), objective.ahead
    with torch.no_grad(), evaluating(module):
        for start in range(0, len(order), TOGETHER):
            chosen = [int(i) for i in order[start : start + TOGETHER] if encodings[int(i)].ids]
            if not chosen:
                continue
            framed = [objective.framed(encodings[i].ids, [])[0] for i in chosen]
            examples = [{"tokens": tokens, "tags": np.ones(len(tokens), dtype=np.int64)} for tokens in framed]
            batch = objective.collate(examples, np.random.default_rng(0))
            logits_BTL = module(batch["tokens"].to(device), batch["real"].to(device))
            sure_BT, tags_BT = (each.cpu().numpy() for each in logits_BTL.float().softmax(-1).max(-1))
            for row, i in enumerate(chosen):
                count = min(len(encodings[i].ids), objective.task.context - (len(framed[row]) - len(encodings[i].ids)))
                offsets = encodings[i].offsets[: max(0, count)]
                tags = tags_BT[row, ahead : ahead + len(offsets)].tolist()
                if getattr(module, "by_word", False):
                    plain = [ord((texts[i][a:b] or " ")[0]) < _CHINESE for a, b in offsets]
                    tags = whole_words(tags, encodings[i].word_ids, plain)
                for place, span in objective.spans(tags, offsets, texts[i]):
                    found[i].append((span, float(sure_BT[row, ahead + place])))
    return found
