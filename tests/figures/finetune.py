"""Accuracy on python-topics from a tenth of its labelled rows, pre-trained on python-docstrings or from nothing."""

from __future__ import annotations

import json
import statistics
import tempfile
from typing import Any

import pytest

SEEDS = (1, 2, 3, 4, 5)
READER = {"data": "python-docstrings", "model": "bert", "size": "tiny", "steps": 1500, "lr": 3e-3, "batch_size": 32}
WORDS = {"tokenizer.kind": "bpe", "tokenizer.vocab_size": 2000}
TASK = {"data": "python-topics", "objective": "classification", "steps": 150, "lr": 2e-3, "batch_size": 16}
FEW = {"data.use": 0.1, "train.evaluate_every": 25, "model.dropout": 0.1}


def measure() -> list[dict[str, Any]]:
    """Two rows: the same network, tokens, rows and steps, from the reader's weights and from fresh ones."""
    import nbllm

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", folder)
        reader = nbllm.train("reader", wait=True, **READER, **WORDS)
        fresh = {"model": "bert", "size": "tiny", "tokenizer": str(reader.folder / "tokenizer.json")}
        rows = []
        for name, start in (("pre-trained", {"init_from": "reader"}), ("from nothing", fresh)):
            runs = [
                nbllm.train(f"{name.replace(' ', '-')}-{seed}", seed=seed, wait=True, **start, **TASK, **FEW)
                for seed in SEEDS
            ]
            found = [float(run.metrics["val_accuracy"].dropna().iloc[-1]) for run in runs]
            scores = [float(run.metrics["f1"].dropna().iloc[-1]) for run in runs]
            report = json.loads((runs[0].folder / "environment.json").read_text(encoding="utf-8"))["data"]
            rows.append(
                {
                    "start": name,
                    "labelled rows": round(report["train_examples"] * FEW["data.use"]),
                    "held out": report["held_out_examples"],
                    "accuracy, median": round(statistics.median(found), 3),
                    "lowest": round(min(found), 3),
                    "highest": round(max(found), 3),
                    "macro F1, median": round(statistics.median(scores), 3),
                    "seeds": len(SEEDS),
                }
            )
    return rows
