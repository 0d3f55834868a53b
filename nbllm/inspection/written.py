"""What each token that a model writes looked at, kept while it writes.

L layers, H heads, W written tokens, K keys: of a text the prompt and the written tokens, of an answer the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.generation.decode import generate
from nbllm.generation.result import Generation
from nbllm.inspection.attention import blocks_of, check_patterns, choose_layers, dtype_of, part_of
from nbllm.inspection.internals import capture
from nbllm.inspection.maps import AttentionMaps
from nbllm.inspection.reading import target_begin
from nbllm.models.answers import ShowsAttention, WritesTarget
from nbllm.models.evaluating import evaluating

USUAL = 50
"""Tokens to write where nobody says."""


def written_maps(
    module: nn.Module,
    objective: Any,
    prompt: str,
    *,
    part: str | None = None,
    layers: Sequence[int] | None = None,
    dtype: str = "float32",
    **settings: Any,
) -> tuple[AttentionMaps, Generation]:
    """Maps with a row a written token: the weights of the place from which it was drawn, over what had been read.

    Of an encoder-decoder the rows look at the source, or with `part="decoder"` at what was written before. `settings`
    are those of `generate`. The text with its prompt has to fit the context. Raises ModelError where it does not, and
    where nothing is written.
    """
    from nbllm.data.tokenizers import end_id, token_strings

    if settings.get("beams"):
        raise ModelError("A beam search writes several texts at once.", "Leave beams out.")
    answers = isinstance(module, WritesTarget)
    part = (part or "cross") if answers else part_of(module, part)
    if answers and part not in ("cross", "decoder"):
        raise ModelError(f"What is written has no part '{part}'.", "Use part='cross' or part='decoder'.")
    task, kind = objective.task, dtype_of(dtype)
    ids = task.tokenizer.encode(prompt, add_special_tokens=False).ids
    end = end_id(task.tokenizer)
    tokenizer = (getattr(objective, "target_tokenizer", None) or task.tokenizer) if answers else task.tokenizer
    if answers:
        read = [*objective.before, *ids[: objective.most], *objective.behind]
        begin = [target_begin(module, objective)]
        settings.setdefault("max_tokens", USUAL)
    else:
        read = begin = ids or [end or 0]
        room = task.context - len(begin) + 1
        if settings.setdefault("max_tokens", max(1, min(USUAL, room))) > room:
            raise ModelError(
                f"The prompt has {len(begin)} tokens, and the context {task.context}: {max(0, room)} can be written.",
                f"Ask for max_tokens={room}." if room > 0 else "Give a shorter prompt.",
            )
    if isinstance(module, ShowsAttention):
        generated = _generated(module, task, prompt, settings)
        rows, places = _afterwards(module, part, read, begin, generated.ids, layers, kind)
        blocks = places
    else:
        names = check_patterns(module, part)
        names = [names[place] for place in choose_layers(blocks_of(names), layers)]
        with capture(module, *names, keep=lambda _, weights: weights[0, :, -1:].to("cpu", kind, copy=True)) as found:
            generated = _generated(module, task, prompt, settings)
        keys = len(read) if part == "cross" else len(begin) + len(generated.ids) - 1
        rows = np.stack([_rows(found.calls(name)[: len(generated.ids)], keys) for name in names])
        blocks = blocks_of(names)
    key_ids = read if part == "cross" else [*begin, *generated.ids[:-1]]
    maps = AttentionMaps(
        rows,
        list(generated.tokens),
        token_strings(task.tokenizer if part == "cross" else tokenizer, key_ids),
        part=part,
        key_ids=key_ids,
        start=0 if part == "cross" else len(begin) - 1,
        written=True,
        blocks=None if blocks == list(range(len(blocks))) else blocks,
    )
    return maps, generated


def _generated(module: nn.Module, task: Any, prompt: str, settings: dict[str, Any]) -> Generation:
    found = generate(module, task.tokenizer, prompt, **{"context": task.context, **settings})[0]
    if not found.ids:
        raise ModelError("The model ended its text before the first token.", "Try another prompt, or a seed.")
    return found


def _rows(steps: list[Tensor], keys: int) -> np.ndarray:
    """Steps of (H, 1, keys read so far) as (H, W, K), zero where nothing had been read yet."""
    out = torch.zeros(steps[0].shape[0], len(steps), keys, dtype=steps[0].dtype)
    for index, step in enumerate(steps):
        out[:, index, : step.shape[-1]] = step[:, 0]
    return out.numpy()


def _afterwards(
    module: Any, part: str, read: list[int], begin: list[int], written: list[int], layers: Any, dtype: torch.dtype
) -> tuple[np.ndarray, list[int]]:
    """The same of a model of transformers, from one pass over all that it has read: its weights are equal, since no
    place sees a later one."""
    device = device_of(module)
    fed = torch.tensor([[*begin, *written[:-1]]], device=device)
    with torch.no_grad(), evaluating(module):
        if isinstance(module, WritesTarget):
            found = module.target_attention(torch.tensor([read], device=device), fed, part=part)  # type: ignore[attr-defined]
        else:
            found = module.attention(fed)
    places = choose_layers(range(len(found)), layers)
    return found[places][:, 0, :, len(begin) - 1 :].to("cpu", dtype).numpy(), places
