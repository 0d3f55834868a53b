"""How a text begins: the reader of a model, the tokens that it reads first, and the tokenizer that what follows is in.

B sequences, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from tokenizers import Tokenizer
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.reader import LatentReader, Reader, TargetReader, TextReader
from nbllm.models.answers import FillsMasks, GivesLabels, MarksAnswer, MarksTokens, WritesTarget
from nbllm.models.vae import VAE

ANSWERS = " → "


@dataclass(frozen=True)
class Beginning:
    """`first_BT` are read before the first token is drawn; at most `room` tokens can be written (None: any number)."""

    reader: Reader
    first_BT: torch.Tensor
    tokenizer: Tokenizer
    end: int | None
    room: int | None
    joint: str = ""
    """What is shown between the prompt and a text that answers it."""
    ends: frozenset[int] = frozenset()
    """Tokens that end the text beside `end`: a chat model's end of a turn."""

    def forbid(self, logits_BV: torch.Tensor) -> torch.Tensor:
        """The logits with what is never written left out: tokens that stand for nothing a reader could see (unknown,
        padding, masks), and entries beyond the vocabulary."""
        never = self._never.get(logits_BV.shape[-1])
        if never is None or never.device != logits_BV.device:
            beyond = range(self.tokenizer.get_vocab_size(), logits_BV.shape[-1])
            never = torch.tensor([*self._silent, *beyond], dtype=torch.long, device=logits_BV.device)
            self._never[logits_BV.shape[-1]] = never
        return logits_BV.index_fill(-1, never, -torch.inf) if len(never) else logits_BV

    @cached_property
    def _never(self) -> dict[int, torch.Tensor]:
        """What is never written, by the number of logits."""
        return {}

    @cached_property
    def _silent(self) -> list[int]:
        from nbllm.data.tokenizers import special_ids

        return sorted(special_ids(self.tokenizer) - {self.end, *self.ends})


def begin(
    module: nn.Module,
    tokenizer: Tokenizer,
    prompt: str | Sequence[int],
    *,
    samples: int,
    count: int,
    context: int,
    generator: torch.Generator,
    target_tokenizer: Tokenizer | None = None,
    target_context: int | None = None,
    prefix: bool = False,
    ends: Sequence[int] = (),
) -> Beginning:
    """A prompt (a text, or the ids of its tokens) is gone on from (read both ways where it is a `prefix`); a source is
    answered; a VAE draws a point of its latent space and goes on from the prompt there. `ends` are tokens that end the
    text beside the tokenizer's own. Raises ModelError for a model that does not write."""
    from nbllm.data.tokenizers import end_id, source_frame

    device = device_of(module)
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids if isinstance(prompt, str) else list(prompt)
    end = end_id(tokenizer)
    if isinstance(module, FillsMasks):
        raise ModelError("An encoder that fills in hidden tokens does not write.", 'Use .fill("text with <mask>").')
    if isinstance(module, MarksTokens):
        raise ModelError("A tagger does not write.", "Use .mark(texts).")
    if isinstance(module, MarksAnswer):
        raise ModelError("A model that marks answers does not write.", "Ask it: nbllm.tasks.get('qa').predict(...)")
    if isinstance(module, GivesLabels):
        raise ModelError("A classifier does not write.", "Use .classify(texts).")
    if isinstance(module, WritesTarget):
        if not ids:
            raise ModelError("There is no source to go from.", "Give a text, as in .generate('good morning').")
        out = target_tokenizer or tokenizer
        begins = end_id(out) or 0
        room = min(count, target_context or context)
        before, behind = source_frame(tokenizer)
        source = [*before, *ids[: context - len(before) - len(behind)], *behind]
        reader: Reader = TargetReader(module, torch.tensor([source] * samples, device=device), room)
        return Beginning(reader, torch.tensor([[begins]] * samples, device=device), out, begins, room, ANSWERS)
    if isinstance(module, VAE):
        z_BZ = torch.randn(samples, module.latent, generator=generator, device=device).to(module.to_latent.weight)
        return at_point(module, tokenizer, z_BZ, ids[: context - 2], context, count)
    first_BT = torch.tensor([ids or [end or 0]] * samples, device=device)
    text_reader = TextReader(module, context, first_BT.shape[1] + count, prefix)
    return Beginning(text_reader, first_BT, tokenizer, end, None, ends=frozenset(ends))


def at_point(
    module: VAE, tokenizer: Tokenizer, z_BZ: torch.Tensor, ids: list[int], context: int, count: int
) -> Beginning:
    """A sentence at each of these points, which begins with `ids`."""
    from nbllm.data.tokenizers import end_id

    end = end_id(tokenizer) or 0
    first_BT = torch.tensor([[end, *ids]] * len(z_BZ), device=z_BZ.device)
    room = min(count, context - len(ids))
    return Beginning(LatentReader(module, z_BZ, len(ids) + room), first_BT, tokenizer, end, room)


def device_of(module: nn.Module) -> torch.device:
    """Where the module lies."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
