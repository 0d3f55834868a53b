"""What cheaper models give up: rounded, pruned and distilled, against the model that they come from (python-docs)."""

from __future__ import annotations

import statistics
import tempfile
from typing import Any

import pytest
import torch

from tests.benchmarks.generation import turns

SEEDS = (1, 2)
STEPS = 200
PRUNED = (0.3, 0.5, 0.7)
COMMON: dict[str, Any] = {
    "steps": STEPS, "wait": True, "runner": "inline", "train.queue": False, "train.leak_check": False,
    "sample.every": 0, "probe.every": 0, "train.context": 64, "train.threads": 1,
}  # fmt: skip
STUDENT: dict[str, Any] = {"size": "tiny", **COMMON}


def measure() -> list[dict[str, Any]]:
    """A row a model: bits per byte of held-out text, megabytes of weights, and how quickly it writes."""
    import nbllm
    from nbllm.data.builtin import python_docs

    corpus = "\n".join(python_docs())
    text = corpus[-len(corpus) // 20 :]  # of the tenth that is held out
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", folder)
        teacher = nbllm.train("teacher", size="mini", **COMMON).load()
        models = {"transformer 4x128": [teacher], "rounded to bfloat16": [teacher.quantize("bfloat16")]}
        models["rounded to int8"] = [teacher.quantize("int8")]
        models |= {f"{share:.0%} of its weights zero": [teacher.prune(share)] for share in PRUNED}
        alone = [nbllm.train(f"alone-{seed}", seed=seed, **STUDENT) for seed in SEEDS]
        taught = [nbllm.train(f"taught-{seed}", seed=seed, teacher="teacher", **STUDENT) for seed in SEEDS]
        shape = alone[0].config.model
        models[f"transformer {shape.layers}x{shape.width}, alone"] = [run.load() for run in alone]
        models["the same, taught by the first"] = [run.load() for run in taught]
        speeds = turns({name: _writes(found[0]) for name, found in models.items()}, 5)
        first = speeds["transformer 4x128"]
        rows = []
        for name, found in models.items():
            bits = [model.score(text) for model in found]
            rows.append(
                {
                    "model": name,
                    "MB": round(found[0].size() / 1e6, 2),
                    "bits per byte": round(statistics.median(bits), 3),
                    "lowest": round(min(bits), 3) if len(bits) > 1 else None,
                    "highest": round(max(bits), 3) if len(bits) > 1 else None,
                    "tokens/s, times the first": round(
                        statistics.median(a / b for a, b in zip(speeds[name], first, strict=True)), 2
                    ),
                }
            )
    return rows


def _writes(model: Any) -> Any:
    def run() -> int:
        torch.set_num_threads(1)
        return len(model.generate("The ", max_tokens=100, seed=1, stop_at_eos=False).ids)

    return run
