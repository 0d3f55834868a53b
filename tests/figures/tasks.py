"""Each application task on its own table: trained in the background on this machine, scored on rows it never read.

One entry a training, which gives a row a metric. NBLLM_FIGURE_TASKS=sentiment,qa-two measures these tasks or tables
alone and keeps the other rows of figures/tasks.json; NBLLM_FIGURE_SEEDS=1 takes fewer seeds, NBLLM_FIGURE_THREADS=1
trains on one core beside other work.

`cpu minutes` is what a training used, with all of its threads: on two quiet cores it lasts little over half of that.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from nbllm.store.status import read_status

SEEDS = (1, 2, 3, 4, 5)
KEPT = Path(__file__).resolve().parents[2] / "figures" / "tasks.json"
LESS_IS_BETTER = frozenset({"bits_per_byte"})
OVER: None = None
"""What is aimed at is to be better than the baseline."""


@dataclass(frozen=True)
class Entry:
    """A training: the task, its table, the metrics that are told with what is aimed at, and what it is trained with."""

    task: str
    on: str
    aims: Mapping[str, float | None]
    train: Mapping[str, Any] = field(default_factory=dict)


ENTRIES = (
    Entry("sentiment", "reviews", {"accuracy": 0.95}),
    Entry("sentiment", "zh-reviews", {"accuracy": 0.95}, {"data": "zh-reviews"}),
    Entry("topic", "python-topics", {"macro_f1": OVER}),
    Entry("pairs", "paraphrases", {"accuracy": 0.95}),
    Entry("extract", "events", {"entity_f1": 0.95, "triple_f1": 0.95}),
    Entry("extract", "zh-events", {"entity_f1": 0.95}, {"data": "zh-events"}),
    Entry("translate", "phrases-en-fr", {"exact_match": 0.95, "bleu": OVER}),
    Entry("translate", "phrases-en-zh", {"exact_match": 0.95, "bleu": OVER}, {"source": "en", "target": "zh"}),
    Entry("qa", "qa-one", {"exact_match": 0.98}, {"data": "qa-one"}),
    Entry("qa", "qa-two", {"exact_match": 0.85}, {"data": "qa-two"}),
    Entry("qa", "qa", {"exact_match": OVER}),
    Entry("qa", "zh-qa-one", {"exact_match": 0.98}, {"data": "zh-qa-one"}),
    Entry("summarize", "reports", {"fact_recall": 0.95}),
    Entry("summarize", "docstring-summaries", {"rouge_l": OVER}, {"data": "docstring-summaries"}),
    Entry("generate", "instructions", {"constraints_met": 0.9}),
    Entry("chat", "dialogues", {"task_success": 0.9, "exact_reply": OVER}),
    Entry("code", "python-completions", {"exact_line": OVER, "bits_per_byte": OVER, "parses": OVER}),
    Entry("explain", "function-summaries", {"edit_similarity": OVER}),
)


def measure() -> list[dict[str, Any]]:
    """A row a metric: median and worst over the seeds, sizes of the sets, minutes of a training."""
    only = [name for name in os.environ.get("NBLLM_FIGURE_TASKS", "").split(",") if name]
    seeds = SEEDS[: int(os.environ.get("NBLLM_FIGURE_SEEDS", len(SEEDS)))]
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in ENTRIES:
        if not only or entry.task in only or entry.on in only:
            found[entry.task, entry.on] = measured(entry, seeds)
            print(found[entry.task, entry.on], flush=True)
    kept = json.loads(KEPT.read_text(encoding="utf-8"))["rows"] if only and KEPT.is_file() else []
    return [
        row
        for entry in ENTRIES
        for row in found.get((entry.task, entry.on))
        or [row for row in kept if (row["task"], row["data"]) == (entry.task, entry.on)]
    ]


def measured(entry: Entry, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """The rows of an entry."""
    import nbllm

    task = nbllm.tasks.get(entry.task)
    threads = int(os.environ.get("NBLLM_FIGURE_THREADS", 0)) or None
    tables, minutes, learned = [], [], ""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", folder)
        patch.setenv("NBLLM_STANDBY", "0")
        for seed in seeds:
            # not queued: what is told is processor time, so that others may work beside it
            run = task.train(
                **entry.train, name=f"seed-{seed}", seed=seed, **{"train.queue": False, "train.threads": threads}
            )
            minutes.append(cpu_seconds(run) / 60)
            assert run.state == "finished", run.error
            tables.append(task.evaluate(run=run.name, limit=1000))
            report = json.loads((run.folder / "data" / "report.json").read_text(encoding="utf-8"))
            learned = (
                f"{report['train_examples']:,} rows"
                if "train_examples" in report
                else f"{report['train_tokens']:,} tokens"
            )
    rows = []
    for metric, aim in entry.aims.items():
        found = [float(table.loc[metric, "value"]) for table in tables]
        rows.append(
            {
                "task": entry.task,
                "data": entry.on,
                "metric": metric.replace("_", " "),
                "median": round(statistics.median(found), 3),
                "worst": round(max(found) if metric in LESS_IS_BETTER else min(found), 3),
                "aim": "over the baseline" if aim is None else f"{aim}",
                "baseline": ", ".join(f"{name} {beside:.3f}" for name, beside in baselines(tables[0], metric)),
                "learned from": learned,
                "rows scored": tables[0].attrs["rows"],
                "cpu minutes": round(statistics.median(minutes), 1),
                "seeds": len(seeds),
            }
        )
    return rows


def baselines(table: Any, metric: str) -> list[tuple[str, float]]:
    """Each baseline and how it does by a metric, the strongest first."""
    beside = table.loc[metric].drop(["value", "low", "high"]).dropna()
    ordered = beside.sort_values(ascending=metric in LESS_IS_BETTER, kind="stable")
    return [(str(name), float(value)) for name, value in ordered.items()]


def cpu_seconds(run: Any) -> float:
    """Wait for a run to end; the processor time of its worker."""
    used, process = 0.0, None
    while True:
        try:
            process = process or psutil.Process(read_status(run.folder / "status.json").worker["pid"])
            used = max(used, sum(process.cpu_times()[:2]))
        except (psutil.Error, KeyError):
            process = None
        if read_status(run.folder / "status.json").live:
            run.wait(0.5)
        else:
            run.wait()
            return used
