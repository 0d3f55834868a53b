"""The worker process: `python -m nbllm.runners.worker [--standby]`.

It reads one job from its standard input, one line of JSON and perhaps the bytes of a model class, and works on it.
With --standby it loads the heavy libraries first and waits; it ends by itself when its input ends without a job, or
after ten idle minutes. Once it has its job it is tied to nobody.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

IDLE_SECONDS = 600


def main() -> int:
    """Read the job, then do it. Returns the exit status."""
    standby = "--standby" in sys.argv[1:]
    only = _only_standby() if standby else None
    if standby and only is None:
        return 0
    if standby:
        _load_libraries()
    impatience = threading.Timer(IDLE_SECONDS, lambda: os._exit(0))
    impatience.daemon = True
    impatience.start()
    line = sys.stdin.buffer.readline()
    impatience.cancel()
    if not line.strip():
        return 0
    job = json.loads(line)
    payload = sys.stdin.buffer.read(job["payload"]) if job["payload"] else b""
    if only is not None:
        only.release()
    return _do(job, payload)


def _do(job: dict[str, Any], payload: bytes) -> int:
    folder = Path(job["folder"])
    _log_to(folder / "log.txt")
    os.environ.update(job["env"])
    if os.path.isdir(job["cwd"]):
        os.chdir(job["cwd"])
    _be_modest()
    if payload:
        _register_model(job["kind"], payload)
    from nbllm.runners.work import work
    from nbllm.store.folder import RunFolder
    from nbllm.store.status import read_status

    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = RunFolder(folder)
    work(run, stop_asked=lambda: bool(asked))
    fault = read_status(run.status_file).error
    if fault:
        print(f"Error: {fault['message']} {fault['advice']}", flush=True)
    return 1 if fault else 0


def _only_standby() -> FileLock | None:
    """The user's standby lock, taken; None where another worker already stands by."""
    from nbllm.store.folder import user_folder

    lock = FileLock(user_folder("runtime") / "standby.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _load_libraries() -> None:
    """Import all that a run needs, and run one small product, so that the first step is quick."""
    import torch

    import nbllm.runners.work  # noqa: F401

    (torch.ones(8, 8, requires_grad=True) @ torch.ones(8, 8)).sum().backward()


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


def _register_model(kind: str, payload: bytes) -> None:
    """Enter the class that the kernel which started this worker has sent. It never comes from a file."""
    import cloudpickle

    from nbllm.registry import MODELS

    MODELS.register(kind)(cloudpickle.loads(payload))


if __name__ == "__main__":
    sys.exit(main())
