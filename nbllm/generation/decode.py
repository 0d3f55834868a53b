"""Writing text: one loop that yields a token a sequence, and the calls on top of it, `stream` and `generate`.

B sequences, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.beam import beam_search
from nbllm.generation.begin import Beginning, begin, device_of
from nbllm.generation.result import Generation, Piece
from nbllm.generation.sampling import Sampler
from nbllm.generation.writer import Writer
from nbllm.models.evaluating import evaluating


def stream(
    module: nn.Module,
    tokenizer: Tokenizer,
    prompt: str | Sequence[int],
    *,
    context: int,
    max_tokens: int = 200,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: str | list[str] | None = None,
    seed: int | None = None,
    stop_at_eos: bool = True,
    target_tokenizer: Tokenizer | None = None,
    target_context: int | None = None,
    prefix: bool = False,
    ends: Sequence[int] = (),
) -> Iterator[Piece]:
    """The continuation of the prompt (of an encoder-decoder: the answer to it), piece by piece as it is written. The
    prompt is a text or the ids of its tokens; `ends` are tokens that end the text beside the tokenizer's own.

    Only whole characters are given, and nothing is ever taken back: text that may begin a stop string waits. `seed`
    makes it repeatable. Raises ModelError at once, not at the first piece, for a setting out of range.
    """
    sampler = Sampler(temperature, top_k, top_p, min_p, repetition_penalty)
    generator = _generator(module, seed)
    count = _count("max_tokens", max_tokens)
    beginning = begin(
        module, tokenizer, prompt, samples=1, count=count, context=context, generator=generator,
        target_tokenizer=target_tokenizer, target_context=target_context, prefix=prefix, ends=ends,
    )  # fmt: skip
    (writer,) = _writers(beginning, stop, 1, stop_at_eos)
    return _stream(_tokens(module, beginning, count, sampler, generator), writer)


def generate(
    module: nn.Module,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    context: int,
    samples: int = 1,
    max_tokens: int = 200,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: str | list[str] | None = None,
    seed: int | None = None,
    stop_at_eos: bool = True,
    beams: int = 0,
    length_penalty: float = 0.6,
    target_tokenizer: Tokenizer | None = None,
    target_context: int | None = None,
    prefix: bool = False,
) -> list[Generation]:
    """Several continuations of one prompt, written side by side in one batch; with `beams` the likeliest ones that a
    beam search of that width finds, each with its `.score` (see `beam`)."""
    begun = time.perf_counter()
    sampler = Sampler(temperature, top_k, top_p, min_p, repetition_penalty)
    generator = _generator(module, seed)
    samples, count = _count("samples", samples), _count("max_tokens", max_tokens)
    rows = 1 if beams else samples
    beginning = begin(
        module, tokenizer, prompt, samples=rows, count=count, context=context, generator=generator,
        target_tokenizer=target_tokenizer, target_context=target_context, prefix=prefix,
    )  # fmt: skip
    writers = _writers(beginning, stop, samples, stop_at_eos)
    scores: Sequence[float | None] = [None] * samples
    if beams:
        found, scores = _searched(
            module, beginning, writers, count, max(_count("beams", beams), samples), length_penalty, stop_at_eos
        )
    else:
        found = _drawn(_tokens(module, beginning, count, sampler, generator), writers)
    seconds = time.perf_counter() - begun
    return [
        result(prompt, pieces, beginning.tokenizer, seconds, score, beginning.joint)
        for pieces, score in zip(found, scores, strict=False)
    ]


def result(
    prompt: str,
    pieces: list[Piece],
    tokenizer: Tokenizer,
    seconds: float,
    score: float | None = None,
    joint: str = "",
) -> Generation:
    """The pieces as a Generation."""
    from nbllm.data.tokenizers import token_strings

    labels = token_strings(tokenizer, [piece.token_id for piece in pieces])
    return Generation(prompt, pieces, labels, seconds, score, joint)


def write(module: nn.Module, beginning: Beginning, count: int, sampler: Sampler, seed: int | None) -> list[list[Piece]]:
    """The pieces of every row of a beginning, each to its end or to `count` tokens."""
    writers = _writers(beginning, None, len(beginning.first_BT), True)
    return _drawn(_tokens(module, beginning, count, sampler, _generator(module, seed)), writers)


def _drawn(tokens: Iterator[tuple[list[int], list[float]]], writers: list[Writer]) -> list[list[Piece]]:
    """Drive all writers to their ends."""
    pieces: list[list[Piece]] = [[] for _ in writers]
    for ids_B, probabilities_B in tokens:
        for writer, found, token_id, probability in zip(writers, pieces, ids_B, probabilities_B, strict=True):
            if not writer.finished:
                found += writer.push(token_id, probability)
        if all(writer.finished for writer in writers):
            break
    for writer, found in zip(writers, pieces, strict=True):
        if not writer.finished:
            found += writer.close()
    return pieces


def _searched(
    module: nn.Module,
    beginning: Beginning,
    writers: list[Writer],
    count: int,
    beams: int,
    alpha: float,
    stop_at_eos: bool,
) -> tuple[list[list[Piece]], list[float]]:
    """The pieces of the likeliest continuations, and their scores; a stop string cuts them as ever."""
    room = count if beginning.room is None else min(count, beginning.room)
    with evaluating(module):
        end = beginning.end if stop_at_eos else None
        best = beam_search(beginning, beams, room, end=end, alpha=alpha, best=len(writers))
    pieces = []
    for writer, hypothesis in zip(writers, best, strict=False):
        found: list[Piece] = []
        for token_id, probability in zip(hypothesis.ids, hypothesis.probabilities, strict=True):
            if not writer.finished:
                found += writer.push(token_id, probability)
        pieces.append(found if writer.finished else found + writer.close())
    return pieces, [hypothesis.score for hypothesis in best]


def _stream(tokens: Iterator[tuple[list[int], list[float]]], writer: Writer) -> Iterator[Piece]:
    for (token_id,), (probability,) in tokens:
        yield from writer.push(token_id, probability)
        if writer.finished:
            return
    yield from writer.close()


def _tokens(
    module: nn.Module, beginning: Beginning, count: int, sampler: Sampler, generator: torch.Generator
) -> Iterator[tuple[list[int], list[float]]]:
    """Up to `count` times: the next token of each sequence, and how likely the model itself held it."""
    reader, tokens_BT = beginning.reader, beginning.first_BT
    seen_BV: torch.Tensor | None = None
    with evaluating(module):
        for index in range(count if beginning.room is None else min(count, beginning.room)):
            # Entered anew for each token: kept open across a yield, it would reach into the caller's code.
            with torch.inference_mode():
                logits_BV = reader.read(tokens_BT)
                if index == 0:
                    _check_numbers(logits_BV)
                    if sampler.repetition_penalty != 1:
                        seen_BV = torch.zeros_like(logits_BV, dtype=torch.bool).scatter_(1, tokens_BT, True)
                tokens_BT = sampler.draw(beginning.forbid(logits_BV), seen_BV, generator).unsqueeze(1)
                if seen_BV is not None:
                    seen_BV.scatter_(1, tokens_BT, True)
                likely_B1 = logits_BV.float().softmax(-1).gather(1, tokens_BT)
                answer = tokens_BT.squeeze(1).tolist(), likely_B1.squeeze(1).tolist()
            yield answer


def _generator(module: nn.Module, seed: int | None) -> torch.Generator:
    generator = torch.Generator(device=device_of(module))
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


def _check_numbers(logits_BV: torch.Tensor) -> None:
    if not torch.isfinite(logits_BV).any(-1).all() or torch.isnan(logits_BV).any():
        raise ModelError(
            "The model's outputs are not numbers (NaN): it diverged.", "Load an earlier step: load(step=N)."
        )


def _writers(beginning: Beginning, stop: str | list[str] | None, samples: int, stop_at_eos: bool) -> list[Writer]:
    strings = [stop] if isinstance(stop, str) else list(stop or [])
    if not all(isinstance(string, str) and string for string in strings):
        raise ModelError(f"stop is {stop!r}.", 'Give strings that are not empty, as in stop=["\\n\\n"].')
    eos = beginning.end if stop_at_eos else None
    return [Writer(beginning.tokenizer, strings, eos, beginning.ends) for _ in range(samples)]


def _count(name: str, value: int) -> int:
    if value < 1:
        raise ModelError(f"{name} is {value}.", f"Give a whole number from 1, as in {name}=1.")
    return value
