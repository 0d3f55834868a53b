"""Answers of an encoder-decoder to many sources at once.

B sources, S tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.begin import ANSWERS, Beginning, device_of
from nbllm.generation.decode import result, write
from nbllm.generation.reader import TargetReader
from nbllm.generation.result import Generation
from nbllm.generation.sampling import Sampler
from nbllm.models.answers import WritesTarget


def answer(
    module: nn.Module,
    objective: Any,
    sources: Sequence[str],
    *,
    max_tokens: int | None = None,
    temperature: float = 0.0,
    seed: int | None = None,
) -> list[Generation]:
    """The answer to each source, the likeliest token at a time unless a temperature is given; a source is cut to the
    context, and an answer to `max_tokens` or the model's own room. The same as `generate` says to each alone.

    Raises ModelError for a model that answers no source, and for a source without a token.
    """
    from nbllm.data.tokenizers import end_id, source_frame

    if not isinstance(module, WritesTarget):
        raise ModelError("This model answers no source.", "Use a model of kind seq2seq.")
    task, device = objective.task, device_of(module)
    before, behind = source_frame(task.tokenizer)
    most = task.context - len(before) - len(behind)
    framed = []
    for encoding in task.tokenizer.encode_batch(list(sources), add_special_tokens=False):
        if not encoding.ids:
            raise ModelError("There is no source to go from.", "Give texts that are not empty.")
        framed.append([*before, *encoding.ids[:most], *behind])
    if not framed:
        return []
    longest = max(map(len, framed))
    source_BS = torch.tensor([each + [0] * (longest - len(each)) for each in framed], device=device)
    lengths_B = torch.tensor([len(each) for each in framed], device=device)
    real_BS = torch.arange(longest, device=device) < lengths_B[:, None]
    out = task.target_tokenizer or task.tokenizer
    begins = end_id(out) or 0
    room = min(max_tokens or 10**9, task.target_context or task.context)
    reader = TargetReader(module, source_BS, room, None if bool(real_BS.all()) else real_BS)
    first_BT = torch.full((len(framed), 1), begins, device=device)
    beginning = Beginning(reader, first_BT, out, begins, room, ANSWERS)
    found = write(module, beginning, room, Sampler(temperature), seed)
    return [result(source, pieces, out, 0.0, None, ANSWERS) for source, pieces in zip(sources, found, strict=True)]
