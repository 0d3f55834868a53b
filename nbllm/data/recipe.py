"""What an objective wants of its data, told to a layer that knows no objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

Progress = Callable[[str, float | None], None]
"""Called with what goes on, and the share that is done or None."""


@dataclass(frozen=True)
class Recipe:
    """What an objective wants of its data.

    `columns`: the roles of a table's columns. `special`: tokens beside <unk> and <eos>. `encoder`: given the tokenizers
    and the labels, makes the function from rows to examples, which also counts the texts it cut (`cut`).
    """

    name: str = "clm"
    data: str = "stream"
    columns: tuple[str, ...] = ()
    special: tuple[str, ...] = ()
    version: int = 1
    encoder: Callable[[Tokenizer, Tokenizer | None, tuple[str, ...]], Any] | None = None


STREAM = Recipe()
