"""What the engine adds to a bare loop of the same step: log, status, checkpoints, control; medians of 7 turns."""

from __future__ import annotations

from typing import Any

from tests.benchmarks import overhead


def measure() -> list[dict[str, Any]]:
    """The rows of the benchmark of the same name."""
    return overhead.measure(7)
