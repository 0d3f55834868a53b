"""The unit that keeps track of quotation marks, chosen on one half of a text and judged on the other, over 3 seeds"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

SEEDS = (1, 2, 3)
STEPS = 600
# Plain layers are the textbook's: all that the network remembers passes through its cells.
NETWORK = {
    "size": "tiny", "model.layers": 1, "model.width": 32, "model.plain": True, "train.context": 64,
    "train.batch_size": 32, "train.lr": 0.02, "data.limit_mb": 0.5, "sample.every": 0, "train.evaluate_every": 200,
}  # fmt: skip
CASES = (
    ("lstm", "quotes", "word", STEPS), ("lstm", "zh-quotes", "char", STEPS), ("gru", "quotes", "word", STEPS),
    ("lstm", "quotes", "word", 1),
)  # fmt: skip


def measure() -> list[dict[str, Any]]:
    """A row a network and text: the r of the best unit on text that had no say in its choice, and what chance gives."""
    import nbllm
    from nbllm.data.quotes import quotes, zh_quotes

    unseen = {"quotes": "\n".join(quotes(seed=7, count=20)), "zh-quotes": "\n".join(zh_quotes(seed=7, count=20))}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        os.environ["NBLLM_RUNS"] = str(Path(name) / "runs")
        for model, data, tokenizer, steps in CASES:
            found = []
            for seed in SEEDS:
                run = nbllm.train(
                    f"{model}-{data}-{steps}-{seed}", data=data, model=model, tokenizer=tokenizer, seed=seed,
                    steps=steps, runner="inline", **NETWORK,
                )  # fmt: skip
                assert run.state == "finished", run.error
                found.append(run.load().units(unseen[data], "quote"))
            sizes = [abs(float(units.held_out[0])) for units in found]
            rows.append(
                {
                    "model": f"{model}, 1 layer of 32" + (", untrained" if steps == 1 else ""),
                    "text": f"{data}, a token a {tokenizer}",
                    "r of the best unit, held out": round(statistics.median(sizes), 3),
                    "lowest": round(min(sizes), 3),
                    "highest": round(max(sizes), 3),
                    "best by chance": round(statistics.median(units.chance for units in found), 3),
                    "units": ", ".join(f"{units.table.state[0]} {units.units[0]}" for units in found),
                }
            )
            print(rows[-1], flush=True)
    return rows
