"""Each application task on its own table: trained in the background on this machine, scored on rows it never read.

One entry a task. NBLLM_FIGURE_TASKS=sentiment,qa measures these alone and keeps the other rows of figures/tasks.json;
NBLLM_FIGURE_SEEDS=1 takes fewer seeds.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SEEDS = (1, 2, 3, 4, 5)
KEPT = Path(__file__).resolve().parents[2] / "figures" / "tasks.json"


@dataclass(frozen=True)
class Entry:
    """A row of the table: the task, what it is trained with, the metric that is told, what is aimed at, and the
    baseline beside it."""

    task: str
    metric: str
    goal: float
    baseline: str
    train: dict[str, Any] = field(default_factory=dict)
    on: str = ""


ENTRIES = (
    Entry("sentiment", "accuracy", 0.95, "bag of words", on="reviews"),
    Entry("sentiment", "accuracy", 0.95, "bag of words", {"data": "zh-reviews"}, on="zh-reviews"),
    Entry("extract", "entity_f1", 0.95, "seen names"),
    Entry("extract", "triple_f1", 0.95, "seen names"),
    Entry("extract", "entity_f1", 0.95, "seen names", {"data": "zh-events"}, on="zh-events"),
    Entry("topic", "macro_f1", 0.8, "bag of words"),
    Entry("pairs", "accuracy", 0.95, "bag of words"),
    Entry("translate", "exact_match", 0.95, "copy", on="phrases-en-fr"),
    Entry("translate", "exact_match", 0.95, "copy", {"source": "en", "target": "zh"}, on="phrases-en-zh"),
    Entry("qa", "exact_match", 0.98, "word overlap", {"data": "qa-one"}, on="qa-one"),
    Entry("qa", "exact_match", 0.85, "word overlap", {"data": "qa-two"}, on="qa-two"),
    Entry("qa", "exact_match", 0.9, "most frequent", on="qa"),
    Entry("qa", "exact_match", 0.98, "word overlap", {"data": "zh-qa-one"}, on="zh-qa-one"),
    Entry("summarize", "fact_recall", 0.95, "lead", on="reports"),
    Entry("code", "exact_line", 0.0, "n-gram", on="python-completions"),
    Entry("code", "bits_per_byte", 0.0, "n-gram", on="python-completions"),
    Entry("code", "parses", 0.0, "n-gram", on="python-completions"),
    Entry("explain", "edit_similarity", 0.0, "n-gram", on="function-summaries"),
    Entry("summarize", "rouge_l", 0.0, "lead", {"data": "docstring-summaries"}, on="docstring-summaries"),
    Entry("generate", "constraints_met", 0.9, "random reply"),
    Entry("chat", "task_success", 0.9, "most frequent reply"),
    Entry("chat", "exact_reply", 0.0, "most frequent reply"),
)


def measure() -> list[dict[str, Any]]:
    """A row an entry: medians and minima over the seeds, sizes of the sets, minutes of a training."""
    only = [name for name in os.environ.get("NBLLM_FIGURE_TASKS", "").split(",") if name]
    seeds = SEEDS[: int(os.environ.get("NBLLM_FIGURE_SEEDS", len(SEEDS)))]
    kept = json.loads(KEPT.read_text(encoding="utf-8"))["rows"] if only and KEPT.is_file() else []
    rows = [row for row in kept if row["task"] not in only]
    for entry in ENTRIES:
        if not only or entry.task in only:
            rows.append(measured(entry, seeds))
            print(rows[-1], flush=True)
    return rows


def measured(entry: Entry, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The row of an entry."""
    import nbllm

    task = nbllm.tasks.get(entry.task)
    found, minutes, beside, about = [], [], [], {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", folder)
        for seed in seeds:
            run = task.train(**entry.train, name=f"seed-{seed}", seed=seed, wait=True)
            assert run.state == "finished", run.error
            table = task.evaluate(run=run.name, limit=2000)
            found.append(float(table.loc[entry.metric, "value"]))
            beside.append(float(table.loc[entry.metric, entry.baseline]))
            minutes.append(float(run.metrics["seconds"].dropna().iloc[-1]) / 60)
            report = json.loads((run.folder / "data" / "report.json").read_text(encoding="utf-8"))
            about = {"learned from": report["train_examples"], "scored on": table.attrs["rows"]}
    return {
        "task": entry.task,
        "data": entry.on or task.table,
        "metric": entry.metric.replace("_", " "),
        "median": round(statistics.median(found), 3),
        "lowest": round(min(found), 3),
        "aim": entry.goal,
        "baseline": f"{entry.baseline} {statistics.median(beside):.3f}",
        **about,
        "minutes": round(statistics.median(minutes), 1),
        "seeds": len(seeds),
    }
