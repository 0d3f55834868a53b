"""Run commands in a box with a limit of memory, as a container has one, and tell what each took.

Where this process may make control groups (root on Linux, version 1 or 2) the kernel holds the limit, page cache and
all. Elsewhere the limit is held here: a command over it is ended.
What is told is the memory of all processes of the command together, each shared page counted once (PSS). Files that the
system keeps cached count to the limit and not to what is told: they are given back when memory is asked for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_LOOK_SECONDS = 0.2
_ROOTS = ((Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), "memory.max"))


@dataclass(frozen=True)
class Took:
    """What a command took: seconds, seconds of work of processors, and the most megabytes (10^6 bytes) at once."""

    seconds: float
    processor: float
    megabytes: float


class Box:
    """A limit in megabytes, and the cores that commands may use; close it, or use it in a `with`."""

    def __init__(self, megabytes: int, cores: set[int] | None = None):
        self.limit = megabytes * 1_000_000
        self.cores = cores
        self.group = _group(self.limit)

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_: object) -> None:
        if self.group is not None:
            for _ in range(50):  # its last processes are going
                with suppress(OSError):
                    return self.group.rmdir()
                time.sleep(0.1)

    def run(self, command: list[str], cwd: Path, env: dict[str, str], seconds: int = 1800) -> Took:
        """Run a command to its end. Raises RuntimeError with its last words when it fails, is over the limit or over
        its time."""
        start = time.monotonic()
        log = cwd / f"box-{uuid.uuid4().hex[:8]}.log"
        with log.open("w", encoding="utf-8") as out:
            process = subprocess.Popen(self._inside(command), cwd=cwd, env=env, stdout=out, stderr=subprocess.STDOUT)
            watch = _Watch(process.pid, self.limit)
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = -1
            finally:
                watch.end()
        if code or watch.over:
            why = "over its memory" if watch.over else "over its time" if code == -1 else f"ended with {code}"
            raise RuntimeError(f"{' '.join(command)}: {why}\n{log.read_text(encoding='utf-8')[-3000:]}")
        log.unlink()
        return Took(round(time.monotonic() - start, 1), round(watch.processor, 1), round(watch.peak / 1e6))

    def _inside(self, command: list[str]) -> list[str]:
        """The command, which first goes into the group and onto its cores."""
        code = ["import os, sys"]
        if self.group is not None:
            code.append(f"open({str(self.group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))")
        if self.cores is not None and hasattr(os, "sched_setaffinity"):
            code.append(f"os.sched_setaffinity(0, {self.cores})")
        code.append("os.execvp(sys.argv[1], sys.argv[1:])")
        return [sys.executable, "-c", "; ".join(code), *command]


class _Watch:
    """Looks at a process and all that it started, from a thread, until it is told to end; then ends what is left."""

    def __init__(self, pid: int, limit: int):
        self.peak = 0
        self.over = False
        self._root = psutil.Process(pid)
        self._limit = limit
        self._family: dict[int, psutil.Process] = {pid: self._root}
        self._seconds: dict[int, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def processor(self) -> float:
        """Seconds of processors, of all that was seen."""
        return sum(self._seconds.values())

    def end(self) -> None:
        self._done.set()
        self._thread.join()
        self._kill()

    def _look(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            for each in list(self._family.values()):  # a worker is a session of its own, and outlives its parent
                with suppress(psutil.NoSuchProcess):
                    self._family.update({child.pid: child for child in each.children(recursive=True)})
            for pid, each in self._family.items():
                with suppress(psutil.NoSuchProcess):
                    times = each.cpu_times()
                    self._seconds[pid] = times.user + times.system
            now = sum(_memory(each) for each in self._family.values())
            self.peak = max(self.peak, now)
            if now > self._limit:
                self.over = True
                self._kill()

    def _kill(self) -> None:
        for each in self._family.values():
            with suppress(psutil.NoSuchProcess):
                each.kill()


def _memory(process: psutil.Process) -> int:
    """Bytes of a process, its shared pages by their share; where that is not told, all that is resident."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
        return 1024 * next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    except (OSError, StopIteration):
        pass
    try:
        return int(process.memory_info().rss) if process.is_running() else 0
    except psutil.Error:
        return 0


def _group(limit: int) -> Path | None:
    """A control group with this limit, or None where none can be made."""
    for root, name in _ROOTS:
        if not root.is_dir():
            continue
        folder = root / f"nbllm-{uuid.uuid4().hex[:8]}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / name).write_text(str(limit), encoding="ascii")
            return folder
        except OSError:
            folder.rmdir()
    return None
