"""Held-out bits per byte of each size, trained by its own defaults on python-docs (characters), medians of 3 seeds."""

from __future__ import annotations

import statistics
import tempfile
from typing import Any

import pytest

SEEDS = (1, 2, 3)
SIZES = ("tiny", "mini")
KINDS = ("transformer", "lstm")


def measure() -> list[dict[str, Any]]:
    """One row a kind and size; every run is a real worker with its samples, maps and checkpoints."""
    import nbllm

    rows = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", folder)
        for kind in KINDS:
            for size in SIZES:
                runs = [
                    nbllm.train(
                        f"{kind}-{size}-{seed}", model=kind, size=size, seed=seed, wait=True, data="python-docs"
                    )
                    for seed in SEEDS
                ]
                frames = [run.metrics for run in runs]
                bits = [float(frame.bits_per_byte.dropna().iloc[-1]) for frame in frames]
                seconds = [float(frame.seconds.iloc[-1]) for frame in frames]
                config = runs[0].config
                rows.append(
                    {
                        "model": f"{kind} {config.model.layers}x{config.model.width}",
                        "size": size,
                        "parameters": f"{nbllm.runs().parameters[runs[0].name]:,.0f}",
                        "steps": config.train.steps,
                        "bits per byte": round(statistics.median(bits), 3),
                        "spread": round(max(bits) - min(bits), 3),
                        "seconds": round(statistics.median(seconds), 1),
                        "tokens/s": round(float(frames[0].tokens.iloc[-1]) / statistics.median(seconds)),
                    }
                )
    return rows
