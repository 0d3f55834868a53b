"""RunFolder: the paths of a run, its life, and the folder that holds all runs."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from nbllm.errors import RunError, did_you_mean
from nbllm.store.status import Status, read_status

_NAME = re.compile(r"[\w][\w.+-]{0,99}", re.UNICODE)
_FULL_BYTES = 64e3
_START_SECONDS = 30  # a worker that was asked for has so long to take the lock
_started_in = Path.cwd()


class RunFolder:
    """The folder of one run; knows where everything is, and whether a worker is alive."""

    def __init__(self, path: Path):
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer.json"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def probes(self) -> Path:
        return self.path / "probes"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def status_file(self) -> Path:
        return self.path / "status.json"

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def labels(self) -> Path:
        return self.path / "labels.json"

    @property
    def _lock(self) -> Path:
        return self.path / ".lock"

    def exists(self) -> bool:
        """Whether a run is here."""
        return self.status_file.is_file() or (self.config.is_file() and self.environment.is_file())

    @contextmanager
    def writing(self, timeout: float = 10) -> Iterator[None]:
        """Hold the writer's lock; RunError where another worker has it."""
        lock = FileLock(self._lock, timeout=timeout, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise RunError(
                f"Run '{self.name}' already has a worker.", f"Watch it: %llm_attach {self.name}, or stop it first."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def alive(self) -> bool:
        """Whether a worker holds the lock. The pid proves nothing: numbers are used again, and zombies look alive."""
        try:
            return _is_held(self._lock)
        except FileNotFoundError:
            return False

    def status(self) -> Status:
        """The status, with state `lost` where the worker has died."""
        status = read_status(self.status_file)
        if status.live and not self.alive():
            fresh = time.time() - status.heartbeat < _START_SECONDS
            if status.worker or not fresh:
                again = read_status(self.status_file)  # it may have ended between the two looks
                if again.live:
                    again.state = "lost"
                    again.message = self.last_words()
                return again
        return status

    def last_words(self, lines: int = 3) -> str:
        """The last lines of the log, on one line; and that the disk is full, which nobody could write down."""
        said = self.log_tail(lines)
        if shutil.disk_usage(self.path).free < _FULL_BYTES:
            said.append("the disk is full")
        return " | ".join(said)

    def log_tail(self, lines: int = 200) -> list[str]:
        """The last lines of log.txt, at most 64 kB of it."""
        try:
            with open(self.log, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 65536))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        return [line for line in text.splitlines() if line.strip()][-lines:]

    def checkpoint_steps(self) -> list[int]:
        """Steps of the complete checkpoints, rising."""
        if not self.checkpoints.is_dir():
            return []
        found = []
        for path in self.checkpoints.iterdir():
            prefix, _, number = path.name.partition("-")
            if prefix == "step" and number.isdigit() and (path / "state.json").is_file():
                found.append(int(number))
        return sorted(found)

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint of that step."""
        return self.checkpoints / f"step-{step}"

    def delete(self) -> None:
        """Remove the folder. RunError while a worker lives."""
        if self.alive():
            raise RunError(f"Run '{self.name}' is still at work.", f"Stop it first: nbllm.attach('{self.name}').stop()")
        shutil.rmtree(self.path)


def _is_held(path: Path) -> bool:
    """Whether somebody holds this lock. Looking neither makes the file nor stands in another looker's way."""
    if os.name == "posix":
        import fcntl

        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False
    if not path.exists():
        return False
    for _ in range(2):  # another looker may hold it for a moment
        try:
            with FileLock(path, timeout=0, thread_local=False):
                return False
        except Timeout:
            time.sleep(0.02)
    return True


def runs_root() -> Path:
    """The folder of all runs: $NBLLM_RUNS, or ./runs where nbllm was loaded."""
    given = os.environ.get("NBLLM_RUNS")
    return _started_in / Path(given).expanduser() if given else _started_in / "runs"


def user_folder(part: str) -> Path:
    """A folder of this user, made where missing: under $NBLLM_HOME, or the system's cache."""
    home = os.environ.get("NBLLM_HOME")
    folder = (
        Path(home).expanduser().absolute() if home else Path(platformdirs.user_cache_dir("nbllm", appauthor=False))
    ) / part
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_name(name: str) -> str:
    """The name, where it can be a folder everywhere; RunError otherwise."""
    if not _NAME.fullmatch(name) or name.endswith(".") or name == "last":
        raise RunError(f"'{name}' cannot name a run.", "Use letters, digits, - _ . and +, as in shakespeare-2")
    return name


def find_run(name: str | Path, root: Path | None = None) -> RunFolder:
    """The run of that name, folder, or `last` for the newest; RunError with near names otherwise."""
    root = root or runs_root()
    if str(name) == "last":
        runs = list_runs(root)
        if not runs:
            raise RunError(f"There is no run in {root}.", "Train one: %llm_train")
        return runs[-1]
    text = str(name)
    folder = RunFolder(root / text) if _NAME.fullmatch(text) else RunFolder(Path(text).expanduser().absolute())
    if not folder.exists() and Path(text).is_dir() and RunFolder(Path(text)).exists():
        folder = RunFolder(Path(text).absolute())
    if not folder.exists():
        known = [run.name for run in list_runs(root)]
        there = "%llm_runs lists those that are there." if known else f"No run is in {root} yet."
        raise RunError(f"There is no run '{name}'.", did_you_mean(name, known) or there)
    return folder


def list_runs(root: Path | None = None) -> list[RunFolder]:
    """All runs, oldest first."""
    root = root or runs_root()
    if not root.is_dir():
        return []
    runs = [RunFolder(path) for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted((run for run in runs if run.exists()), key=_age)


def _age(run: RunFolder) -> tuple[float, str]:
    try:
        return run.config.stat().st_mtime, run.name
    except OSError:
        return 0.0, run.name


def free_name(stem: str, root: Path | None = None) -> str:
    """`stem-1`, `stem-2`, ...: the first that is free."""
    root = root or runs_root()
    number = 1
    while (root / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"
