"""The story in a real JupyterLab with a real worker: what a person does, and what happens to them, while it trains."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page

from nbllm.store.events import read_events
from tests.browser.notebooks import BUSY, Notebooks, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(os.name == "nt", reason="kernels and workers are killed with SIGKILL, which is POSIX's"),
]
QUICK = "--size tiny --layers 1 --width 16 --heads 2 --context 16 --batch-size 4 --threads 1"
ENDLESS = 100_000_000  # steps: these runs are stopped
CHINESE = re.compile(r"[\u4e00-\u9fff]")
BEHIND = 300  # steps that the page may be behind a worker that makes hundreds a second
LOAD = "%load_ext nbllm"
TRAIN, ATTACH = 1, 2  # the cells of `training`


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebooks]:
    """One JupyterLab for all; no standby worker, whose start would take half of a small machine."""
    with Notebooks(tmp_path_factory.mktemp("lab"), env={"NBLLM_STANDBY": "0"}, height=1500) as lab:
        lines = (f"{n} sheep jumped over the fence, and then {n + 1} more.\n" for n in range(400))
        (lab.work / "sheep.txt").write_text("".join(lines), encoding="utf-8")
        yield lab


@pytest.fixture
def lab(server: Notebooks) -> Iterator[Notebooks]:
    """The server, with nothing left training after the test."""
    yield server
    server.end_runs()


@contextmanager
def training(lab: Notebooks, run: str, *more: str) -> Iterator[Page]:
    """A notebook in which a run without end trains, its dashboard drawn; cell 2 attaches, others may follow."""
    train = f"%%llm_train {run} --data sheep.txt --steps {ENDLESS} {QUICK}\ntrain: {{evaluate_every: 1000}}"
    with lab.notebook(run, [LOAD, train, f"%llm_attach {run}", *more]) as page:
        lab.run_cell(0)
        lab.run_cell(TRAIN)
        until(lambda: len(lab.drawn_steps(TRAIN)) > 2, "the first points")
        yield page


def whole(lab: Notebooks, cell: int, run: str) -> bool:
    """Whether the chart shows the run from its first step to where it was when this was asked, with no gap.

    Up to 640 steps each is drawn; of more, each of 320 to 640 buckets gives its lowest and highest.
    """
    now = lab.status(run).step
    steps = lab.drawn_steps(cell)
    last = steps[-1] if steps else 0
    widest = 1 if last <= 640 else 4 * last / 640
    gaps = [b - a for a, b in zip([0, *steps], [*steps, max(now, last)], strict=True)]
    news = gaps.pop()  # what was trained since the page was last drawn may be on its way
    return bool(steps) and min(gaps) > 0 and max(gaps) <= widest and news <= max(widest, BEHIND)


def keeps_up(lab: Notebooks, cell: int, seconds: float) -> None:
    """For so long the chart goes on and on: it never stands still for 5 s, as one that thinks itself unseen would."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = lab.drawn_steps(cell)[-1]
        until(lambda seen=seen: lab.drawn_steps(cell)[-1] > seen, "a chart that goes on", 5)  # type: ignore[misc]


def attach_anew(lab: Notebooks, run: str) -> None:
    """In a new kernel: load, attach, and see it all live in the cell below; the old cell shows the saved picture."""
    until(lambda: f"%llm_attach {run}" in lab.output_text(TRAIN), "the saved picture")
    assert lab.in_cell(TRAIN, "cell.querySelector('.nbllm-saved svg, .jp-RenderedImage img') !== null")
    assert lab.state_text(TRAIN) == ""
    lab.run_cell(0)
    lab.run_cell(ATTACH)
    until(lambda: "training" in lab.state_text(ATTACH), "the state in the new dashboard")
    until(lambda: whole(lab, ATTACH, run), "all points in the new dashboard")
    seen = lab.drawn_steps(ATTACH)[-1]
    until(lambda: lab.drawn_steps(ATTACH)[-1] > seen, "more points: it is live")


def test_a_reloaded_page_shows_the_full_history(lab: Notebooks) -> None:
    with training(lab, "reload"):
        keeps_up(lab, TRAIN, 12)
        before = lab.drawn_steps(TRAIN)[-1]
        lab.save()  # JupyterLab forgets outputs that were never saved
        lab.reload()
        until(lambda: len(lab.drawn_steps(TRAIN)) > 2, "points after the reload", 20)
        until(lambda: whole(lab, TRAIN, "reload"), "the full history", 20)
        assert lab.drawn_steps(TRAIN)[-1] > before
        assert "training" in lab.state_text(TRAIN)
        assert lab.console_errors() == []


def test_a_restarted_kernel_attaches(lab: Notebooks) -> None:
    with training(lab, "restart"):
        lab.errors.clear()
        lab.restart_kernel()
        attach_anew(lab, "restart")
        assert lab.console_errors() == []
        lab.press(ATTACH, "Stop")
        until(lambda: lab.status("restart").state == "stopped", "the stop")
        until(lambda: "stopped" in lab.state_text(ATTACH), "the stop in the page")


def test_a_kernel_that_is_shut_down_leaves_the_picture(lab: Notebooks) -> None:
    with training(lab, "closed") as page:
        page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        until(lambda: "%llm_attach closed" in lab.output_text(TRAIN), "the saved picture")
        assert lab.state_text(TRAIN) == "", "no dead buttons"
        lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.startKernel()")
        lab.wait_idle()
        attach_anew(lab, "closed")
        assert lab.console_errors() == []


def test_a_run_outlives_its_killed_kernel(lab: Notebooks) -> None:
    with training(lab, "orphan"):
        worker = lab.worker("orphan")
        old = lab.kernel_process()
        os.kill(old.pid, signal.SIGKILL)
        until(lambda: not old.is_running() or old.status() == "zombie", "the kernel's death")
        step = lab.status("orphan").step
        until(lambda: lab.status("orphan").step > step + 50, "steps without a kernel")
        assert lab.worker("orphan") == worker, "the same worker goes on"
        dialog = lab.page.locator(".jp-Dialog .jp-mod-accept")  # "The kernel appears to have died"
        until(lambda: dialog.count() > 0 or lab.kernel_state() == "idle", "a word of JupyterLab's")
        lab.wait_idle()
        while dialog.count():
            dialog.first.click()
        attach_anew(lab, "orphan")


def test_a_killed_worker_is_said_and_resumed_from_the_page(lab: Notebooks) -> None:
    with training(lab, "killed"):
        until(lambda: any((lab.runs / "killed" / "checkpoints").glob("step-*/state.json")), "a checkpoint")
        killed = lab.worker("killed")
        step = lab.status("killed").step
        os.kill(killed.pid, signal.SIGKILL)
        until(lambda: "lost" in lab.state_text(TRAIN), "word of the death in the page", 10)
        said = lab.output_text(TRAIN)
        assert "The worker died. Resume goes on from the last checkpoint." in said
        lab.press(TRAIN, "Resume")
        until(lambda: "training" in lab.state_text(TRAIN), "training in the page")
        until(lambda: lab.status("killed").step > step + 50, "more steps than before")
        assert lab.worker("killed") != killed
        assert any(e["event"] == "resume" for e in read_events(lab.runs / "killed" / "metrics.jsonl"))
        until(lambda: whole(lab, TRAIN, "killed"), "all points of both workers")
        assert lab.console_errors() == []


def test_buttons_answer_while_a_cell_runs(lab: Notebooks) -> None:
    with training(lab, "busy", BUSY.format(file="let-go")):
        lab.start_cell(3)
        until(lambda: lab.is_running(3), "the running cell")
        seen = lab.drawn_steps(TRAIN)[-1]
        until(lambda: lab.drawn_steps(TRAIN)[-1] > seen, "a chart that moves while the cell runs")
        lab.press(TRAIN, "Pause")
        until(lambda: "asked to pause" in lab.state_text(TRAIN) or "paused" in lab.state_text(TRAIN), "the answer", 5)
        lab.press(TRAIN, "Stop")
        until(lambda: re.search("asked to stop|stop", lab.state_text(TRAIN)), "the answer", 5)
        assert lab.is_running(3), "both were answered while the cell ran"
        (lab.work / "let-go").touch()
        until(lambda: lab.status("busy").state == "stopped", "the stop")
        until(lambda: "stopped" in lab.state_text(TRAIN), "the stop in the page")


def test_chinese_streams_and_labels_the_heatmap(lab: Notebooks) -> None:
    # one long document, so that no end of text is learned and the streaming goes on for long enough to be seen
    load = f"{LOAD}\nfrom nbllm.data.builtin import zh_phrases\ntext = ['\\n'.join(zh_phrases())]"
    train = f"%%llm_train zh --data {{{{text}}}} --steps {ENDLESS} {QUICK}\nprobe: {{every: 20}}\nsample: {{every: 50}}"
    with lab.notebook("zh", [load, train, "%llm_generate zh 今天 --max-tokens 1500 --seed 1"]) as page:
        lab.run_cell(0)
        lab.run_cell(1)
        page.get_by_role("tab", name="Attention").click()
        until(lambda: lab.in_cell(1, "d?.data?.[0]?.type") == "heatmap", "the heatmap")
        probe = json.loads((lab.runs / "zh" / "probes" / "probe.json").read_text(encoding="utf-8"))
        words = [token for token in probe["tokens"] if CHINESE.search(token)]
        assert len(words) > 3
        for axis in ("xaxis", "yaxis"):
            assert [text for text in lab.in_cell(1, f"d.layout.{axis}.ticktext") if CHINESE.search(text)] == words
        page.evaluate("""() => { window.grown = []; const n = window.jupyterapp.shell.currentWidget.content.widgets[2];
            new MutationObserver(() => window.grown.push(n.node.querySelector('.jp-Cell-outputArea')?.innerText ?? ''))
                .observe(n.node, { childList: true, subtree: true, characterData: true }); }""")
        lab.run_cell(2)
        text = lab.output_text(2).strip()
        grown = [part.strip() for part in page.evaluate("() => window.grown")]
        lengths = sorted({len(part) for part in grown if part.startswith("今天")})
        assert len(lengths) >= 3, f"it streams: lengths seen {lengths}"
        assert text.startswith("今天")
        assert len(CHINESE.findall(text)) > 30  # where it ends is the model's affair
        assert "\ufffd" not in "".join(grown), "no broken character at any moment"
        if os.environ.get("NBLLM_KEEP_SCREENSHOTS") == "1":
            lab.screenshot("story-zh")
        page.get_by_role("tab", name="Samples").click()
        until(lambda: CHINESE.search(lab.output_text(1).partition("step ")[2]), "a sample")
        assert lab.console_errors() == []


def test_two_kernels_watch_and_command_one_run(lab: Notebooks) -> None:
    with training(lab, "shared"):
        first = lab.page
        with lab.notebook("second", [LOAD, "%llm_attach shared"]) as second:
            lab.run_cell(0)
            lab.run_cell(1)
            until(lambda: "training" in lab.state_text(1), "the run in the second notebook")
            until(lambda: whole(lab, 1, "shared"), "its points in the second notebook")
            lab.press(1, "Pause")
            until(lambda: "paused" in lab.state_text(1), "the pause where it was asked for")
            lab.turn_to(first, "shared")
            until(lambda: "paused" in lab.state_text(TRAIN), "the pause in the other notebook")
            assert lab.status("shared").state == "paused"
            lab.press(TRAIN, "Resume")
            until(lambda: lab.status("shared").state == "training", "the run goes on")
            lab.turn_to(second, "second")
            until(lambda: "training" in lab.state_text(1), "the second notebook sees it")
            assert lab.console_errors() == []


def test_a_run_that_fails_at_once_says_why_and_waits_for_nothing(lab: Notebooks) -> None:
    with lab.notebook("bad", [LOAD, "open('short.txt', 'w').write('abc')", f"%llm_train bad --data short.txt {QUICK}"]):
        lab.run_cell(0)
        lab.run_cell(1)
        lab.run_cell(2)
        until(lambda: "failed" in lab.state_text(2), "the failure in the page")
        assert "too short" in lab.output_text(2)
        until(lambda: lab.in_cell(2, "d?.layout?.annotations?.[0]?.text") == "no step was logged", "the chart's words")
        assert lab.console_errors() == []


def test_the_saved_notebook_is_small_and_readable(lab: Notebooks) -> None:
    train = f"%%llm_train saved --data sheep.txt --steps 120 {QUICK}"
    with lab.notebook("saved", [LOAD, train]):
        lab.run_cell(0)
        lab.run_cell(1)
        until(lambda: "finished" in lab.state_text(1), "the end in the page")
        path: Path = lab.work / "saved.ipynb"

        def pictures() -> list[dict[str, object]]:
            lab.save()
            outputs = json.loads(path.read_text(encoding="utf-8"))["cells"][1]["outputs"]
            return [o["data"] for o in outputs if {"image/png", "text/html"} <= o.get("data", {}).keys()]

        until(lambda: pictures() and "finished" in str(pictures()[0]["text/plain"]), "the picture of the end", 15)
        assert len(pictures()) == 1
        saved = path.read_text(encoding="utf-8")
        assert len(saved.encode()) < 300_000
        assert "application/vnd.jupyter.widget-state+json" not in saved
        assert "widgets" not in json.loads(saved)["metadata"]
        html = "".join(str(part) for part in pictures()[0]["text/html"])  # type: ignore[attr-defined]
        assert "120" in html
        assert "held-out loss" in html
        assert "<script" not in html
