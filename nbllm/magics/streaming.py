"""Generation that is handed over as it is written, and whole at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbllm.generation.result import Generation
    from nbllm.handles.model import Model


def stream_generation(model: Model, prompt: str, write: Callable[[str], None], **settings: Any) -> Generation:
    """Go on from the prompt, handing over the text as it is written; the whole with its tokens at the end."""
    from nbllm.data.tokenizers import token_strings
    from nbllm.generation.result import Generation

    begun = time.perf_counter()
    pieces = []
    for piece in model.pieces(prompt, **settings):
        pieces.append(piece)
        write(piece.text)
    labels = token_strings(model.tokenizer, [piece.token_id for piece in pieces])
    return Generation(prompt, pieces, labels, time.perf_counter() - begun)
