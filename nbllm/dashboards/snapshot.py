"""The quiet picture beside the live view, which a saved notebook keeps: HTML, PNG and plain text of the last state."""

from __future__ import annotations

import base64
import contextvars
import html
import sys
import time
import uuid
from typing import Any

import numpy as np

from nbllm.dashboards.feed import Feed
from nbllm.dashboards.run_words import summary
from nbllm.dashboards.watch import Watch
from nbllm.plots.curves import x_of
from nbllm.plots.fonts import clip
from nbllm.plots.palette import QUIET
from nbllm.plots.static import Picture, png, svg
from nbllm.store.status import ENDED

MINUTE = 60.0
_CELL_SECONDS = 10.0  # between two pictures of a live view while cells are run
_SAMPLE = 600  # characters
# JupyterLab writes an error where a widget's kernel is gone; the picture beside it says it better.
_STYLE = (
    "<style>.jp-OutputArea:has(.nbllm-saved) .jp-OutputArea-output.jupyter-widgets:not(:has(*)){display:none}</style>"
)


def picture(watch: Watch) -> Picture:
    """The state of a run as a still picture."""
    table = watch.metrics.train
    samples = watch.samples[-1:]
    prompt, text = (str(samples[0].get("prompt", "")), str(samples[0].get("text", ""))) if samples else ("", "")
    return Picture(
        title=f"{watch.folder.name}   {summary(watch.config, watch.status, watch.parent)}",
        state=watch.status.state,
        train=(table.array("step").astype(np.float64), table.array("loss")),
        held_out=(x_of(watch.metrics, "step"), watch.metrics.evaluation.array("val_loss")),
        prompt=prompt,
        sample=text.removeprefix(prompt)[:_SAMPLE],
        facts=facts(watch),
    )


def facts(watch: Watch) -> list[tuple[str, str]]:
    """The numbers of the small table."""
    status, metrics = watch.status, watch.metrics
    step = max(status.step, metrics.train.steps[-1] if metrics.train.steps else 0)
    rows = [("step", f"{step:,}" + (f" / {status.steps:,}" if status.steps else ""))]
    for name, column in (
        ("loss", metrics.train.columns.get("loss")),
        ("held-out loss", metrics.evaluation.columns.get("val_loss")),
    ):
        if column:
            rows.append((name, f"{column[-1]:.4g}"))
    if status.seconds:
        rows.append(("time", clock(status.seconds)))
    return rows


def clock(seconds: float) -> str:
    """0:41, 12:05, 1:02:03."""
    whole = round(seconds)
    return (
        f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"
    )


def text(watch: Watch) -> str:
    """The state in one line of plain text."""
    state = watch.status.state
    line = f"{watch.folder.name}: {state}, " + ", ".join(f"{name} {value}" for name, value in facts(watch))
    if watch.status.error:
        line += f" — {watch.status.error.get('message', '')} {watch.status.error.get('advice', '')}"
    return line.rstrip()


def page(shown: Picture, watch: Watch) -> str:
    """A small piece of HTML that needs neither script nor style sheet. Everything that is text is escaped."""
    name = html.escape(watch.folder.name)
    cells = "".join(
        f'<th scope="row" style="text-align:left;font-weight:normal;opacity:.7">{html.escape(k)}</th>'
        f'<td style="text-align:left;padding-right:1.5em">{html.escape(v)}</td>'
        for k, v in shown.facts
    )
    heading = f"<strong>{name}</strong> &nbsp; {html.escape(summary(watch.config, watch.status, watch.parent))}"
    parts = [
        f'<div class="nbllm-saved">{_STYLE}',
        f'<p style="margin:4px 0">{heading} &nbsp; <em>{html.escape(shown.state)}</em></p>',
        svg(shown),
        f'<table style="margin:4px 0"><tbody><tr>{cells}</tr></tbody></table>',
    ]
    if watch.status.error:
        message = f"{watch.status.error.get('message', '')} {watch.status.error.get('advice', '')}"
        parts.append(f'<p style="margin:4px 0">{html.escape(message)}</p>')
    if shown.sample:
        prompt = html.escape(clip(shown.prompt, _SAMPLE))
        parts.append('<pre style="white-space:pre-wrap;margin:4px 0;max-height:9em;overflow:auto">')
        parts.append(f'<span style="color:{QUIET}">{prompt}</span>{html.escape(shown.sample)}</pre>')
    parts.append(
        f'<p style="margin:4px 0;opacity:.7">A picture of the last state. To see it live and control it, run: '
        f"<code>%llm_attach {name}</code></p></div>"
    )
    return "".join(parts)


def bundle(watch: Watch, *, with_png: bool = True) -> dict[str, str]:
    """The MIME bundle of a still picture."""
    shown = picture(watch)
    data = {"text/html": page(shown, watch), "text/plain": text(watch)}
    if with_png:
        data["image/png"] = base64.b64encode(png(shown)).decode("ascii")
    return data


class Snapshot:
    """The display that holds the picture: sent first by `show`, then by `offer` from the follower's thread.

    Beside live widgets it is sent when the state changes (a pause, the end), after a cell where the last is ten seconds
    old, and once a minute; oftener in the first minutes, so that a restarted kernel leaves no empty picture. Where
    nothing else can be shown (`alone`), every two seconds at first and ever slower in a long run, so that an hour
    unseen stays small, and without the PNG in between; and at the end of each cell, since nbclient and its like take
    updates only while a cell runs.
    """

    def __init__(self, alone: bool):
        self.alone = alone
        self.closed = False
        self._id = f"nbllm-{uuid.uuid4().hex}"
        self._context: contextvars.Context | None = None
        self._state = ""
        self._shown: tuple[Any, ...] = ()
        self._with_png = False
        self._pace = MINUTE
        self._sent = self._pictured = self._began = time.monotonic()

    @property
    def urgent(self) -> bool:
        """Where no page shows widgets, updates are taken only while a cell runs."""
        return self.alone

    def show(self, watch: Watch) -> None:
        """The first display, in the cell that runs now."""
        # From the follower's thread an update is sent in the cell's own context, as its page expects. A runner without
        # a page (nbclient and its like) heeds only the cell that runs now, which is what an empty context leads to.
        self._context = contextvars.Context() if self.alone else contextvars.copy_context()
        # Drawing takes a moment that the first picture of a live run is not worth: others follow.
        self._publish(self._draw(watch, with_png=watch.status.state in ENDED), update=False)

    def offer(self, feed: Feed) -> None:
        """Send the picture again where it is time to."""
        watch = feed.watch
        now = time.monotonic()
        state = watch.status.state
        turned = state != self._state and (now - self._sent >= 1 or state in ENDED)
        late = state in ENDED and _facts(watch) != self._shown  # last words that came after the end
        shown_for = now - self._began
        pace = min(15.0, max(2.0, shown_for / 60)) if self.alone else min(self._pace, max(5.0, shown_for / 3))
        live = state not in ENDED and state != "paused"
        if turned or late or (live and now - self._sent >= pace):
            self._send(watch, with_png=turned or late or now - self._pictured >= MINUTE or not self.alone)

    def settle(self, feed: Feed, last: bool) -> None:
        """What the notebook keeps at the end of this cell. Beside live widgets that waits for the thread."""
        if not self.alone and not last:
            self._pace = _CELL_SECONDS
            return None
        fresh = time.monotonic() - self._sent < 1 and feed.watch.status.state not in ENDED
        if self._context is None or (self._with_png and (fresh or _facts(feed.watch) == self._shown)):
            return None
        return self._send(feed.watch, with_png=True, context=contextvars.copy_context() if self.alone else None)

    def _send(self, watch: Watch, *, with_png: bool, context: contextvars.Context | None = None) -> None:
        data = self._draw(watch, with_png=with_png)
        if self._context is not None:
            (context or self._context.copy()).run(self._publish, data, update=True)

    def _draw(self, watch: Watch, *, with_png: bool) -> dict[str, str]:
        self._sent, self._state, self._shown = time.monotonic(), watch.status.state, _facts(watch)
        self._with_png, self._pace = with_png, MINUTE
        if with_png:
            self._pictured = self._sent
        return bundle(watch, with_png=with_png)

    def _publish(self, data: dict[str, str], *, update: bool) -> None:
        from IPython.display import display

        display(data, raw=True, display_id=self._id, update=update)


def _facts(watch: Watch) -> tuple[Any, ...]:
    """What a picture is made of: while it is the same, another would look the same."""
    rows = (len(watch.metrics.train), len(watch.metrics.evaluation), watch.samples[-1:])
    return (watch.status.state, watch.status.step, watch.status.error, watch.status.parameters, *rows)


class Lines:
    """The plainest view: a line of text when the state changes, and every ten seconds."""

    urgent = True

    def __init__(self, stream: Any = None):
        self.closed = False
        self._stream = stream or sys.stdout
        self._state = ""
        self._said = 0.0

    def show(self, watch: Watch) -> None:
        """Say how it stands."""
        self._state, self._said = watch.status.state, time.monotonic()
        print(text(watch), file=self._stream, flush=True)

    def offer(self, feed: Feed) -> None:
        """Say it again where it changed."""
        state = feed.watch.status.state
        if state != self._state or (state not in ENDED and state != "paused" and time.monotonic() - self._said >= 10):
            self.show(feed.watch)

    def settle(self, feed: Feed, last: bool) -> None:
        """The end of the run, where it came within this cell."""
        self.offer(feed)
