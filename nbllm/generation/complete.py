"""Going on from many texts at once, and how many bits their true continuations take.

White space at the end of a prompt is taken off and asked for again, and so are signs: a byte-level vocabulary joins a
space to the word behind it and one sign to the next, as in `._`, so that a prompt which ends in one would begin in the
middle of a token ("token healing", Lundberg 2023).

B texts of equal length in tokens, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn

from nbllm.generation.begin import Beginning, device_of
from nbllm.generation.reader import TextReader
from nbllm.generation.result import Generation, Piece
from nbllm.generation.sampling import Sampler
from nbllm.models.evaluating import evaluating

_SIGNS = re.compile(r" ?(?:[^\w\s]|_)+$")  # what GPT-2's word pattern takes as one
Stop = Callable[[str], int | None]
"""Where a continuation ends, as soon as that can be told of its beginning."""
Heard = Callable[[Generation, float], bool | None]
"""Called with what of the first text is written, and how likely a token of it was; True ends it there."""


def complete(
    module: nn.Module, tokenizer: Tokenizer, prompts: Sequence[str], stops: Sequence[Stop], *,
    context: int, max_tokens: int, temperature: float = 0.0, seed: int | None = None, heard: Heard | None = None,
) -> list[tuple[Generation, float]]:  # fmt: skip
    """The continuation of each prompt, to where its stop says or to `max_tokens`, and how likely a token of it was
    (geometric mean). Of a long prompt the end is read, which leaves a quarter of the context to write into."""
    healed = [_begun(tokenizer, prompt) for prompt in prompts]
    groups: dict[int, list[int]] = {}
    ids = [_ids(tokenizer, text)[-max(1, context - min(max_tokens, context // 4)) :] for text, _ in healed]
    for place, each in enumerate(ids):
        groups.setdefault(len(each), []).append(place)
    found: list[tuple[Generation, float]] = [(Generation("", [], [], 0.0), 0.0)] * len(prompts)
    generator = torch.Generator(device=device_of(module))
    generator.manual_seed(seed) if seed is not None else generator.seed()
    for places in groups.values():
        first_BT = torch.tensor([ids[place] for place in places], device=device_of(module))
        texts = _write(
            module, tokenizer, first_BT, [healed[place][1] for place in places], [stops[place] for place in places],
            context, max_tokens, Sampler(temperature), generator, heard if 0 in places else None,
        )  # fmt: skip
        found = [texts[places.index(i)] if i in places else each for i, each in enumerate(found)]
    return found


def bits(
    module: nn.Module, tokenizer: Tokenizer, prompts: Sequence[str], completions: Sequence[str], *, context: int
) -> list[tuple[float, int]]:
    """-log2 p(completion | prompt) and the bytes of it; white space at the end of the prompt counts as its own."""
    told = []
    with evaluating(module), torch.inference_mode():
        for prompt, completion in zip(prompts, completions, strict=True):
            text, space = _healed(tokenizer, prompt)
            size = len((space + completion).encode("utf-8", "replace"))
            target = tokenizer.encode(space + completion, add_special_tokens=False).ids
            before = _ids(tokenizer, text)
            nats = 0.0
            for start in range(0, len(target), max(1, context // 2)):
                part = target[start : start + max(1, context // 2)]
                whole = [*before, *target[:start], *part][-(context + 1) :]
                tokens_1T = torch.tensor([whole], device=device_of(module))
                logits_TV = module(tokens_1T[:, :-1])[0, -len(part) :].float()
                nats += F.cross_entropy(logits_TV, tokens_1T[0, -len(part) :], reduction="sum").item()
            told.append((nats / math.log(2), size))
    return told


def _write(
    module: nn.Module, tokenizer: Tokenizer, first_BT: torch.Tensor, spaces: Sequence[str], stops: Sequence[Stop],
    context: int, max_tokens: int, sampler: Sampler, generator: torch.Generator, heard: Heard | None,
) -> list[tuple[Generation, float]]:  # fmt: skip
    from nbllm.data.tokenizers import end_id

    end = end_id(tokenizer)
    reader = TextReader(module, context, first_BT.shape[1] + max_tokens)
    beginning = Beginning(reader, first_BT, tokenizer, end, None)
    written: list[list[int]] = [[] for _ in spaces]
    likely: list[list[float]] = [[] for _ in spaces]
    texts: list[str | None] = [None] * len(spaces)
    due = [space.encode() for space in spaces]
    known = [_bytes(tokenizer, i) for i in range(tokenizer.get_vocab_size())] if any(due) else []
    with evaluating(module), torch.inference_mode():
        tokens_BT = first_BT
        for _ in range(max_tokens):
            logits_BV = beginning.forbid(reader.read(tokens_BT))
            logits_BV = _owed(logits_BV, known, due)
            tokens_BT = sampler.draw(logits_BV, None, generator).unsqueeze(1)
            likely_B = logits_BV.float().log_softmax(-1).gather(1, tokens_BT).squeeze(1).tolist()
            for row, token in enumerate(tokens_BT.squeeze(1).tolist()):
                if texts[row] is not None:
                    continue
                if token != end:
                    written[row].append(token)
                    likely[row].append(math.exp(likely_B[row]))
                text = tokenizer.decode(written[row], skip_special_tokens=False)
                due[row] = due[row][len(_bytes(tokenizer, token)) :] if due[row] else b""
                said = text[len(spaces[row]) :]
                cut = len(said) if token == end else stops[row](said)
                if cut is not None:
                    texts[row] = said[:cut]
                elif (
                    row == 0 and heard is not None and heard(*_told(tokenizer, written[0], likely[0], spaces[0], said))
                ):
                    texts[0] = said
            if all(text is not None for text in texts):
                break
    found = []
    for row, ended in enumerate(texts):
        said = tokenizer.decode(written[row], skip_special_tokens=False)[len(spaces[row]) :] if ended is None else ended
        found.append(_told(tokenizer, written[row], likely[row], spaces[row], said.rstrip("\ufffd")))
    return found


def _told(
    tokenizer: Tokenizer, ids: Sequence[int], likely: Sequence[float], space: str, said: str
) -> tuple[Generation, float]:
    """A continuation as a text that knows its tokens, but for those of the white space that was owed."""
    from nbllm.data.streaming import StreamDecoder
    from nbllm.data.tokenizers import token_strings

    decoder, at, pieces = StreamDecoder(tokenizer), -len(space), []
    for token, share in zip(ids, likely, strict=True):
        piece = decoder.push(token)
        part = said[max(0, at) : max(0, at + len(piece))]
        at += len(piece)
        if part:
            pieces.append(Piece(part, token, share))
    written = "".join(piece.text for piece in pieces)
    if written != said:  # a decoder whose parts do not join to the whole: the text is what counts
        pieces = [Piece(said, ids[-1] if ids else 0, likely[-1] if likely else 0.0)] if said else []
    sure = math.exp(sum(math.log(max(share, 1e-30)) for share in likely) / max(1, len(likely)))
    labels = token_strings(tokenizer, [piece.token_id for piece in pieces])
    return Generation("", pieces, labels, 0.0), sure


def _begun(tokenizer: Tokenizer, prompt: str) -> tuple[str, str]:
    """A prompt without the white space at its end, or without the signs there, and what was taken off."""
    from nbllm.data.tokenizers import is_byte_level

    text, taken = _healed(tokenizer, prompt)
    if not taken and is_byte_level(tokenizer) and (signs := _SIGNS.search(prompt)):
        return prompt[: signs.start()], signs[0]
    return text, taken


def _healed(tokenizer: Tokenizer, prompt: str) -> tuple[str, str]:
    """A prompt without the white space at its end, and that space; as it is where tokens are not made of bytes."""
    from nbllm.data.tokenizers import is_byte_level

    text = prompt.rstrip(" \t\n") if is_byte_level(tokenizer) else prompt
    return text, prompt[len(text) :]


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    from nbllm.data.tokenizers import end_id

    return tokenizer.encode(text, add_special_tokens=False).ids or [end_id(tokenizer) or 0]


def _owed(logits_BV: torch.Tensor, known: Sequence[bytes], due: Sequence[bytes]) -> torch.Tensor:
    """The logits, without all tokens that do not go along with what is still due; `known` are the bytes of each."""
    if not any(due):
        return logits_BV
    logits_BV = logits_BV.clone()
    for row, begun in enumerate(due):
        if begun:
            fits = [bool(each) and (each.startswith(begun) or begun.startswith(each)) for each in known]
            logits_BV[row, : len(fits)][~torch.tensor(fits, device=logits_BV.device)] = -torch.inf
    return logits_BV


def _bytes(tokenizer: Tokenizer, token: int) -> bytes:
    from nbllm.data.tokenizers import token_bytes

    return token_bytes(tokenizer, token)
