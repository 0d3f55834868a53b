"""How runs that belong together are shown: a picture and tables that grow with them, a live figure at the end."""

from __future__ import annotations

import base64
import contextvars
import html
import threading
import time
import uuid
from typing import Any, ClassVar

from nbllm.dashboards.ends import at_ends
from nbllm.dashboards.plain_figure import bundle, keys
from nbllm.dashboards.tables import lines, table
from nbllm.dashboards.tiers import Tier, tier
from nbllm.handles.readable import readable
from nbllm.handles.series import Series
from nbllm.plots.overlay import Chart, png, svg
from nbllm.registry import VIEWS

_LOOK_SECONDS = 1.0


def show(series: Series) -> None:
    """Display the runs under the cell that runs now; while they train, what is shown follows them."""
    chosen = tier()
    if chosen == "text":
        print(series)
    else:
        Following(series, chosen).show()


def page(series: Series, picture: str | None = None) -> str:
    """Notices, picture and tables as a piece of HTML without script. `picture` is drawn where it is not given."""
    parts = [svg(_chart(series)) if picture is None else picture, lines(series.notices)]
    parts += [table(readable(frame), caption) for caption, frame in series.tables()]
    parts.append(
        '<p style="margin:4px 0;opacity:.75">To see this again: '
        f"<code>nbllm.{type(series).__name__}.of({html.escape(repr(series.name))})</code></p>"
    )
    return f'<div class="nbllm-series">{"".join(parts)}</div>'


class Following:
    """Two displays, picture and tables, that a thread renews while the runs train: when something has come, and ever
    more seldom in a long training, so that an hour unseen stays small. At the end the picture becomes a figure.
    """

    # By the name of the series: shown anew, in the same cell or another, it is followed there alone.
    _all: ClassVar[dict[str, Following]] = {}

    def __init__(self, series: Series, chosen: Tier):
        self._series = type(series)(series.name, series.runs)  # what a thread reads is its own
        self._widget = chosen == "widget"
        self._ids = [f"nbllm-{uuid.uuid4().hex}" for _ in range(2)]
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._shown: Any = None

    def show(self) -> None:
        """The first display, in the cell that runs now."""
        before = self._all.pop(self._series.name, None)
        if before is not None:
            before.stop()
        live = self._series.live
        self._shown = self._state()
        self._send(update=False, ended=not live)
        if live:
            self._all[self._series.name] = self
            at_ends(self.settle_all)
            # As with a single run's picture: a page wants updates in the cell's own context, a runner without a page
            # (nbclient and its like) heeds only the cell that runs now, which is what an empty context leads to.
            context = contextvars.copy_context() if self._widget else contextvars.Context()
            threading.Thread(
                target=context.run, args=(self._follow,), name=f"nbllm-series-{self._series.name}", daemon=True
            ).start()

    def stop(self) -> None:
        """No longer renew it."""
        self._over.set()

    def _follow(self) -> None:
        began = sent = time.monotonic()
        while not self._over.wait(_LOOK_SECONDS):
            live = self._series.live
            now = time.monotonic()
            if live and now - sent < min(15.0, max(2.0, (now - began) / 60)):
                continue
            sent = now
            self._renew(live)

    @classmethod
    def settle_all(cls, last: bool) -> None:
        """What the notebook keeps at the end of a cell, or of the kernel. A page can wait for the thread otherwise."""
        for following in list(cls._all.values()):
            if last or not following._widget:
                following._renew(following._series.live)

    def _renew(self, live: bool) -> None:
        """Send what has come; the last time when no run is live."""
        with self._lock:
            state = self._state()
            if self._over.is_set() or (live and state == self._shown):
                return
            self._shown = state
            self._send(update=True, ended=not live)
            if not live:
                self._over.set()
                if self._all.get(self._series.name) is self:
                    del self._all[self._series.name]

    def _state(self) -> Any:
        """What is shown, as far as it changes."""
        return [(r.status.state, len(r.metrics.evaluation), r.fault) for r in self._series.records]

    def _send(self, *, update: bool, ended: bool) -> None:
        from IPython.display import display

        chart = _chart(self._series)
        picture: dict[str, Any] = {"text/html": svg(chart), "text/plain": chart.spoken}
        if ended and self._widget:
            picture = bundle(self._series.figure(), svg(chart), chart.spoken)
        elif ended:
            picture["image/png"] = base64.b64encode(png(chart)).decode("ascii")
        below = page(self._series, picture="") + (keys(chart.spoken) if ended and self._widget else "")
        tables = {"text/html": below, "text/plain": repr(self._series)}
        for content, place in zip((picture, tables), self._ids, strict=True):
            display(content, raw=True, display_id=place, update=update)


def _chart(series: Series) -> Chart:
    return VIEWS.get(f"{series.view}_chart")(series)
