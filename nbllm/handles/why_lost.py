"""Why a worker is gone: its exit where this process started it, and what memory, machine and clock say."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import psutil

from nbllm.runners import process
from nbllm.runners.machine import memory_limit
from nbllm.store.folder import RunFolder
from nbllm.store.status import Status

_NEARLY_ALL = 0.7  # of the memory there is, from which its end is likely the memory's doing
_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))


def lost(folder: RunFolder, status: Status) -> tuple[str, list[str], list[str]]:
    """Headline, evidence and what to type, for a run whose worker has died."""
    worker = status.worker
    host = str(worker.get("host", ""))
    evidence = [f"its last sign of life was {ago(time.time() - status.heartbeat)} ago"]
    if host and host != socket.gethostname():
        return (
            f"Its worker ran on another machine, {host}, and holds the run no more.",
            [*evidence, f"this is {socket.gethostname()}: of that machine nothing can be seen from here"],
            [],
        )
    if psutil.boot_time() > status.heartbeat:
        return "The machine was switched off or restarted while it trained.", evidence, []
    code = process.exit_code(worker.get("pid"))
    evidence.append(f"its worker, process {worker.get('pid')}, {told(code)}")
    killed = kills()
    if killed:
        evidence.append(f"the system has killed {killed} processes here since the start, for want of memory")
    used, there = (status.memory_mb or 0) * 1e6, memory_limit()
    if used:
        evidence.append(f"it held {used / 1e9:.2f} GB of {there / 1e9:.1f} GB")
    hungry = used > _NEARLY_ALL * there or bool(killed)
    if hungry and code in (None, -9):
        todo = ["Close what else takes memory; or train anew with a smaller --batch-size, --context or --size"]
        return "Its worker was killed, most likely for want of memory.", evidence, todo
    if code == -9:
        return "Its worker was killed by force (kill -9, or the system for want of memory).", evidence, []
    if code in (-11, -7, -6, -4):
        return "Its worker crashed inside a library in C.", evidence, ["%llm_doctor"]
    if code is not None and code > 0:
        return "Its worker ended by an error of its own; see the log.", evidence, ["%llm_doctor"]
    return "Its worker is gone without a word: killed, or its session was ended.", evidence, []


def told(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "is gone; how it ended is known only to the kernel that started it"
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"


def kills() -> int:
    """Processes that the container's own limit of memory has cost so far; 0 where that cannot be known."""
    for path in _EVENTS:
        try:
            words = path.read_text().split()
        except OSError:
            continue
        counts = dict(zip(words[::2], words[1::2], strict=False))
        if counts.get("oom_kill", "0").isdigit():
            return int(counts.get("oom_kill", "0"))
    return 0


def ago(seconds: float) -> str:
    """12 s, 5 min, 3 h, 2 days."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
