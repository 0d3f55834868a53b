"""Watch: what a run folder says, kept up with by small looks. No threads, no widgets: it reads and tells changes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nbllm.config import RunConfig
from nbllm.errors import NbllmError
from nbllm.store.events import Event, EventReader
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder
from nbllm.store.metrics import Metrics
from nbllm.store.status import Status, read_status

_SAMPLES = 40  # newest, kept for the page
_HEAD = 64  # bytes at the start of metrics.jsonl, by which one run is told from another: its first event has a time
_ALIVE_SECONDS = 1.0  # between looks at the writer's lock
_PROBE_SECONDS = 0.5


@dataclass
class Probes:
    """The probe text and the steps that have a map of it."""

    about: dict[str, Any] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return "gates" if self.about.get("kind") == "gates" else "attention"


class Watch:
    """One run folder, read incrementally. `look` returns the names of the parts that changed."""

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.metrics = Metrics()
        self.samples: list[Event] = []
        self.probes = Probes()
        self.log: list[str] = []
        self.status = Status("starting")
        self.config: RunConfig | None = None
        self.facts: list[tuple[str, str]] = []
        self.parent: dict[str, Any] = {}  # the run whose weights this one began with
        self._events = EventReader(folder.metrics)
        self._sampled = EventReader(folder.samples)
        self._stamps: dict[str, Any] = {}
        self.gone = False  # the folder was deleted or renamed: what was seen last stays
        self._file: tuple[int, int, bytes] | None = None  # inode, size and head of metrics.jsonl
        self._lock_looked = 0.0
        self._probe_looked = 0.0

    def replaced(self) -> bool:
        """Whether another run now lies in the folder: its metrics are another file, or begin otherwise."""
        try:
            info = os.stat(self.folder.metrics)
            if self._file is not None and self._file[:2] == (info.st_ino, info.st_size):
                return False
            with open(self.folder.metrics, "rb") as file:
                now = (info.st_ino, info.st_size, file.read(_HEAD))
        except OSError:
            return self._file is not None and self.folder.exists()
        before, self._file = self._file, now
        return before is not None and (now[0] != before[0] or now[1] < before[1] or not _begins_as(now[2], before[2]))

    def look(self) -> set[str]:
        """Take in what is new; of status, metrics, samples, probes, log, config, facts."""
        gone, self.gone = self.gone, not self.folder.exists()
        if self.gone:
            return set() if gone else {"status"}
        # The status comes first: a worker writes it after all else, so that an end is never seen without what it ended.
        parts = {
            "status": self._look_status, "config": self._look_config, "facts": self._look_facts,
            "metrics": self._look_metrics, "samples": self._look_samples, "probes": self._look_probes,
            "log": self._look_log,
        }  # fmt: skip
        return {name for name, look in parts.items() if look()} | ({"status"} if gone else set())

    def map(self, step: int) -> np.ndarray | None:
        """The map of that step, (layer, head, query, key) or (layer, gate, time, unit); None where it is gone."""
        try:
            with np.load(self.folder.probes / f"step-{step}.npz", allow_pickle=False) as file:
                return np.asarray(file[self.probes.kind], dtype=np.float32)
        except (OSError, KeyError, ValueError):
            return None

    def _changed(self, name: str, path: Path) -> bool:
        """Whether the file is another than at the last look."""
        try:
            info = os.stat(path)
            stamp: Any = (info.st_mtime_ns, info.st_size, info.st_ino)
        except OSError:
            stamp = None
        before = self._stamps.get(name, 0)
        self._stamps[name] = stamp
        return stamp != before

    def _look_status(self) -> bool:
        changed = self._changed("status", self.folder.status_file)
        now = time.monotonic()
        if now - self._lock_looked >= _ALIVE_SECONDS:
            self._lock_looked = now
            status = self.folder.status()
        elif changed:
            status = read_status(self.folder.status_file)
        else:
            return False
        if status == self.status:
            return False
        self.status = status
        return True

    def _look_metrics(self) -> bool:
        events = self._events.read()
        self.metrics.update(events)
        return bool(events)

    def _look_samples(self) -> bool:
        events = self._sampled.read()
        for event in events:
            if event.get("event") == "resume":
                self.samples = [s for s in self.samples if s.get("step", 0) <= event.get("step", 0)]
            elif event.get("event") == "sample":
                self.samples.append(event)
        del self.samples[:-_SAMPLES]
        return bool(events)

    def _look_probes(self) -> bool:
        now = time.monotonic()
        if now - self._probe_looked < _PROBE_SECONDS or not self._changed("probes", self.folder.probes):
            return False
        self._probe_looked = now
        about = read_json(self.folder.probes / "probe.json", {})
        steps = []
        try:
            names = os.listdir(self.folder.probes)
        except OSError:
            names = []
        for name in names:
            number = name.removeprefix("step-").removesuffix(".npz")
            if number.isdigit() and name == f"step-{number}.npz":
                steps.append(int(number))
        found = Probes(about if isinstance(about, dict) else {}, sorted(steps))
        if found == self.probes:
            return False
        self.probes = found
        return True

    def _look_log(self) -> bool:
        if not self._changed("log", self.folder.log):
            return False
        self.log = self.folder.log_tail(200)
        return True

    def _look_config(self) -> bool:
        if not self._changed("config", self.folder.config):
            return False
        try:
            self.config = RunConfig.from_yaml(self.folder.config.read_text(encoding="utf-8"))
        except (OSError, NbllmError):
            self.config = None
        return True

    def _look_facts(self) -> bool:
        """What environment.json and the data's own small JSON files tell, flat."""
        if not self._changed("facts", self.folder.environment) | self._changed("data", self.folder.data):
            return False
        environment = read_json(self.folder.environment, {})
        parent = environment.get("parent") if isinstance(environment, dict) else None
        self.parent = parent if isinstance(parent, dict) else {}
        found = list(_flat(environment))
        if self.folder.data.is_dir():
            for path in sorted(self.folder.data.glob("*.json")):
                if path.stat().st_size < 65536:
                    found += _flat(read_json(path, {}), path.stem)
        self.facts = found[:80]
        return True


def _begins_as(now: bytes, before: bytes) -> bool:
    """Whether two heads of a file that only grows can be of the same file."""
    return now[: len(before)] == before[: len(now)]


def _flat(content: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested values as (dotted name, text)."""
    if isinstance(content, dict):
        rows: list[tuple[str, str]] = []
        for key, value in content.items():
            rows += _flat(value, f"{name}.{key}" if name else str(key))
        return rows
    if isinstance(content, list):
        content = ", ".join(str(c) for c in content[:12]) + (" …" if len(content) > 12 else "")
    text = str(content)
    return [(name, text if len(text) <= 300 else text[:299] + "…")]
