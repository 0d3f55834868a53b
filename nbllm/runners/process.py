"""The process runner: gives a run to a worker process of its own, which outlives the kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from nbllm.errors import RunError
from nbllm.runners import standby
from nbllm.runners.machine import share_cores
from nbllm.store.folder import RunFolder
from nbllm.store.status import read_status

_START_SECONDS = 120.0
_children: list[subprocess.Popen[bytes]] = []  # kept only to be reaped when they have ended
_exits: dict[int, int] = {}  # pid to exit code of those that were


def start(folder: RunFolder, payload: bytes = b"", after: Sequence[RunFolder] = ()) -> None:
    """Hand the run to the standby worker, or to a new one; returns once the worker has entered itself in status.json.

    `payload` are the pieces of the run that cells have registered, packed. It begins when the runs `after` have ended.
    Raises RunError where it does not start.
    """
    before = read_status(folder.status_file).worker
    job = _job(folder, payload, before, after)
    words = ["--after"] if after else []
    worker = (None if after else standby.take()) or spawn(*words)
    tries = 2  # a standby may end at the very moment it is given the job: then a fresh worker gets it
    until = time.monotonic() + _START_SECONDS
    while tries and time.monotonic() < until:
        tries -= 1
        reap()
        _children.append(worker)
        if _send(worker, job, payload) and _entered(folder, worker, before, until):
            return
        worker = spawn(*words)
    raise RunError(
        f"The worker of '{folder.name}' did not start. {folder.last_words()}", f"See {folder.log}, or type %llm_doctor"
    )


def _entered(folder: RunFolder, worker: subprocess.Popen[bytes], before: dict[str, Any], until: float) -> bool:
    """Wait until a worker has entered itself in status.json; False where ours ended without."""
    while time.monotonic() < until:
        ended = worker.poll() is not None
        if read_status(folder.status_file).worker not in ({}, before):
            return True
        if ended:
            return False
        time.sleep(0.01)
    return False


def spawn(*arguments: str) -> subprocess.Popen[bytes]:
    """A worker process in a session of its own: signals to the kernel do not reach it."""
    share_cores()
    options: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        options = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined,unused-ignore]
    return subprocess.Popen(
        [sys.executable, "-m", "nbllm.runners.worker", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **options,
    )


def reap() -> None:
    """Let go of workers that have ended."""
    ended = {child.pid: child.returncode for child in _children if child.poll() is not None}
    _exits.update(ended)
    _children[:] = [child for child in _children if child.pid not in ended]


def exit_code(pid: object) -> int | None:
    """How a worker that this process started has ended (a signal as its negative number); None where not known."""
    reap()
    return _exits.get(pid) if isinstance(pid, int) else None


def _job(folder: RunFolder, payload: bytes, before: dict[str, Any], after: Sequence[RunFolder]) -> bytes:
    """The job as it is sent. `before` is the run's last worker: where another came between, the run is not taken."""
    job = {
        "folder": str(folder.path),
        "cwd": os.getcwd(),
        "before": before,
        "after": [str(run.path) for run in after],
        "env": dict(os.environ),
        "path": [os.path.abspath(place) for place in sys.path],  # where the modules of the notebook's folder are
        "payload": len(payload),
    }
    return json.dumps(job).encode() + b"\n"


def _send(worker: subprocess.Popen[bytes], job: bytes, payload: bytes) -> bool:
    """Hand the job over; False where the worker is gone."""
    assert worker.stdin is not None
    try:
        worker.stdin.write(job + payload)
        worker.stdin.close()
    except OSError:
        return False
    return True
