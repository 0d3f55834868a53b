"""Panel, follower, presence, tiers, the still picture and the front end's files, without a browser."""

from __future__ import annotations

import gc
import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbllm.dashboards import frontend, snapshot
from nbllm.dashboards.feed import Feed
from nbllm.dashboards.follower import Follower
from nbllm.dashboards.live import Dashboard
from nbllm.dashboards.panel import Panel
from nbllm.dashboards.presence import Presence
from nbllm.dashboards.tiers import tier
from nbllm.dashboards.watch import Watch
from nbllm.errors import ConfigError, RunError
from nbllm.store import control
from nbllm.store.folder import RunFolder
from tests.dashboards.synthetic import HOSTILE, SyntheticRun, Writer


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Noted:
    """A view that notes which thread offered what."""

    urgent = True

    def __init__(self) -> None:
        self.closed = False
        self.steps: list[int] = []
        self.threads: set[str] = set()
        self.news = threading.Event()

    def settle(self, feed: Feed, last: bool) -> None:
        self.offer(feed)

    def offer(self, feed: Feed) -> None:
        self.steps.append(feed.values["status"]["step"])
        self.threads.add(threading.current_thread().name)
        self.news.set()


def until(condition: Any, seconds: float = 20) -> None:
    """Wait for a thread to bring it about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with RunFolder(tmp_path / "r").writing():
        yield Writer(tmp_path / "r").until(30)


def panel_of(writer: Writer, run: Any = None) -> tuple[Panel, Follower]:
    follower = Follower(writer.run)
    held: Any = run or SyntheticRun(writer.run.path)
    panel = Panel(held, follower.wake, lambda step: follower.watch.map(step))
    follower.look()
    panel.offer(follower.feed)
    return panel, follower


def test_the_traits_hold_the_whole_state(writer: Writer) -> None:
    panel, _ = panel_of(writer)
    state = panel.get_state()
    assert state["status"]["step"] == 30
    assert len(panel.base) + len(panel.tail) == 30 * 64
    assert state["summary"].startswith("transformer")
    assert state["view"]["tab"] == "loss"
    assert "export default" in state["_esm"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"command": "pause"}, {"command": "pause"}),
        ({"command": "stop"}, {"command": "stop"}),
        ({"command": "checkpoint"}, {"command": "checkpoint"}),
        ({"command": "set", "lr": 1e-3}, {"command": "set", "lr": 1e-3}),
    ],
)
def test_a_click_becomes_a_control_file(writer: Writer, message: dict[str, Any], expected: dict[str, Any]) -> None:
    panel, _ = panel_of(writer)
    panel._hear(panel, {"kind": "command", **message}, [])
    assert control.take(writer.run.control) == [expected]
    assert panel.presence.seen


def test_messages_that_mean_nothing_do_nothing(writer: Writer) -> None:
    panel, _ = panel_of(writer)
    for message in (
        "x",
        None,
        {"kind": "command", "command": "delete"},
        {"kind": "map", "step": "../../x"},
        {"kind": "?"},
    ):
        panel._hear(panel, message, [])
    assert control.take(writer.run.control) == []
    panel._hear(panel, {"kind": "command", "command": "set", "lr": "much"}, [])
    assert "ValueError" in panel.notice["message"]


def test_a_refusal_is_told_with_its_advice(writer: Writer) -> None:
    class Refuses(SyntheticRun):
        def resume(self) -> None:
            raise RunError("Run 'r' has finished.", "Give it more: run.resume(steps=4000)")

    panel, follower = panel_of(writer, Refuses(writer.run.path))
    panel._hear(panel, {"kind": "command", "command": "resume"}, [])
    until(lambda: panel.notice)
    assert panel.notice["advice"] == "Give it more: run.resume(steps=4000)"
    panel._hear(panel, {"kind": "command", "command": "pause"}, [])
    assert panel.notice == {}, "what works is no longer complained about"
    panel._say("Something else.", "")
    writer.status("failed", error={"message": "Out of memory.", "advice": ""})
    follower.watch._lock_looked = 0.0
    follower.look()
    panel.offer(follower.feed)
    assert panel.status["error"]["message"] == "Out of memory."
    assert panel.notice == {}, "an old notice does not hide a new fault"


def test_a_resume_that_takes_long_does_not_hold_the_kernel(writer: Writer) -> None:
    let_go = threading.Event()

    class Slow(SyntheticRun):
        def resume(self) -> None:
            assert let_go.wait(20)
            super().resume()

    panel, _ = panel_of(writer, Slow(writer.run.path))
    panel._hear(panel, {"kind": "command", "command": "resume"}, [])
    assert panel.heard == 1
    assert control.take(writer.run.control) == []
    let_go.set()
    until(lambda: control.take(writer.run.control) == [{"command": "resume"}])


def test_with_nobody_looking_only_the_status_goes_out_and_all_comes_back(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, follower = panel_of(writer)
    panel.presence.sign()
    monkeypatch.setattr(panel.presence, "_silent", 61.0)
    monkeypatch.setattr(panel.presence, "look", lambda: None)
    sent: list[set[str]] = []
    monkeypatch.setattr(
        panel, "send_state", lambda key=None: sent.append({key} if isinstance(key, str) else set(key or ()))
    )
    hour = Clock()
    hour.now = time.monotonic() + 100
    monkeypatch.setattr("nbllm.dashboards.panel.time.monotonic", hour)
    for step in range(31, 31 + 360):
        writer.step(step)
        writer.metrics.sync()
        follower.look()
        panel.offer(follower.feed)
        hour.now += 1.0
    assert 10 <= len(sent) <= 13, len(sent)
    assert all(names == {"status"} for names in sent)
    panel.presence.sign()
    panel.offer(follower.feed)
    assert {"base", "tail", "status", "samples"} <= sent[-1]


def test_a_busy_kernel_is_no_absent_page(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop:
        """An event loop that runs what it is given when it is let to."""

        def __init__(self) -> None:
            self.calls: list[Any] = []

        def call_soon_threadsafe(self, call: Any) -> None:
            self.calls.append(call)

    clock, loop = Clock(), Loop()
    presence = Presence(clock)
    presence._loop = loop  # type: ignore[assignment]
    presence.sign()
    for _ in range(600):  # a cell runs for ten minutes: pings are not answered
        clock.now += 1
        presence.look()
    assert not presence.away
    assert len(loop.calls) == 1
    for _ in range(70):  # the kernel is free, and no page speaks
        for call in loop.calls:
            call()
        loop.calls.clear()
        clock.now += 1
        presence.look()
    assert presence.away
    presence.sign()
    assert not presence.away


def test_a_kernel_that_no_page_ever_spoke_to_is_deaf() -> None:
    clock = Clock()
    presence = Presence(clock)
    for _ in range(7):
        clock.now += 1
        presence.look()
    assert presence.deaf
    presence.sign()
    assert not presence.deaf


def test_one_thread_serves_all_views_and_ends_with_the_run(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbllm.dashboards.follower.LINGER_SECONDS", 0.2)
    follower = Follower.of(writer.run.path)
    assert Follower.of(writer.run.path) is follower
    views = [Noted(), Noted()]
    for view in views:
        follower.add(view)
    until(lambda: all(view.steps for view in views))
    writer.until(40, start=31)
    until(lambda: all(view.steps[-1] == 40 for view in views))
    assert views[0].threads | views[1].threads == {"nbllm-follow-r"}
    writer.status("finished")
    until(lambda: not follower.running)
    writer.status("training")
    writer.until(45, start=41)
    follower.wake()
    until(lambda: views[0].steps[-1] == 45)
    for view in views:
        follower.remove(view)
    until(lambda: not follower.running)


def test_a_cell_beside_a_live_dashboard_waits_for_nothing(writer: Writer) -> None:
    follower = Follower.of(writer.run.path)
    follower.look()
    live, alone = snapshot.Snapshot(alone=False), Noted()
    follower._views.append(live)
    with follower._guard:
        Follower._all[follower._key] = follower
    held, let_go = threading.Event(), threading.Event()

    def busy() -> None:
        with follower.lock:  # as while it draws
            held.set()
            let_go.wait(20)

    thread = threading.Thread(target=busy)
    thread.start()
    held.wait(20)
    Follower.settle_all()
    assert thread.is_alive(), "it did not wait for the lock"
    let_go.set()
    thread.join()
    follower._views.append(alone)
    Follower.settle_all()
    assert alone.steps == [30], "one that must settle within the cell does"
    for view in (live, alone):
        follower.remove(view)


def test_what_is_shown_nowhere_is_let_go(writer: Writer) -> None:
    follower, view = Follower.of(writer.run.path), Noted()
    follower.add(view)
    until(lambda: view.steps)
    follower.remove(view)
    held = weakref.ref(follower)
    del follower
    until(lambda: gc.collect() >= 0 and held() is None)
    again, other = Follower.of(writer.run.path), Noted()
    again.add(other)
    assert Follower.of(writer.run.path) is again
    again.remove(other)


def test_a_folder_that_cannot_be_read_for_a_moment_does_not_end_the_following(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(writer.run)
    follower.look()
    writer.until(31, start=31)
    look = follower.watch.look
    faults = [PermissionError("another has it open"), FileNotFoundError("just deleted")]

    def sometimes() -> set[str]:
        if faults:
            raise faults.pop()
        return look()

    monkeypatch.setattr(follower.watch, "look", sometimes)
    view = Noted()
    follower.add(view)
    until(lambda: view.steps and view.steps[-1] == 31)
    follower.remove(view)
    until(lambda: not follower.running)


def test_a_view_that_fails_does_not_stop_the_others(writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    class Fails(Noted):
        def offer(self, feed: Feed) -> None:
            raise RuntimeError("gone")

    follower = Follower(writer.run)
    good, bad = Noted(), Fails()
    follower._views += [bad, good]
    follower.look()
    assert good.steps == [30]
    assert bad.closed
    assert "gone" in caplog.text


@pytest.mark.parametrize(
    ("environment", "kernel", "expected"),
    [
        ({}, False, "text"),
        ({}, True, "html"),
        ({"JPY_SESSION_NAME": "a.ipynb"}, True, "widget"),
        ({"JPY_SESSION_NAME": "a.ipynb"}, False, "text"),
        ({"VSCODE_PID": "7"}, True, "widget"),
        ({"SERVER_SOFTWARE": "voila/0.5"}, True, "widget"),
        ({"JPY_SESSION_NAME": "a.ipynb", "NBLLM_DISPLAY": "text"}, True, "text"),
        ({"NBLLM_DISPLAY": "Widget"}, False, "widget"),
        ({"NBLLM_DISPLAY": "auto"}, True, "html"),
    ],
)
def test_tiers(environment: dict[str, str], kernel: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "SERVER_SOFTWARE", "NBLLM_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("nbllm.dashboards.tiers.has_kernel", lambda: kernel)
    assert tier() == expected


def test_a_wrong_tier_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_DISPLAY", "htm")
    with pytest.raises(ConfigError, match="Did you mean 'html'"):
        tier()


def test_the_picture_is_small_safe_and_says_how_to_attach(writer: Writer) -> None:
    writer.sample(31, "<i>", HOSTILE)
    writer.samples.sync()
    writer.status("failed", error={"message": HOSTILE, "advice": "x"})
    watch = Watch(writer.run)
    watch.look()
    data = snapshot.bundle(watch)
    assert "%llm_attach r" in data["text/html"]
    assert "<img" not in data["text/html"]
    assert "<script" not in data["text/html"]
    assert "&lt;img src=x" in data["text/html"]
    assert data["text/plain"].startswith("r: failed, step 30 / 2,000, loss ")
    assert sum(map(len, data.values())) < 80_000


def test_the_picture_alone_moves_ever_slower_and_stays_under_ten_megabytes_an_hour(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("nbllm.dashboards.snapshot.time.monotonic", clock)
    sent: list[int] = []
    shown = snapshot.Snapshot(alone=True)
    monkeypatch.setattr(shown, "_publish", lambda data, update: sent.append(len(json.dumps(data))))
    follower = Follower(writer.run)
    follower.look()
    example = snapshot.bundle(follower.watch)
    light = {name: value for name, value in example.items() if name != "image/png"}
    monkeypatch.setattr("nbllm.dashboards.snapshot.bundle", lambda watch, with_png=True: example if with_png else light)
    shown.show(follower.watch)
    for second in range(3600):
        clock.now = float(second)
        shown.offer(follower.feed)
        if second == 20:
            assert 9 <= len(sent) <= 12
    assert 200 < len(sent) < 700
    assert sum(sent) < 10_000_000


def test_last_words_after_the_end_are_in_the_picture(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, str]] = []
    shown = snapshot.Snapshot(alone=False)
    monkeypatch.setattr(shown, "_publish", lambda data, update: sent.append(data))
    follower = Follower(writer.run)
    follower.look()
    shown.show(follower.watch)
    follower._views.append(shown)
    follower.look()
    assert len(sent) == 1
    writer.status("finished")
    monkeypatch.setattr(follower.watch, "_lock_looked", 0.0)
    follower.look()
    follower.look()
    assert len(sent) == 2
    writer.sample(30, "", "the very last words")
    writer.samples.sync()
    follower.look()
    follower.look()
    assert len(sent) == 3
    assert "the very last words" in sent[-1]["text/html"]


def test_a_live_picture_is_young_in_a_young_run_and_a_minute_old_at_most(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("nbllm.dashboards.snapshot.time.monotonic", clock)
    monkeypatch.setattr("nbllm.dashboards.snapshot.bundle", lambda watch, with_png=True: {})
    shown = snapshot.Snapshot(alone=False)
    sent: list[float] = []
    monkeypatch.setattr(shown, "_publish", lambda data, update: sent.append(clock.now))
    follower = Follower(writer.run)
    follower.look()
    shown.show(follower.watch)
    for second in range(3600):
        clock.now = float(second)
        shown.offer(follower.feed)
    gaps = [b - a for a, b in itertools.pairwise(sent)]
    assert sent[:2] == [0.0, 5.0]
    assert max(gaps) <= 60
    assert len(sent) < 70
    writer.step(31)
    writer.metrics.sync()
    follower.look()
    clock.now = sent[-1] + 9
    shown.settle(follower.feed, last=False)
    assert clock.now not in sent
    clock.now += 2
    shown.offer(follower.feed)
    assert sent[-1] == clock.now, "a cell was run, and the last picture was ten seconds old"
    clock.now += 1
    shown.settle(follower.feed, last=True)
    assert sent[-1] == clock.now - 1, "nothing is new: nothing is sent when the kernel ends"
    writer.step(32)
    writer.metrics.sync()
    follower.look()
    shown.settle(follower.feed, last=True)
    assert sent[-1] == clock.now


def test_lines_where_there_is_no_kernel(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Dashboard(SyntheticRun(writer.run.path))  # type: ignore[arg-type]
    shown.show("text")
    shown.close()
    assert capsys.readouterr().out.startswith("r: training, step 30 / 2,000, loss ")


def test_modules_are_inlined_once_and_edits_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nimport { c } from "./c.js";\nexport default b + c;\n')
    (tmp_path / "b.js").write_text('import { c } from "./c.js";\nexport const b = c;\n')
    (tmp_path / "c.js").write_text("export const c = 1;\n")
    monkeypatch.setattr(frontend, "folder", lambda: tmp_path)
    assert frontend.module("a.js").split("\n") == ["const c = 1;", "", "const b = c;", "", "export default b + c;", ""]
    (tmp_path / "c.js").write_text("export const c = 2;\n")
    assert "const c = 2;" in frontend.module("a.js")


@pytest.mark.parametrize("name", ["panel.js", "figure.js"])
def test_the_modules_of_the_widgets_are_whole(name: str, tmp_path: Path) -> None:
    text = frontend.module(name)
    assert text.count("export default") == 1
    assert "\nimport " not in text
    assert "innerHTML" not in text
    node = shutil.which("node")
    if node:
        (tmp_path / "m.mjs").write_text(text)
        subprocess.run([node, "--check", str(tmp_path / "m.mjs")], check=True, capture_output=True)


def test_importing_the_packages_pulls_in_nothing_heavy() -> None:
    code = (
        "import sys, nbllm.dashboards, nbllm.plots; "
        "print([m for m in ('plotly', 'ipywidgets', 'anywidget', 'torch', 'PIL') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_the_figure_is_a_figure_widget_whose_module_is_light(writer: Writer) -> None:
    import plotly.graph_objects as go

    from nbllm.dashboards.figure import Figure

    figure = Figure()
    assert isinstance(figure, go.FigureWidget)
    assert len(figure._esm) < 4000
    assert len(figure._bundle) > 1_000_000
    renderers = sys.modules["plotly.io._renderers"]
    assert renderers.nbformat.__version__
