"""metrics.jsonl and samples.jsonl: append-only files of one flat event a line.

Rules: a writer that starts cuts the file back to its last newline; a `resume` event of step N makes every earlier event
with a step beyond N void; a line that does not parse is skipped. A reader keeps its place and never re-reads.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Event = dict[str, Any]
_FLUSH_SECONDS = 0.05


class EventWriter:
    """Appends events. Lines reach the file at once, or at most 50 ms later while they come thick and fast."""

    def __init__(self, path: Path):
        self._file = open(path, "ab+")  # noqa: SIM115 - lives as long as the writer
        _cut_to_last_newline(self._file)
        self._flushed = 0.0

    def append(self, event: Event) -> None:
        """Write one event, stamped with the time."""
        line = json.dumps({"t": round(time.time(), 3), **event}, ensure_ascii=False, separators=(",", ":"))
        self._file.write(line.encode("utf-8", "surrogatepass") + b"\n")
        now = time.monotonic()
        if now - self._flushed > _FLUSH_SECONDS:
            self._file.flush()
            self._flushed = now

    def sync(self) -> None:
        """All that was appended is on the disk when this returns."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close."""
        if not self._file.closed:
            self._file.flush()
            self._file.close()


class EventReader:
    """Follows a file of events: each `read` gives what came since the last."""

    def __init__(self, path: Path):
        self.path = path
        self._offset = 0

    def read(self) -> list[Event]:
        """New events in order; [] where nothing came or there is no file yet. Half-written last lines wait."""
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._offset:
                    # A resuming writer cut off a torn last line, which was never handed out: go to the new end.
                    self._offset = size
                if size == self._offset:
                    return []
                file.seek(self._offset)
                data = file.read(size - self._offset)
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self._offset += end
        return parse_lines(data[:end])


def parse_lines(data: bytes) -> list[Event]:
    """The events of complete lines, parsed together, which is several times quicker than one by one."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    try:
        found = json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return [event for event in found if isinstance(event, dict)]


def read_events(path: Path) -> list[Event]:
    """All events that stand, those voided by a resume left out."""
    return standing(EventReader(path).read())


def standing(events: Iterable[Event]) -> list[Event]:
    """The events without those that a later `resume` voids."""
    kept: list[Event] = []
    for event in events:
        if event.get("event") == "resume":
            last = event.get("step", 0)
            kept = [e for e in kept if e.get("event") == "resume" or e.get("step", 0) <= last]
        kept.append(event)
    return kept


def _cut_to_last_newline(file: Any) -> None:
    end = file.seek(0, os.SEEK_END)
    position = end
    while position > 0:
        start = max(0, position - 65536)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < end:
        file.truncate(position)
    file.seek(0, os.SEEK_END)
