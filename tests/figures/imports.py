"""What a notebook waits for before its first cell can use nbllm, in seconds; medians of 9 fresh processes."""

from __future__ import annotations

from typing import Any

from tests.benchmarks import imports


def measure() -> list[dict[str, Any]]:
    """The rows of the benchmark of the same name."""
    return imports.measure(9)
