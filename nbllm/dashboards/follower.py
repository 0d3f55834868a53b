"""Follower: one thread a run and process that reads the run folder and hands the news to every view of it.

A view has `offer(feed)`, called from the thread at most ten times a second, `settle(feed)`, called at the end of a cell
and of the kernel, and `closed`. The thread ends when the run has ended and all was shown, or when no view is left;
`wake` starts it again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

from nbllm.dashboards.feed import Feed
from nbllm.dashboards.watch import Watch
from nbllm.store.folder import RunFolder
from nbllm.store.status import ENDED

_log = logging.getLogger(__name__)
QUICK_SECONDS = 0.15  # between looks while something happens
SLOW_SECONDS = 0.6  # while nothing does
LINGER_SECONDS = 4.0  # after the end, for last words in the files


class View(Protocol):
    """What is shown somewhere."""

    closed: bool

    @property
    def urgent(self) -> bool:
        """Whether what is to be kept of a cell must be shown before the cell ends."""

    def offer(self, feed: Feed) -> None:
        """Show what is new in `feed`."""

    def settle(self, feed: Feed, last: bool) -> None:
        """A cell ends, or the kernel does (`last`): what a saved notebook keeps is brought up to date."""


class Follower:
    """Follows one run folder for all its views in this process."""

    _all: ClassVar[dict[Path, Follower]] = {}
    _guard = threading.Lock()

    def __init__(self, folder: RunFolder):
        self._folder = folder
        self._key = folder.path.resolve()
        self._begin()
        self.lock = threading.RLock()
        self._views: list[View] = []
        self._thread: threading.Thread | None = None
        self._bell = threading.Event()

    @classmethod
    def of(cls, folder: Path) -> Follower:
        """The follower of that folder in this process."""
        key = Path(folder).resolve()  # as in __init__
        with cls._guard:
            if key not in cls._all:
                cls._all[key] = cls(RunFolder(Path(folder)))
            return cls._all[key]

    def _begin(self) -> None:
        self.watch = Watch(self._folder)
        self.feed = Feed(self.watch)

    @classmethod
    def settle_all(cls, last: bool = False) -> None:
        """Let the views of every run settle, after a look from the calling thread where one must have it now."""
        with cls._guard:
            followers = list(cls._all.values())
        for follower in followers:
            views = list(follower._views)
            if last or any(view.urgent for view in views):
                follower.look(lambda view, feed: view.settle(feed, last))
            else:  # a cell beside a live dashboard waits for nothing
                for view in views:
                    view.settle(follower.feed, last)

    def look(self, tell: Callable[[View, Feed], None] | None = None) -> bool:
        """Read what is new, and offer it to the views, or `tell` them. Whether something was new."""
        with self.lock:
            changed: set[str] = set()
            try:
                if self.watch.replaced():
                    self._begin()
                changed = self.watch.look()
            except OSError as error:  # a folder that is being deleted, or a disk that is away for a moment
                _log.debug("Run %s could not be read: %s", self.watch.folder.name, error)
            self.feed.refresh(changed)
            for view in list(self._views):
                if view.closed:
                    self._views.remove(view)
                    continue
                try:
                    tell(view, self.feed) if tell else view.offer(self.feed)
                except Exception:
                    # One broken view must not stop the others; it is taken off, and said in the log.
                    _log.exception("A view of run %s failed and was closed.", self.watch.folder.name)
                    view.closed = True
                    self._views.remove(view)
            return bool(changed)

    def add(self, view: View) -> None:
        """Show the run in this view too."""
        with self.lock:
            self._views.append(view)
            with self._guard:
                self._all.setdefault(self._key, self)
        self.wake()

    def remove(self, view: View) -> None:
        """No longer show it there. Where it is shown nowhere, what was read of it is let go with the last holder."""
        with self.lock:
            if view in self._views:
                self._views.remove(view)
            with self._guard:
                if not self._views and self._all.get(self._key) is self:
                    del self._all[self._key]
        self._bell.set()

    def wake(self) -> None:
        """Look now, with a thread of its own again where it had ended."""
        with self.lock:
            if self._thread is None and self._views:
                self._thread = threading.Thread(
                    target=self._follow, name=f"nbllm-follow-{self.watch.folder.name}", daemon=True
                )
                self._thread.start()
        self._bell.set()

    @property
    def running(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None

    def _follow(self) -> None:
        quiet_since = time.monotonic()
        while True:
            started = time.monotonic()
            if self.look():
                quiet_since = started
            spent = time.monotonic() - started
            with self.lock:
                over = self.watch.gone or (self.watch.status.state in ENDED and self.feed.settled)
                if not self._views or (over and time.monotonic() - quiet_since > LINGER_SECONDS):
                    self._thread = None
                    return
            pause = QUICK_SECONDS if started - quiet_since < 1.0 else SLOW_SECONDS
            # A long look is followed by a longer rest, so that following never takes more than a fifth of a core.
            self._bell.wait(max(pause, 4 * spent))
            self._bell.clear()
