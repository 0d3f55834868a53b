"""Checkpoints on a disk that is full: the run says so, goes on, and its last good checkpoint stays."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbllm
from nbllm.runners import plan, saver
from nbllm.store.events import read_events
from nbllm.store.folder import RunFolder

QUICK: dict[str, Any] = {"size": "tiny", "layers": 1, "width": 64, "context": 16, "batch_size": 4, "heads": 2}
QUIET: dict[str, Any] = {"sample.every": 0, "probe.every": 0, "evaluate_every": 1000, "evaluate_tokens": 256}


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of its own with 3 MB, and the runs on it; no room is kept beside a checkpoint."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.name == "nt" or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here: it takes root on Linux")
    monkeypatch.setenv("NBLLM_RUNS", str(disk / "runs"))
    monkeypatch.setattr(saver, "_SPARE_BYTES", 0)
    monkeypatch.setattr(plan, "check_disk", lambda config, root: root.mkdir(exist_ok=True))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)  # token files may still be mapped


def test_a_worker_that_dies_of_a_full_disk_is_said_so(small_disk: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"{n} sheep jumped over the fence, and then {n + 1} more.\n" for n in range(400)))
    run = nbllm.train("full", data=str(text), steps=10_000_000, **QUICK, **QUIET)
    end = time.monotonic() + 120
    while run.step < 20:
        assert time.monotonic() < end
        time.sleep(0.05)
    others = os.open(small_disk / "others", os.O_CREAT | os.O_WRONLY)
    with contextlib.suppress(OSError):  # no space left
        while True:
            os.write(others, bytes(4096))
    os.close(others)
    while run.state == "training":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert run.state in ("lost", "failed")
    assert "disk is full" in run.error or "No space left" in run.error


def test_a_checkpoint_that_finds_no_room_is_said_and_the_run_goes_on(small_disk: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"{n} sheep jumped over the fence, and then {n + 1} more.\n" for n in range(400)))
    same = {"data": str(text), "runner": "inline", **QUICK, **QUIET}
    run = nbllm.train("full", steps=4, checkpoint_every=4, **same)
    folder = RunFolder(run.folder)
    assert folder.checkpoint_steps() == [4]
    free = shutil.disk_usage(small_disk).free
    (small_disk / "others").write_bytes(bytes(free - 150_000))  # room for the logs, and not for another checkpoint
    run.resume(steps=9, runner="inline")
    assert (run.state, run.step) == ("finished", 9)
    status = folder.status()
    assert "checkpoint of step 9 not saved" in status.advice
    assert "No space left on device" in status.advice
    assert folder.checkpoint_steps() == [4]
    assert [path.name for path in folder.checkpoints.iterdir()] == ["step-4"], "nothing half done is left"
    assert list(run.metrics.index) == list(range(1, 10))
    assert run.load().step == 4
    (small_disk / "others").unlink()
    run.resume(steps=12, runner="inline")
    assert (run.state, folder.checkpoint_steps()[-1]) == ("finished", 12)
    saved = [event["step"] for event in read_events(folder.metrics) if event["event"] == "checkpoint"]
    assert 9 not in saved
