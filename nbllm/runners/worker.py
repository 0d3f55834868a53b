"""The worker process: `python -m nbllm.runners.worker [--standby | --after]`.

It reads one job from its standard input, one line of JSON and the bytes of what cells have registered, and works on it.
The job is taken and the run claimed at once, by a thread, while the heavy libraries are loaded. With --standby it may
wait for its job; it ends by itself when its input ends without one, or after ten idle minutes. With --after its job
names another run, and until that has ended it waits without the heavy libraries, so that ten runs in a row take the
memory of one. Once it has its job it is tied to nobody.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nbllm.runners.claim import claim
from nbllm.store import control
from nbllm.store.folder import RunFolder, user_folder
from nbllm.store.status import LIVE, Status, read_status

IDLE_SECONDS = 600
_TURN_SECONDS = 0.3  # between looks at the run before


class Job:
    """What is to be done: received and claimed by a thread, as soon as it comes."""

    def __init__(self, standby: FileLock | None):
        self.payload = b""
        self.folder: RunFolder | None = None
        self.after: list[RunFolder] = []
        self.status: Status | None = None
        self.held = ExitStack()
        self._standby = standby
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Block until the job is there. The process ends where none comes."""
        self._thread.join(IDLE_SECONDS)
        if self.status is None:
            os._exit(0)

    def _receive(self) -> None:
        line = sys.stdin.buffer.readline()
        if not line.strip():
            os._exit(0)  # whoever started this worker is gone; the main thread may be deep in an import
        job: dict[str, Any] = json.loads(line)
        self.payload = sys.stdin.buffer.read(job["payload"]) if job["payload"] else b""
        if self._standby is not None:
            self._standby.release()
        folder = RunFolder(Path(job["folder"]))
        self.after = [RunFolder(Path(path)) for path in job["after"]]
        _log_to(folder.log)
        os.environ.update(job["env"])
        if os.path.isdir(job["cwd"]):
            os.chdir(job["cwd"])
        sys.path.extend(place for place in job["path"] if place not in sys.path)
        self.folder = folder
        self.status = self.held.enter_context(claim(folder, job["before"]))


def main() -> int:
    """Load the libraries, take the job, do it. Returns the exit status."""
    standby = None
    if "--standby" in sys.argv[1:]:
        standby = _only_standby()
        if standby is None:
            return 0
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = Job(standby)
    if "--after" in sys.argv[1:]:
        job.wait()
        if not _turn_comes(job, stop_asked=lambda: bool(asked)):
            job.held.close()
            return 0
    work = _load_libraries()
    job.wait()
    assert job.folder is not None
    assert job.status is not None
    _be_modest()
    with job.held:
        work(job.folder, job.status, stop_asked=lambda: bool(asked), payload=job.payload)
    fault = read_status(job.folder.status_file).error
    if fault:
        print(f"Error: {fault['message']} {fault['advice']}", flush=True)
    return 1 if fault else 0


def _turn_comes(job: Job, stop_asked: Callable[[], bool]) -> bool:
    """Wait until the runs before have ended or paused; False where this one is told to stop meanwhile."""
    from nbllm.runners.reporter import Reporter

    assert job.folder is not None
    assert job.status is not None
    with Reporter(job.folder, job.status) as reporter:
        while job.after:
            if job.after[0].status().state not in LIVE - {"paused"}:
                job.after.pop(0)
                continue
            reporter.update("queued", message=f"waits for {job.after[0].name}")
            if stop_asked() or control.waits(job.folder.control, "stop"):
                reporter.update("stopped", message="stopped while waiting")
                return False
            time.sleep(_TURN_SECONDS)
        reporter.update("starting", message="")
    return True


def _only_standby() -> FileLock | None:
    """The user's standby lock, taken; None where another worker already stands by."""
    lock = FileLock(user_folder("runtime") / "standby.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _load_libraries() -> Any:
    """Import all that a run needs, and run one small product, so that the first step is quick."""
    import torch

    from nbllm.runners.work import work

    (torch.ones(8, 8, requires_grad=True) @ torch.ones(8, 8)).sum().backward()
    return work


def _log_to(path: Path) -> None:
    """Send standard output and error, also of libraries in C, to the log."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115


def _be_modest() -> None:
    """Run a little behind the notebook, so that its cells stay quick."""
    import psutil

    try:
        if os.name == "posix":
            os.nice(5)
        else:
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    except (OSError, psutil.Error) as error:
        print(f"priority not lowered: {error}")


if __name__ == "__main__":
    sys.exit(main())
