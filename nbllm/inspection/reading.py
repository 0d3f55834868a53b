"""What a model reads for a text, or for a pair of them, in the frame that it was trained in.

B batch (one), T tokens, S source tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.models.answers import GivesLabels, ShowsAttention, WritesTarget
from nbllm.models.vae import VAE


@dataclass(frozen=True)
class Reading:
    """ids (and of a pair the segment of each, 0 or 1) of what is read; `target` is what a decoder reads beside it."""

    ids: list[int]
    tokenizer: Tokenizer
    segments: list[int] | None = None
    target: list[int] | None = None
    target_tokenizer: Tokenizer | None = None

    @property
    def labels(self) -> list[str]:
        """A readable label a token that is read."""
        return _labels(self.tokenizer, self.ids)

    @property
    def target_labels(self) -> list[str]:
        """A readable label a token of the target."""
        return _labels(self.target_tokenizer or self.tokenizer, self.target or [])

    def run(self, module: Any) -> None:
        """Let the module read it, all of it, once."""
        device = device_of(module)
        tokens_BT = torch.tensor([self.ids], device=device)
        if self.target is not None:
            target_BT = torch.tensor([self.target], device=device)
            if isinstance(module, VAE):
                module(tokens_BT, inputs_BT=target_BT)
            else:
                module(tokens_BT, target_BT)
        elif isinstance(module, ShowsAttention) and not isinstance(module, WritesTarget):
            given: Any = module  # the library's own model, for one without a head has nothing else to call
            segments_BT = None if self.segments is None else torch.tensor([self.segments], device=device)
            given.model(**given.framed(tokens_BT, None, segments_BT))
        elif self.segments is not None:
            segments_BT = torch.tensor([self.segments], device=device)
            module(tokens_BT, torch.ones_like(tokens_BT, dtype=torch.bool), segments_BT)
        elif isinstance(module, WritesTarget):  # nothing but a source: the encoder alone
            whole: Any = module
            encoder = whole.model.get_encoder() if isinstance(module, ShowsAttention) else whole.encoder
            encoder(tokens_BT)
        else:
            module(tokens_BT)


def reading(module: nn.Module, objective: Any, text: str, pair: str = "", target: str | None = None) -> Reading:
    """A text, or a pair, as the model is given it: a classifier and an encoder with the frame that their tokenizer has,
    a language model as it is, an encoder-decoder a source and, where one is given, a target. Cut to the context.

    Raises ModelError for no text, and for a pair or a target that the model does not read.
    """
    tokenizer, context = objective.task.tokenizer, objective.task.context
    first = _ids(tokenizer, text)
    if not first:
        raise ModelError("There is no text to look at.", 'Give some, as in .attention("To be, or not").')
    second = _ids(tokenizer, pair) if pair else []
    two = isinstance(module, WritesTarget)
    if target is not None and not two:
        raise ModelError("This model reads no target.", "Leave it out; a second text of a pair is pair=TEXT.")
    if two:
        return _source(module, objective, first, second, target)
    if isinstance(module, VAE):
        ids = first[: context - 1]
        return Reading(ids, tokenizer, target=[objective.task.end, *ids], target_tokenizer=tokenizer)
    if isinstance(module, GivesLabels) and hasattr(objective, "framed"):
        tokens, segments = objective.framed(first, second)
        return Reading(tokens.tolist(), tokenizer, segments.tolist() if second else None)
    before, between, behind = _frame(module, objective)
    if second and between is None:
        raise ModelError("This model reads one text at a time.", "Leave pair out.")
    joint = between or []
    room = context - len(before) - len(behind) - (len(joint) if second else 0)
    if room < 1 + bool(second):
        raise ModelError(f"A context of {context} tokens has no room for a text.", "Use a model of a longer context.")
    first, second = _cut(first, second, room)
    if not second:
        return Reading([*before, *first, *behind], tokenizer)
    ids = [*before, *first, *joint, *second, *behind]
    end = len(before) + len(first) + len(joint)
    return Reading(ids, tokenizer, [0] * end + [1] * (len(ids) - end))


def target_begin(module: Any, objective: Any) -> int:
    """The token that a target begins with: a model of transformers puts in its own, whatever stands there."""
    settings = getattr(getattr(module, "model", None), "config", None)
    start = getattr(settings, "decoder_start_token_id", None)
    return int(objective.target_end if start is None else start)


def _source(module: Any, objective: Any, first: list[int], second: list[int], target: str | None) -> Reading:
    task = objective.task
    if second:
        raise ModelError("An encoder-decoder reads a source and a target.", "Give target=TEXT in place of pair.")
    source = [*objective.before, *first[: objective.most], *objective.behind]
    if target is None:
        return Reading(source, task.tokenizer)
    most = (task.target_context or task.context) - 1
    ids = [target_begin(module, objective), *_ids(objective.target_tokenizer, target)[:most]]
    return Reading(source, task.tokenizer, target=ids, target_tokenizer=objective.target_tokenizer)


def _frame(module: Any, objective: Any) -> tuple[list[int], list[int] | None, list[int]]:
    """The tokens before a text, between the two of a pair (None: no pair is read) and behind. Those of the tokenizer
    itself where a model of transformers has learned with them."""
    task = objective.task
    pairs = hasattr(objective, "mask")
    if isinstance(module, ShowsAttention) and (framed := _own_frame(task.tokenizer)) is not None:
        before, between, behind = framed
        return before, between if pairs else None, behind
    cls, sep = getattr(objective, "cls", None), getattr(objective, "sep", None)
    ends = [] if sep is None else [sep]
    return [] if cls is None else [cls], ends if pairs and ends else None, ends


def _own_frame(tokenizer: Tokenizer) -> tuple[list[int], list[int], list[int]] | None:
    """What the tokenizer puts before a pair of texts, between them and behind; None where it puts nothing."""
    plain = _ids(tokenizer, "a")
    alone = tokenizer.encode("a").ids
    paired = tokenizer.encode("a", "a").ids
    size = len(plain)
    for start in range(len(alone) - size + 1):
        if alone[start : start + size] == plain and len(alone) > size:
            before, behind = alone[:start], alone[start + size :]
            between = paired[start + size : len(paired) - len(behind) - size]
            return before, between, behind
    return None


def _cut(first: list[int], second: list[int], room: int) -> tuple[list[int], list[int]]:
    """Both within the room, the longer of them cut."""
    if len(first) + len(second) <= room:
        return first, second
    keep = max(room - min(len(second), room // 2), room // 2 if second else room)
    return first[:keep], second[: room - min(keep, len(first))]


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def _labels(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    from nbllm.data.tokenizers import token_strings

    return token_strings(tokenizer, ids)
