"""Tokens a second of one training step at equal size (4x128, context 64, batch 12); medians of 7 turns, one thread."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks import peers, step


def measure() -> list[dict[str, Any]]:
    """The rows of the benchmark of the same name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "THREADS", 1)  # two would wait for each other wherever something else runs
        return step.measure(7)
