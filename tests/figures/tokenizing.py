"""Memory and speed of preparing a corpus, against `encode_batch` of the tokenizers library alone."""

from __future__ import annotations

from typing import Any

from tests.benchmarks import tokenizing


def measure() -> list[dict[str, Any]]:
    """A text of 1 GB, generated for the purpose and deleted, cut into characters and into 8,192 BPE pieces."""
    return tokenizing.main(["--mb", "1000", "--kinds", "char,bpe"])
