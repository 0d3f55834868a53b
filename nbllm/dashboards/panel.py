"""Panel: the dashboard's own widget. Its traits hold the whole state, so that a reloaded page shows the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import traitlets

from nbllm.dashboards.download import Download
from nbllm.dashboards.feed import Feed, pack
from nbllm.dashboards.front import Front
from nbllm.dashboards.presence import Presence
from nbllm.errors import NbllmError

if TYPE_CHECKING:
    from nbllm.handles.run import Run

AWAY_STATUS_SECONDS = 30.0
_VIEW = {
    "tab": "loss", "x": "step", "log": False, "smoothing": 0.35, "below": "lr", "table": False,
    "layer": 0, "head": 0, "step": None,
}  # fmt: skip


class Panel(Front):
    """Header, tabs and what stands in them. A Follower's thread sets the traits; the page sends commands and signs.

    `heard` counts the commands that came: while a cell runs they wait, and the page says so.
    `base` and `tail` are float64 rows (columns of Thinned.COLUMNS) of the train curve; `held` rows of step, tokens,
    seconds, val_loss; `measures` a float64 column a name of `measured`, a value a row of `held`; `maps` one byte a
    weight, (kept step, layer, head, query, key).
    """

    _js = "panel.js"
    urgent = False

    name = traitlets.Unicode().tag(sync=True)
    summary = traitlets.Unicode().tag(sync=True)
    status = traitlets.Dict().tag(sync=True)
    base = traitlets.Bytes().tag(sync=True)
    tail = traitlets.Bytes().tag(sync=True)
    held = traitlets.Bytes().tag(sync=True)
    measured: traitlets.List[Any] = traitlets.List().tag(sync=True)
    measures = traitlets.Bytes().tag(sync=True)
    samples: traitlets.List[Any] = traitlets.List().tag(sync=True)
    probe = traitlets.Dict().tag(sync=True)
    maps = traitlets.Bytes().tag(sync=True)
    network = traitlets.Dict().tag(sync=True)
    data: traitlets.List[Any] = traitlets.List().tag(sync=True)
    log: traitlets.List[Any] = traitlets.List().tag(sync=True)
    notice = traitlets.Dict().tag(sync=True)
    heard = traitlets.Int().tag(sync=True)
    view = traitlets.Dict(_VIEW).tag(sync=True)

    def __init__(self, run: Run, wake: Callable[[], None], fetch: Callable[[int], Any]):
        super().__init__(name=run.name)
        self.closed = False
        self.presence = Presence()
        self._run = run
        self._wake = wake
        self._fetch = fetch
        self._download = Download(run)
        self._shown: dict[str, Any] = {}
        self._status_sent = 0.0
        self._notices = 0
        self._said_in = ""  # the state when the notice was given: it is about that
        self._guard = threading.RLock()  # traits are set from the follower's thread and from the kernel's
        self.on_msg(self._hear)

    def offer(self, feed: Feed) -> None:
        """Set the traits whose value is new. With nobody looking: the status alone, twice a minute."""
        with self._guard:
            self._offer(feed)

    def _offer(self, feed: Feed) -> None:
        self.presence.look()
        news = {name: value for name, value in feed.values.items() if self._shown.get(name) is not value}
        now = time.monotonic()
        if self.presence.away or self.presence.deaf:
            if now - self._status_sent < AWAY_STATUS_SECONDS:
                return
            news = {name: value for name, value in news.items() if name == "status"}
        if not news:
            return
        self._status_sent = now
        self._shown.update(news)
        with self.hold_sync():
            for name, value in news.items():
                self.set_trait(name, value)
            if self.notice and self.status.get("state") != self._said_in:
                self.notice = {}

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what the page has set."""
        with self._guard:
            super().set_state(sync_data)

    def settle(self, feed: Feed, last: bool) -> None:
        """Nothing: the page keeps no widget."""

    def close(self) -> None:
        """Take the widget out of the page."""
        self.closed = True
        super().close()

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A message of the page: a sign of life, a command, or a wish for a map."""
        self.presence.sign()
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "command":
            self._command(content)
        elif kind == "map" and isinstance(content.get("step"), int):
            found = self._fetch(content["step"])
            if found is not None:
                self.send({"kind": "map", "step": content["step"]}, [pack(found, self.probe.get("kind", "attention"))])
        elif kind == "download" and isinstance(content.get("part"), int):
            give = partial(self._give, content["part"])
            threading.Thread(target=self._try, args=(give,), name="nbllm-download", daemon=True).start()
        self._wake()

    def _give(self, part: int) -> None:
        """Send a piece of the packed run."""
        self.send(*self._download.piece(part))

    def _command(self, content: dict[str, Any]) -> None:
        calls: dict[str, Callable[[], Any]] = {
            "pause": self._run.pause,
            "resume": self._run.resume,
            "stop": self._run.stop,
            "checkpoint": self._run.checkpoint,
            "set": lambda: self._run.set(lr=float(content["lr"])),
        }
        call = calls.get(str(content.get("command")))
        if call is None:
            return
        with self._guard:
            self.heard += 1
        if content["command"] == "resume":  # a worker may have to be started: the kernel does not wait for it
            threading.Thread(target=self._try, args=(call,), name="nbllm-resume", daemon=True).start()
        else:
            self._try(call)

    def _try(self, call: Callable[[], Any]) -> None:
        try:
            call()
            with self._guard:
                self.notice = {}
        except NbllmError as error:
            self._say(error.message, error.advice)
        except (OSError, KeyError, TypeError, ValueError) as error:
            self._say(f"That did not work: {type(error).__name__}: {error}", "See the log tab.")

    def _say(self, message: str, advice: str) -> None:
        with self._guard:
            self._notices += 1
            self._said_in = str(self.status.get("state", ""))
            self.notice = {"message": message, "advice": advice, "number": self._notices}
