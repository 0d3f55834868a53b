"""Runs in a row, each in a worker of its own: in turn, in little memory while they wait, whatever happens to one."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import nbllm

QUICK: dict[str, Any] = {
    "size": "tiny", "layers": 1, "width": 16, "context": 16, "batch_size": 4, "heads": 2,
    "sample.every": 0, "probe.every": 0, "evaluate_tokens": 256, "checkpoint_every": 20,
}  # fmt: skip
ENDLESS = 100_000_000
SECONDS = 120
TEXT = ["To be, or not to be, that is the question.\n" * 20] * 10


@pytest.fixture(autouse=True)
def _no_standby(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_STANDBY", "0")


def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what} did not come in {SECONDS} s"
        time.sleep(0.05)


def worker(run: nbllm.Run) -> psutil.Process:
    return psutil.Process(json.loads((run.folder / "status.json").read_text())["worker"]["pid"])


def begun(run: nbllm.Run) -> float:
    """When the first step was logged."""
    return json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[0])["t"]


def ended(run: nbllm.Run) -> float:
    return json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])["t"]


def test_one_after_another_and_each_the_run_it_would_be_alone() -> None:
    found = nbllm.train("row", data=TEXT, steps=30, seeds=2, wait=True, **QUICK)
    assert [run.state for run in found] == ["finished", "finished"], [run.error for run in found]
    assert begun(found[1]) > ended(found[0])
    alone = nbllm.train("alone", data=TEXT, steps=30, wait=True, seed=1338, **QUICK)
    assert found[1].metrics["loss"].tolist() == alone.metrics["loss"].tolist()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_those_that_wait_are_small_and_a_death_or_a_stop_passes_the_turn_on(runs: Path) -> None:
    found = nbllm.train("row", data=TEXT, steps=ENDLESS, seeds=4, **QUICK)
    first, second, third, fourth = found
    until(lambda: first.step > 0, "the first run's steps")
    until(lambda: [run.state for run in found] == ["training", "queued", "queued", "queued"], "the row")
    assert "waits for row-seed-1337" in (third.folder / "status.json").read_text()
    assert worker(third).memory_info().rss < 0.4 * worker(first).memory_info().rss
    worker(first).send_signal(signal.SIGKILL)
    until(lambda: second.step > 0, "the second run's steps")
    assert first.state == "lost"
    assert third.state == "queued"
    third.stop()
    until(lambda: third.state == "stopped", "the stop of one that waits")
    time.sleep(1.0)
    assert "waits for row-seed-1338" in (fourth.folder / "status.json").read_text(), "it does not overtake"
    found.stop().wait(SECONDS)
    assert [run.state for run in found] == ["lost", "stopped", "stopped", "stopped"]


def test_stopping_all_starts_none_and_each_can_go_on_by_itself() -> None:
    found = nbllm.train("row", data=TEXT, steps=ENDLESS, seeds=2, **QUICK)
    until(lambda: found[0].step > 0, "steps")
    found.stop().wait(SECONDS)
    assert [run.state for run in found] == ["stopped"] * 2
    assert found[1].step == 0
    assert found[1].resume(steps=10).wait(SECONDS).state == "finished", found[1].error
