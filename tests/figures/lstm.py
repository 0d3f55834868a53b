"""Training an LSTM (2 layers of 256, context 64, batch 32), tokens a second beside Keras; medians of 5 turns."""

from __future__ import annotations

from typing import Any

from tests.benchmarks import lstm


def measure() -> list[dict[str, Any]]:
    """The rows of the benchmark of the same name; NBLLM_BENCH_PYTHON is a Python that has Keras."""
    return lstm.measure(5)
