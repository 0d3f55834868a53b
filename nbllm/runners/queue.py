"""The queue: one run at a time on a device, in the order they came.

A ticket is a file, locked by its worker, so that a dead worker's ticket is known by its released lock; the device
itself is a lock too. Both lie in the user's runtime folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from nbllm.store.folder import user_folder

_POLL = 0.2


class Place:
    """A worker's place on a device. `take` waits for its turn, `leave` gives it up."""

    def __init__(self, device: str, root: Path | None = None):
        self._folder = (root or user_folder("runtime")) / "queue" / device.replace(":", "-")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._device = FileLock(self._folder / "device.lock", thread_local=False)

    def take(self, waiting: Callable[[int], bool]) -> bool:
        """Wait for the device. `waiting(ahead)` is called while others are before us; False from it gives up.

        Returns whether the device is ours now.
        """
        ticket = self._folder / f"{time.time_ns():020d}-{os.getpid()}.ticket"
        mine = FileLock(ticket, thread_local=False)
        mine.acquire()
        try:
            while True:
                ahead = self._ahead(ticket.name)
                if not ahead and self._try():
                    return True
                if not waiting(max(1, ahead)):
                    return False
                time.sleep(_POLL)
        finally:
            ticket.unlink(missing_ok=True) if os.name == "posix" else None
            mine.release()
            ticket.unlink(missing_ok=True)

    def leave(self) -> None:
        """Give the device up, for the next in line."""
        self._device.release()

    def _try(self) -> bool:
        try:
            self._device.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def _ahead(self, own: str) -> int:
        """Living tickets older than ours; dead ones are cleared away."""
        count = 0
        for path in sorted(self._folder.glob("*.ticket")):
            if path.name >= own:
                break
            lock = FileLock(path, thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                count += 1
                continue
            path.unlink(missing_ok=True)
            lock.release()
        return count
