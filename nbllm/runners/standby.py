"""The standby: one idle worker a user with its libraries loaded, so that the first loss comes quickly."""

from __future__ import annotations

import os
import subprocess
import threading

from nbllm.runners.machine import memory_free

NEEDED_BYTES = 3e9
_idle: subprocess.Popen[bytes] | None = None
_wanted = False
_lock = threading.Lock()


def start() -> bool:
    """Start a standby where memory allows and this is no Binder; it is renewed after each use until `stop`.

    Returns whether one was started. A second one of the same user ends by itself.
    """
    global _wanted
    if os.environ.get("BINDER_SERVICE_HOST") or os.environ.get("NBLLM_STANDBY") == "0":
        return False
    _wanted = True
    return _start()


def _start() -> bool:
    from nbllm.runners.process import spawn

    global _idle
    with _lock:
        if not _wanted or memory_free() < NEEDED_BYTES or (_idle is not None and _idle.poll() is None):
            return False
        _idle = spawn("--standby")
        return True


def take() -> subprocess.Popen[bytes] | None:
    """The standby, no longer idle from now on; None where there is none. A new one starts in a few seconds."""
    global _idle
    with _lock:
        worker, _idle = _idle, None
    if _wanted:
        timer = threading.Timer(8, _start)
        timer.daemon = True
        timer.start()
    return worker if worker is not None and worker.poll() is None else None


def stop() -> None:
    """End the standby: its input ends, and so does it."""
    global _idle, _wanted
    _wanted = False
    with _lock:
        worker, _idle = _idle, None
    if worker is not None and worker.stdin is not None:
        worker.stdin.close()
        worker.wait(10)
