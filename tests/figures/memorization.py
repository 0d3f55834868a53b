"""Exposure of planted secrets (at most 13.3 bits, by chance 1.4), an LSTM five times over 0.16 MB, means of 3 seeds"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

COUNTS = (1, 4, 16)
SEEDS = (1, 2, 3)
DEFENCES: dict[str, dict[str, Any]] = {
    "none": {},
    "dropout 0.2": {"model.dropout": 0.2},
    "no near duplicates": {"data.clean.near_duplicates": True},
}
SETTINGS: dict[str, Any] = {
    "data": "python-docs", "data.limit_mb": 0.16, "model": "lstm", "size": "tiny", "steps": 700, "data.canary_each": 5,
    "train.evaluate_every": 350, "leak_check": False,
}  # fmt: skip


def trained(name: str, seed: int, counts: tuple[int, ...] = COUNTS, **more: Any) -> Any:
    """A run with canaries, planted so often each."""
    import nbllm

    planted = {"data.canaries": ",".join(map(str, counts))}
    run = nbllm.train(f"{name}-{seed}", seed=seed, runner="inline", **{**SETTINGS, **planted, **more})
    assert run.state == "finished", run.error
    return run


def measure() -> list[dict[str, Any]]:
    """A row a defence and a number of plantings."""
    import pandas as pd

    rows = []
    with tempfile.TemporaryDirectory() as name:
        os.environ["NBLLM_RUNS"] = str(Path(name) / "runs")
        for number, (defence, settings) in enumerate(DEFENCES.items()):
            found, bits = [], []
            for seed in SEEDS:
                run = trained(f"defence-{number}", seed, **settings)
                found.append(run.exposure().more["The canaries"].assign(seed=seed))
                bits.append(float(run.metrics["bits_per_byte"].dropna().iloc[-1]))
            each = pd.concat(found)
            for planted, part in each.groupby("asked"):
                by_seed = part.groupby("seed").exposure.mean()
                rows.append(
                    {
                        "defence": defence,
                        "planted": int(planted),
                        "exposure, bits": round(float(by_seed.mean()), 2),
                        "lowest seed": round(float(by_seed.min()), 2),
                        "highest seed": round(float(by_seed.max()), 2),
                        "first among 10,000": f"{int((part['rank'] == 1).sum())} of {len(part)}",
                        "held-out bits per byte": round(sum(bits) / len(bits), 3),
                    }
                )
    return rows
