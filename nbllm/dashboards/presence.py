"""Whether somebody is looking: counted from the last sign of a page, and only while a sign could have been heard.

The page sends a sign every 20 s. While a cell runs, the kernel hears nothing, and that is no absence: time counts only
when the kernel's event loop answered a ping since the last look.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

AWAY_SECONDS = 60.0
DEAF_SECONDS = 5.0  # no sign at all for so long: no page shows widgets here


class Presence:
    """Signs from a page, and the time without one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._silent = 0.0
        self._looked = clock()
        self._answered = False
        self._asked = False
        self.seen = False
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def sign(self) -> None:
        """A page spoke."""
        with self._lock:
            self.seen = True
            self._silent = 0.0
            self._looked = self._clock()

    def look(self) -> None:
        """Count the time since the last look, where the loop was free. Called about once a second or oftener."""
        with self._lock:
            now = self._clock()
            passed, self._looked = now - self._looked, now
            if self._loop is None or self._answered:
                # A laptop that slept, or a long wait for this thread, is no absence either.
                self._silent += min(passed, 2.0)
            self._answered = False
            ask = self._loop is not None and not self._asked
            self._asked = self._asked or ask
        if ask and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._pong)
            except RuntimeError:  # the loop is closed: the kernel is going away
                self._loop = None

    def _pong(self) -> None:
        with self._lock:
            self._answered, self._asked = True, False

    @property
    def away(self) -> bool:
        """Nobody has looked for a minute."""
        return self._silent > AWAY_SECONDS

    @property
    def deaf(self) -> bool:
        """No page ever spoke, and there was time to."""
        return not self.seen and self._silent > DEAF_SECONDS
