"""How near the best the learning-rate finder lands: its suggestion against real short trainings at several rates.

    python -m tests.benchmarks.rates [OUT.json] [--steps 400] [--cases transformer,lstm]

Size tiny on python-docs, three seeds of the test; `fine-tuned` begins with a transformer of python-docs and goes on
with python-docstrings. Shown is the held-out loss at the end of a training at each rate, and by how much the rate that
a rule reads off the test is worse than the best of them (its loss interpolated between the trainings beside it).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nbllm
from nbllm.handles.find_lr import LrFinder

RATES = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1)
QUIET: dict[str, Any] = {"size": "tiny", "runner": "inline", "queue": False, "sample.every": 0, "probe.every": 0}
CASES: dict[str, dict[str, Any]] = {
    "transformer": {"model": "transformer", "data": "python-docs"},
    "lstm": {"model": "lstm", "data": "python-docs"},
    "transformer, AdamW": {"model": "transformer", "data": "python-docs", "optimizer": "adamw"},
    "fine-tuned": {"init_from": "parent", "data": "python-docstrings", "data.limit_mb": 1.0},
}
RULES: dict[str, Callable[[LrFinder], float]] = {
    "suggested": lambda found: found.lr or float("nan"),
    "steepest": lambda found: found.sweep.steepest,
    "tenth of the lowest": lambda found: found.sweep.lowest / 10,
}


def train(name: str, **settings: Any) -> float:
    """The held-out loss at the end of a training."""
    with contextlib.redirect_stdout(io.StringIO()):
        run = nbllm.train(name, **{**QUIET, **settings})
    if run.state != "finished":
        return float("inf")
    return float(run.metrics["val_loss"].dropna().iloc[-1])


def case(name: str, settings: dict[str, Any], steps: int) -> dict[str, Any]:
    """Trainings at every rate, and what the rules read off three tests."""
    losses = {
        rate: train(f"{name}-{rate:g}".replace(", ", "-"), steps=steps, lr=rate, replace=True, **settings)
        for rate in RATES
    }
    best = min(losses.values())
    asked = {key: value for key, value in QUIET.items() if key not in ("runner",)}
    tests = [nbllm.find_lr(**{**asked, **settings, "seed": seed}) for seed in (1, 2, 3)]
    rules = {}
    for rule, read in RULES.items():
        rates = [read(found) for found in tests]
        worse = [float(np.interp(np.log(rate), np.log(RATES), list(losses.values()))) / best - 1 for rate in rates]
        rules[rule] = {"rates": rates, "worse_percent": [round(100 * w, 2) for w in worse]}
    return {"losses": losses, "rules": rules, "seconds": [round(found.sweep.seconds, 1) for found in tests]}


def main() -> None:
    """Measure, print a table, and write the figures where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--cases", default=",".join(key for key in CASES if "," not in key))
    arguments = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as place:
        os.environ["NBLLM_RUNS"] = place
        chosen = [key for key in CASES if key in arguments.cases or arguments.cases == "all"]
        if "fine-tuned" in chosen:
            train("parent", model="transformer", data="python-docs", steps=arguments.steps)
        for name in chosen:
            found[name] = case(name, CASES[name], arguments.steps)
            print(f"\n{name}: held-out loss after {arguments.steps} steps")
            print("  " + "  ".join(f"{rate:g}: {loss:.3f}" for rate, loss in found[name]["losses"].items()))
            for rule, told in found[name]["rules"].items():
                rates = ", ".join(f"{rate:.2g}" for rate in told["rates"])
                print(f"  {rule:<20} {rates:<28} {max(told['worse_percent']):5.1f} % over the best, at worst")
            sys.stdout.flush()
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
