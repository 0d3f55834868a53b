"""Sentences and the latent space of a VAE: where one lies, what lies at a point, what lies between two.

B sentences, Z units of the latent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from nbllm.errors import ModelError
from nbllm.generation.begin import at_point, device_of
from nbllm.generation.decode import write
from nbllm.generation.result import Piece
from nbllm.generation.sampling import Sampler
from nbllm.models.evaluating import evaluating
from nbllm.models.vae import VAE


def encode(module: Any, tokenizer: Tokenizer, texts: list[str], *, context: int) -> np.ndarray:
    """The mean of where each sentence lies: float32 (B, Z). Raises ModelError for a model without a latent space."""
    _check(module)
    found = []
    with torch.no_grad(), evaluating(module):
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False).ids[: context - 1]
            if not ids:
                raise ModelError("The text has no tokens.", "Give a sentence.")
            mean_BZ, _ = module.encode(torch.tensor([ids], device=device_of(module)))
            found.append(mean_BZ[0].float().cpu().numpy())
    return np.stack(found)


def decode(
    module: Any,
    tokenizer: Tokenizer,
    points: np.ndarray,
    *,
    context: int,
    max_tokens: int = 200,
    temperature: float = 0.0,
    seed: int | None = None,
) -> list[list[Piece]]:
    """The sentence at each point (B, Z); the likeliest tokens where the temperature is 0."""
    _check(module)
    z_BZ = torch.as_tensor(np.asarray(points), dtype=next(module.parameters()).dtype, device=device_of(module))
    beginning = at_point(module, tokenizer, z_BZ, [], context, max_tokens)
    return write(module, beginning, max_tokens, Sampler(temperature), seed)


def reconstruct(module: Any, tokenizer: Tokenizer, text: str, *, context: int) -> str:
    """A sentence through the latent space and back."""
    (pieces,) = decode(module, tokenizer, encode(module, tokenizer, [text], context=context), context=context)
    return "".join(piece.text for piece in pieces)


def interpolate(
    module: Any, tokenizer: Tokenizer, first: str, second: str, *, context: int, steps: int = 7
) -> list[list[Piece]]:
    """The sentences on the straight line between two, both ends included."""
    if steps < 2:
        raise ModelError(f"steps is {steps}.", "Give a whole number from 2, as in steps=7.")
    start, end = encode(module, tokenizer, [first, second], context=context)
    points = np.stack([start + (end - start) * share for share in np.linspace(0, 1, steps)])
    return decode(module, tokenizer, points, context=context)


def _check(module: Any) -> None:
    if not isinstance(module, VAE):
        raise ModelError("This model has no latent space.", "Train one: model: vae")
