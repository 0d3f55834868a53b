"""How much sooner the default model and `--preset fast` are as good as nanoGPT's recipe for a CPU.

    python -m tests.benchmarks.recipe [OUT.json] [--text FILE] [--rounds 5] [--cases python-docs,python-docs-bpe]

`--text` (or NBLLM_BENCH_TEXT) adds a text of yours, Tiny Shakespeare for instance, for which nanoGPT itself reaches
1.8982; without it the built-in python-docs alone is measured, by characters and by 512 BPE pieces. The recipe (see
`peers`) is trained once in full, for the loss it ends at on all windows of the held-out tenth; that is the goal. In
each round its first 200 steps are timed (a step costs the same all along) and ours is trained in full beside it: a
real worker process with its samples, attention maps, metrics and checkpoints, with budgets of steps that were chosen on
a split of the training part. Shown are the seconds of the training loop, ours with all it does in between, as medians,
and the held-out loss of ours at its end, which has to be at or below the goal. With NBLLM_BENCH_CLOCK=cpu the seconds
are those of the processor, and ours works in a process of its own without a worker.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.benchmarks import peers
from tests.benchmarks.table import options, tell

CASES: dict[str, dict[str, Any]] = {
    "python-docs": {"data": "python-docs"},
    "python-docs-bpe": {"data": "python-docs", "tokenizer.kind": "bpe", "tokenizer.vocab_size": 512},
}
OURS: dict[str, dict[str, Any]] = {
    "transformer 4x128": {"size": "mini", "model.layers": 4, "model.width": 128, "steps": 300},
    "preset fast": {"preset": "fast"},
}


def train(name: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """One training of ours in a worker: seconds of its loop, the loss of all held-out windows, parameters."""
    import nbllm
    from nbllm.data.token_file import TokenFile
    from nbllm.training import loop

    how: dict[str, Any] = {"wait": True}
    if peers.ON_CPU:  # the same work in this process, whose own seconds the loop then counts
        loop.time = SimpleNamespace(perf_counter=peers.now)  # type: ignore[assignment]
        how = {"runner": "inline"}
    run = nbllm.train(name, replace=True, seed=seed, **{"train.threads": peers.THREADS}, **how, **settings)
    if run.state != "finished":
        raise SystemExit(run.error)
    model = run.load()
    held_out = TokenFile.open(run.folder / "data" / "held_out.bin").ids()
    return {
        "folder": str(run.folder / "data"),
        "vocabulary": model.tokenizer.get_vocab_size(),
        "seconds": float(run.metrics["seconds"].iloc[-1]),
        "steps": run.step,
        "parameters": sum(p.numel() for p in model.module.parameters()),
        "loss": peers.whole_loss(model.module, model.module, held_out),
    }


def case(name: str, asked: dict[str, Any], rounds: int, goal: float | None, timed: int) -> list[dict[str, Any]]:
    """The recipe and ours on one text, in turns."""
    taken: dict[str, list[dict[str, Any]]] = {which: [] for which in OURS}
    recipe_seconds: list[float] = []
    first = peers.apart(train, "first", {**asked, "preset": "fast", "steps": 1}, 0)  # the token files for all
    where = (first["folder"], first["vocabulary"])
    goal = goal or peers.apart(peers.recipe, *where, peers.RECIPE_STEPS, True)["loss"]
    print(f"{name}: nanoGPT's recipe ends at {goal:.4f}", flush=True)
    for number in range(rounds):
        seconds = peers.apart(peers.recipe, *where, timed, False)["seconds"]
        recipe_seconds.append(seconds * peers.RECIPE_STEPS / timed)
        for which, settings in OURS.items():
            taken[which].append(peers.apart(train, which.replace(" ", "-"), {**asked, **settings}, number + 1))
            sooner = recipe_seconds[-1] / taken[which][-1]["seconds"]
            print(f"  {which}: loss {taken[which][-1]['loss']:.4f}, {sooner:.1f} times sooner", flush=True)
    rows: list[dict[str, Any]] = [
        {
            "text": name, "model": "nanoGPT's recipe", "steps": peers.RECIPE_STEPS, "held-out loss": round(goal, 4),
            "worst loss": None, "seconds": round(statistics.median(recipe_seconds), 1), "times sooner": 1.0,
        }
    ]  # fmt: skip
    for which, found in taken.items():
        ratios = [theirs / ours["seconds"] for theirs, ours in zip(recipe_seconds, found, strict=True)]
        rows.append(
            {
                "text": name,
                "model": which,
                "steps": found[0]["steps"],
                "held-out loss": round(statistics.median(each["loss"] for each in found), 4),
                "worst loss": round(max(each["loss"] for each in found), 4),
                "seconds": round(statistics.median(each["seconds"] for each in found), 2),
                "times sooner": round(statistics.median(ratios), 1),
            }
        )
    return rows


def measure(
    rounds: int = 5, text: str | None = None, names: str = "", goal: float | None = None, timed: int = 200
) -> list[dict[str, Any]]:
    """A row a text and model."""
    text = text or os.environ.get("NBLLM_BENCH_TEXT")
    cases = {Path(text).stem: {"data": str(Path(text).absolute())}, **CASES} if text else dict(CASES)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update({"NBLLM_RUNS": folder, "NBLLM_STANDBY": "0"})
        return [
            row for name, asked in cases.items() if not names or name in names.split(",")
            for row in case(name, asked, rounds, None if name in CASES else goal, timed)
        ]  # fmt: skip


def main() -> None:
    """Measure, print a table, and write the figures where a file is named."""
    asked = options(__doc__, rounds=5, text=str, cases="", goal=float, timed=200)
    tell(measure(asked.rounds, asked.text, asked.cases, asked.goal, asked.timed), asked.out)


if __name__ == "__main__":
    main()
