"""Held-out loss against size: Transformers of four sizes on the same text (python-docs), tokens and settings."""

from __future__ import annotations

import math
import tempfile
from typing import Any

import numpy as np
import pytest

SHAPES = ((1, 32), (2, 64), (3, 96), (4, 128))
STEPS = 300
SETTINGS: dict[str, Any] = {
    "data": "python-docs", "model": "transformer", "steps": STEPS, "seed": 1, "wait": True, "runner": "inline",
    "train.queue": False, "train.threads": 1, "train.leak_check": False, "sample.every": 0, "probe.every": 0,
}  # fmt: skip


def measure() -> list[dict[str, Any]]:
    """A row a size, with what the fit says of it: bits = A N^-b (Kaplan et al. 2020, equation 1.1), N the weights of
    the blocks, by least squares of the logarithms."""
    import nbllm

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", folder)
        for layers, width in SHAPES:
            shape = {"model.layers": layers, "model.width": width, "model.heads": width // 16}
            run = nbllm.train(f"scaling-{width}", **SETTINGS, **shape)
            module = run.load().module
            count = sum(p.numel() for name, p in module.named_parameters() if ".blocks." in name)
            bits = float(run.metrics.bits_per_byte.dropna().iloc[-1])
            rows.append({"shape": f"{layers}x{width}", "weights of the blocks": count, "bits per byte": round(bits, 3)})
    power, scale = fit([row["weights of the blocks"] for row in rows], [row["bits per byte"] for row in rows])
    for row in rows:
        row["fit"] = round(scale * row["weights of the blocks"] ** -power, 3)
        row["the curve"] = f"{scale:.2f} N^-{power:.3f}"
    return rows


def fit(sizes: list[int], bits: list[float]) -> tuple[float, float]:
    """b and A of bits = A N^-b."""
    slope, at_zero = np.polyfit(np.log(sizes), np.log(bits), 1)
    return float(-slope), math.exp(float(at_zero))
