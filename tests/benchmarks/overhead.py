"""What the engine adds to a bare loop of the same step: events, metrics, status, checkpoints, control.

    python -m tests.benchmarks.overhead [OUT.json] [--rounds 7]

Each model at its default size on python-docs. The engine is a whole run as `nbllm.train` does it, in this process, its
log, status and checkpoints on the disk at their default pace; what was asked for beside the training (held-out loss,
samples, attention maps) is off. The bare loop takes the same batches, model and optimizer: loss, gradient, clipping,
update, nothing else. They take turns; shown is the median of the ratio of their seconds a step.
"""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import nbllm
from nbllm.runners.assemble import assemble
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder
from tests.benchmarks.table import options, tell

CASES: dict[str, dict[str, Any]] = {
    "transformer 4x128": {"model": "transformer", "size": "mini"},
    "preset fast": {"preset": "fast"},
    "lstm 2x192": {"model": "lstm", "size": "mini"},
}
ALONE = {
    "sample.every": 0, "probe.every": 0, "train.evaluate_every": 10**9, "train.evaluate_tokens": 64,
    "train.leak_check": False, "queue": False, "data": "python-docs",
}  # fmt: skip


def engine(settings: dict[str, Any], steps: int) -> tuple[float, Path]:
    """Seconds a step of a run, without its first five, and its folder."""
    with contextlib.redirect_stdout(io.StringIO()):
        run = nbllm.train("engine", runner="inline", replace=True, steps=steps, **ALONE, **settings)
    if run.state != "finished":
        raise SystemExit(run.error)
    seconds = run.metrics["seconds"]
    return float(seconds.iloc[-1] - seconds.iloc[4]) / (steps - 5), run.folder


def bare(place: Path, steps: int) -> float:
    """Seconds a step of the same work without the engine, without its first five."""
    folder = RunFolder(place)
    training = assemble(folder, nbllm.attach(place).config, torch.device("cpu"), read_json(place / "data/report.json"))
    module, optimizers, began = training.module.train(), training.optimizers, 0.0
    for step in range(steps):
        if step == 5:
            began = time.perf_counter()
        batch = training.batch(step)
        optimizers.zero_grad()
        loss, _ = training.objective.loss(module, batch, step)
        loss.backward()
        loss.item()
        torch.nn.utils.clip_grad_norm_(optimizers.parameters, 1.0)
        optimizers.step(1e-3)
    return (time.perf_counter() - began) / (steps - 5)


def measure(rounds: int = 7, steps: int = 400) -> list[dict[str, Any]]:
    """A row a model."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NBLLM_RUNS"] = folder
        for name, settings in CASES.items():
            _, place = engine(settings, 10)
            pairs = []
            for _ in range(rounds):
                with_engine, place = engine(settings, steps)
                pairs.append((with_engine, bare(place, steps)))
            over = [ours / plain - 1 for ours, plain in pairs]
            rows.append(
                {
                    "model": name,
                    "a step of the bare loop, ms": round(1e3 * statistics.median(plain for _, plain in pairs), 2),
                    "with the engine, ms": round(1e3 * statistics.median(ours for ours, _ in pairs), 2),
                    "added": f"{statistics.median(over):+.1%}",
                    "from": f"{min(over):+.1%}",
                    "to": f"{max(over):+.1%}",
                }
            )
    return rows


def main() -> None:
    """Measure, print a table, and write the figures where a file is named."""
    asked = options(__doc__, rounds=7, steps=400)
    tell(measure(asked.rounds, asked.steps), asked.out)


if __name__ == "__main__":
    main()
