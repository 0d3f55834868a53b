"""Reporter: keeps status.json true while a worker works, with a heartbeat of its own."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import psutil

from nbllm.store.folder import RunFolder
from nbllm.store.status import Status, write_status

_BEAT_SECONDS = 0.5


class Reporter:
    """Writes the status at once when the state changes, otherwise twice a second, also while one step takes long."""

    def __init__(self, folder: RunFolder, status: Status):
        self.status = status
        self._folder = folder
        self._notes: list[str] = []
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._process = psutil.Process()
        self._pace: list[tuple[float, int]] = []
        self._thread = threading.Thread(target=self._beat, name="nbllm-heartbeat", daemon=True)

    def __enter__(self) -> Reporter:
        self.update()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        with self._lock:
            self._write(durable=True)

    def update(self, state: str | None = None, **values: Any) -> None:
        """Change the status; it is written now where the state changes, otherwise with the next beat."""
        with self._lock:
            changed = state is not None and state != self.status.state
            if state is not None:
                self.status.state = state
            for name, value in values.items():
                setattr(self.status, name, value)
            if changed or not self._thread.is_alive():
                self._write(durable=True)

    def note(self, line: str) -> None:
        """Say a line beside the advice, until the run ends: something that was asked for does not work."""
        print(line, flush=True)
        with self._lock:
            if line not in self._notes:
                self._notes.append(line)

    def pace(self, seconds: float, tokens: int) -> None:
        """Tokens a second over about the last five seconds of training."""
        self._pace.append((seconds, tokens))
        while len(self._pace) > 2 and seconds - self._pace[1][0] > 5:
            self._pace.pop(0)
        (first, before), (last, after) = self._pace[0], self._pace[-1]
        if last > first:
            self.status.tokens_per_second = round((after - before) / (last - first), 1)

    def _beat(self) -> None:
        while not self._done.wait(_BEAT_SECONDS):
            try:
                self.status.memory_mb = round(self._process.memory_info().rss / 1e6, 1)
                with self._lock:
                    self._write()
            except OSError as error:  # a full disk must not end the training
                print(f"{time.strftime('%H:%M:%S')} status not written: {error}", flush=True)

    def _write(self, durable: bool = False) -> None:
        advice = " | ".join(filter(None, [self.status.advice, *self._notes]))
        write_status(self._folder.status_file, replace(self.status, advice=advice), durable=durable)
