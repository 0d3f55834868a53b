"""Each part of `--preset fast` alone: held-out loss on python-docs (characters) after 200 steps, medians of 3 seeds."""

from __future__ import annotations

import statistics
import tempfile
from typing import Any

import pytest

SEEDS = (1, 2, 3)
STEPS = 200
OFF: dict[str, Any] = {
    "model.bigrams": 0, "model.smear": False, "model.mix_input": False, "model.activation": "swiglu",
    "model.tied": True, "train.embedding_rate": 1.0, "train.head_rate": 1.0, "train.cooldown": 0.5,
}  # fmt: skip
"""What the parts are where they are off: the default transformer at the preset's own size and rate."""
PARTS: dict[str, tuple[str, ...]] = {
    "table of token pairs": ("model.bigrams",),
    "smear": ("model.smear",),
    "embeddings mixed into the blocks": ("model.mix_input",),
    "ReLU squared": ("model.activation",),
    "head of its own": ("model.tied", "train.head_rate"),
    "rate of the embeddings": ("train.embedding_rate",),
    "longer cooldown": ("train.cooldown",),
}


def measure() -> list[dict[str, Any]]:
    """A row a part: alone on top of the default, and left out of the preset."""
    import nbllm
    from nbllm.config import PRESETS

    fast = PRESETS["fast"]
    on = {part: {key: fast[key] for key in keys if key in fast} for part, keys in PARTS.items()}
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "nothing": ("default", OFF),
        **{part: ("alone", {**OFF, **values}) for part, values in on.items()},
        "everything": ("preset fast", {}),
    }
    without = {part: {key: OFF[key] for key in keys} for part, keys in PARTS.items()}
    rows = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", folder)

        def losses(settings: dict[str, Any]) -> list[float]:
            found = []
            for seed in SEEDS:
                run = nbllm.train(
                    "one", data="python-docs", preset="fast", steps=STEPS, seed=seed, wait=True, replace=True,
                    **{"sample.every": 0, "probe.every": 0, "train.leak_check": False, **settings},
                )  # fmt: skip
                found.append(float(run.metrics["val_loss"].dropna().iloc[-1]))
            return found

        base = statistics.median(losses(OFF))
        for name, (_, settings) in cases.items():
            alone = losses(settings)
            left_out = losses(without[name]) if name in without else None
            rows.append(
                {
                    "part": name,
                    "alone, loss": round(statistics.median(alone), 3),
                    "gained": round(base - statistics.median(alone), 3),
                    "spread": round(max(alone) - min(alone), 3),
                    "the preset without it, loss": left_out and round(statistics.median(left_out), 3),
                }
            )
    return rows
