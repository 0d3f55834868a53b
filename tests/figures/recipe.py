"""How much sooner a model is as good as nanoGPT's recipe for a CPU, in seconds of one core; medians of 5 rounds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks import recipe


def measure() -> list[dict[str, Any]]:
    """The rows of the benchmark of the same name; NBLLM_BENCH_TEXT adds a text of yours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_BENCH_CLOCK", "cpu")
        patch.setenv("NBLLM_BENCH_THREADS", "1")
        return recipe.measure(5, timed=60)
