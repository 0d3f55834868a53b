"""Masked tokens and next sentence together, from documents apart; a VAE by its default annealing. 3 seeds."""

from __future__ import annotations

import statistics
import tempfile
from typing import Any

import pytest

SEEDS = (1, 2, 3)
PAIRS = {
    "model": "bert", "data": "python-docstrings", "size": "tiny", "steps": 1500, "tokenizer": "word", "batch_size": 32,
    "objective.next_sentence": True, "tokenizer.vocab_size": 4000, "train.context": 128,
    "data.split": "document",
}  # fmt: skip
LATENT = {"model": "vae", "data": "zh-phrases", "size": "tiny", "steps": 800}


def measure() -> list[dict[str, Any]]:
    """A row a measure: its median over the seeds, the lowest and the highest."""
    import nbllm

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", folder)
        for name, settings, measures in (
            ("bert, mlm with nsp", PAIRS, {"val_masked_accuracy": 0.0, "val_next_sentence_accuracy": 0.5}),
            ("vae", LATENT, {"val_kl": None, "val_reconstruction": None, "active_units": None}),
        ):
            stem = name.split(",")[0]
            runs = [nbllm.train(f"{stem}-{seed}", seed=seed, wait=True, **settings) for seed in SEEDS]
            for measure, chance in measures.items():
                found = [float(run.metrics[measure].dropna().iloc[-1]) for run in runs]
                rows.append(
                    {
                        "model": name,
                        "held out": measure.removeprefix("val_").replace("_", " "),
                        "median": round(statistics.median(found), 3),
                        "lowest": round(min(found), 3),
                        "highest": round(max(found), 3),
                        "by chance": chance,
                        "steps": settings["steps"],
                    }
                )
    return rows
