"""Writing text: one loop that yields a token a sequence, and the two calls on top of it, `stream` and `generate`.

B sequences, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from tokenizers import Tokenizer
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.reader import Reader
from nbllm.generation.result import Generation, Piece
from nbllm.generation.sampling import Sampler
from nbllm.generation.writer import Writer
from nbllm.models.evaluating import evaluating

END_OF_TEXT = "<eos>"


def stream(
    module: nn.Module,
    tokenizer: Tokenizer,
    prompt: str,
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
) -> Iterator[Piece]:
    """The continuation of the prompt, piece by piece as it is written.

    Only whole characters are given, and nothing is ever taken back: text that may begin a stop string waits. `seed`
    makes it repeatable. Raises ModelError at once, not at the first piece, for a setting out of range.
    """
    sampler = Sampler(temperature, top_k, top_p, min_p, repetition_penalty)
    writers = _writers(tokenizer, stop, 1, stop_at_eos)
    ids = _encode(tokenizer, prompt)
    return _stream(_tokens(module, ids, 1, _count("max_tokens", max_tokens), sampler, seed, context), writers[0])


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
) -> list[Generation]:
    """Several continuations of one prompt, written side by side in one batch."""
    from nbllm.data.tokenizers import token_strings

    begun = time.perf_counter()
    sampler = Sampler(temperature, top_k, top_p, min_p, repetition_penalty)
    writers = _writers(tokenizer, stop, _count("samples", samples), stop_at_eos)
    pieces: list[list[Piece]] = [[] for _ in writers]
    ids = _encode(tokenizer, prompt)
    for ids_B, probabilities_B in _tokens(
        module, ids, samples, _count("max_tokens", max_tokens), sampler, seed, context
    ):
        for writer, found, token_id, probability in zip(writers, pieces, ids_B, probabilities_B, strict=True):
            if not writer.finished:
                found += writer.push(token_id, probability)
        if all(writer.finished for writer in writers):
            break
    for writer, found in zip(writers, pieces, strict=True):
        if not writer.finished:
            found += writer.close()
    seconds = time.perf_counter() - begun
    labels = [token_strings(tokenizer, [piece.token_id for piece in found]) for found in pieces]
    return [Generation(prompt, found, label, seconds) for found, label in zip(pieces, labels, strict=True)]


def _stream(tokens: Iterator[tuple[list[int], list[float]]], writer: Writer) -> Iterator[Piece]:
    for (token_id,), (probability,) in tokens:
        yield from writer.push(token_id, probability)
        if writer.finished:
            return
    yield from writer.close()


def _tokens(
    module: nn.Module, prompt: list[int], samples: int, count: int, sampler: Sampler, seed: int | None, context: int
) -> Iterator[tuple[list[int], list[float]]]:
    """Up to `count` times: the next token of each sequence, and how likely the model itself held it."""
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    generator = torch.Generator(device=device)
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    reader = Reader(module, context, room=len(prompt) + count)
    tokens_BT = torch.tensor([prompt] * samples, device=device)
    seen_BV: torch.Tensor | None = None
    with evaluating(module):
        for index in range(count):
            # Entered anew for each token: kept open across a yield, it would reach into the caller's code.
            with torch.inference_mode():
                logits_BV = reader.read(tokens_BT)
                if index == 0:
                    _check_numbers(logits_BV)
                    if sampler.repetition_penalty != 1:
                        seen_BV = torch.zeros_like(logits_BV, dtype=torch.bool).scatter_(1, tokens_BT, True)
                tokens_BT = sampler.draw(logits_BV, seen_BV, generator).unsqueeze(1)
                if seen_BV is not None:
                    seen_BV.scatter_(1, tokens_BT, True)
                likely_B1 = logits_BV.float().softmax(-1).gather(1, tokens_BT)
                answer = tokens_BT.squeeze(1).tolist(), likely_B1.squeeze(1).tolist()
            yield answer


def _check_numbers(logits_BV: torch.Tensor) -> None:
    if not torch.isfinite(logits_BV).any(-1).all() or torch.isnan(logits_BV).any():
        raise ModelError(
            "The model's outputs are not numbers (NaN): it diverged.", "Load an earlier step: load(step=N)."
        )


def _writers(tokenizer: Tokenizer, stop: str | list[str] | None, samples: int, stop_at_eos: bool) -> list[Writer]:
    strings = [stop] if isinstance(stop, str) else list(stop or [])
    if not all(isinstance(string, str) and string for string in strings):
        raise ModelError(f"stop is {stop!r}.", 'Give strings that are not empty, as in stop=["\\n\\n"].')
    eos = tokenizer.token_to_id(END_OF_TEXT) if stop_at_eos else None
    return [Writer(tokenizer, strings, eos) for _ in range(samples)]


def _encode(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """The prompt's tokens; a text's beginning where it is empty."""
    return tokenizer.encode(prompt, add_special_tokens=False).ids or [tokenizer.token_to_id(END_OF_TEXT) or 0]


def _count(name: str, value: int) -> int:
    if value < 1:
        raise ModelError(f"{name} is {value}.", f"Give a whole number from 1, as in {name}=1.")
    return value
