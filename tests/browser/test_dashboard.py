"""The dashboard on a synthetic run in a real JupyterLab: it answers beside a busy kernel, comes back, and is safe."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbllm.store.folder import RunFolder
from nbllm.store.status import read_status
from tests.browser.harness import Lab
from tests.browser.notebooks import BUSY
from tests.dashboards.synthetic import HOSTILE, Writer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
ROOT = Path(__file__).resolve().parents[2]
SHOW = """\
import pathlib
from nbllm.dashboards import dashboard
from tests.dashboards.synthetic import SyntheticRun
dashboard(SyntheticRun(pathlib.Path({folder!r})))"""

_LABEL = "d.querySelector('.hoverlayer').textContent"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Path]:
    """A run that a process of its own goes on writing, obeying its control files."""
    folder = tmp_path / "runs" / "story"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.dashboards.synthetic", str(folder), "--steps", "100000", "--hertz", "25"],
        cwd=ROOT,
    )
    try:
        until(lambda: (folder / "status.json").exists())
        yield folder
    finally:
        process.terminate()
        process.wait(10)


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something that the page or a process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def plotted(lab: Lab, what: str) -> Any:
    """Something of the chart's graph division, as an expression over `d`."""
    return lab.page.evaluate(f"() => {{ const d = document.querySelector('.js-plotly-plot'); return d && ({what}); }}")


def test_it_answers_while_the_kernel_is_busy_and_comes_back(live: Path, tmp_path: Path) -> None:
    with Lab(tmp_path, height=1400) as lab:
        page = lab.open("busy", [SHOW.format(folder=str(live)), BUSY.format(file="let-go")])
        lab.run_cell(0)
        until(lambda: lab.points() > 0)
        lab.wait_idle()

        lab.start_cell(1)
        until(lambda: lab.is_running(1))
        last = "d.data[0].x[d.data[0].x.length - 1]"
        before = plotted(lab, last)
        until(lambda: plotted(lab, last) > before, 5)  # it moves although the cell runs
        started = page.evaluate("""() => new Promise((done) => {
            const panel = document.querySelector('.nbllm-panel'), start = performance.now();
            [...panel.querySelectorAll('button')].find((b) => b.textContent === 'Pause').click();
            const look = () => panel.innerText.includes('asked to pause')
                ? done(performance.now() - start) : requestAnimationFrame(look);
            look(); })""")
        assert started < 200
        page.get_by_role("tab", name="Attention").click()
        until(lambda: plotted(lab, "d.data[0]?.type") == "heatmap", 5)
        assert plotted(lab, "d.layout.xaxis.ticktext.slice(0, 4).join('')") == "今天天气"
        assert plotted(lab, "d.layout.xaxis.tickangle") == 0, "Chinese stands upright"
        assert plotted(lab, "d.getAttribute('aria-label')").startswith("Attention of layer 0, head 0 at step ")
        one = plotted(lab, "d.data[0].z[9].join()")
        page.get_by_role("slider", name="head").fill("2")
        until(lambda: plotted(lab, "d.data[0].z[9].join()") != one, 5)
        map_ = page.locator(".js-plotly-plot")
        for key in ("ArrowRight", "ArrowDown", "ArrowRight", "ArrowDown"):  # the first shows the first cell
            map_.press(key)
        z = float(plotted(lab, "d.data[0].z[2][1]"))
        until(lambda: page.locator(".nbllm-spoken").inner_text() == f"“天” looks at “天”: {z:.3f}", 5)
        until(lambda: "looks at" in plotted(lab, _LABEL), 5)
        page.get_by_role("tab", name="Attention").press("Home")
        until(lambda: plotted(lab, "d.getAttribute('aria-label')").startswith("Loss by step, to step "), 5)
        page.get_by_role("button", name="tokens", exact=True).click()
        page.get_by_role("button", name="log", exact=True).click()
        until(lambda: plotted(lab, "d.layout.yaxis.type") == "log", 5)
        assert plotted(lab, "d.layout.xaxis.title.text") == "tokens"
        map_.press("ArrowLeft")
        until(lambda: page.locator(".nbllm-spoken").inner_text().startswith("train loss "), 5)
        until(lambda: "train loss" in plotted(lab, _LABEL), 5)
        assert lab.is_running(1), "all of this was to happen while the cell ran"
        (tmp_path / "let-go").touch()

        until(lambda: read_status(live / "status.json").state == "paused", 30)
        until(lambda: "paused" in lab.output_text(0))
        assert page.get_by_role("button", name="Resume").is_enabled()
        lab.save()
        assert (tmp_path / "busy.ipynb").stat().st_size < 300_000

        lab.reload()
        until(lambda: lab.points() > 0)
        until(lambda: plotted(lab, "d.layout.yaxis.type") == "log")  # what was chosen is still chosen
        assert "paused" in lab.output_text(0)
        assert plotted(lab, "Math.abs(d.offsetWidth - d.closest('.nbllm-dashboard').offsetWidth) < 8")
        page.get_by_role("button", name="Resume").click()
        until(lambda: read_status(live / "status.json").state == "training")
        page.get_by_role("textbox", name="peak learning rate").fill("0.001")
        page.get_by_role("textbox", name="peak learning rate").press("Enter")
        until(lambda: '"lr":0.001' in (live / "metrics.jsonl").read_text())
        assert lab.console_errors() == []

        lab.restart_kernel()
        until(lambda: "%llm_attach story" in lab.output_text(0))
        assert not page.get_by_role("button", name="Pause").is_visible()
        lab.run_cell(0)
        until(lambda: page.get_by_role("button", name="Pause").is_visible() and lab.points() > 0)
        assert "%llm_attach story" not in lab.output_text(0)
        page.get_by_role("button", name="Stop").click()
        until(lambda: read_status(live / "status.json").state == "stopped")
        until(lambda: "stopped" in lab.output_text(0))
        assert lab.console_errors() == []


def test_hostile_text_is_text_and_the_dark_theme_is_dark(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "evil"
    with RunFolder(folder).writing():
        writer = Writer(folder, tokens=["天", HOSTILE, "<b>", " ", "\n"])
        writer.sample(1, HOSTILE, HOSTILE)
        writer.log(HOSTILE)
        writer.until(120)
        writer.status("training", message=HOSTILE, advice=HOSTILE)
        with Lab(tmp_path, dark=True, height=1200) as lab:
            page = lab.open("evil", [SHOW.format(folder=str(folder))])
            lab.run_cell(0)
            until(lambda: lab.points() > 0)
            until(lambda: plotted(lab, "d._fullLayout.font.color") is not None)
            ink = re.findall(r"\d+", str(plotted(lab, "d._fullLayout.font.color")))
            assert min(int(part) for part in ink[:3]) > 150, "light ink on a dark page"
            assert plotted(lab, "d._fullLayout.paper_bgcolor") == "rgba(0,0,0,0)"
            for tab in ("Samples", "Attention", "Network", "Data", "Log"):
                page.get_by_role("tab", name=tab).click()
                page.wait_for_selector(f"[role=tab][aria-selected=true]:text('{tab}')")
                time.sleep(0.4)  # for what the tab draws, and for what it might wrongly load
            assert "<script>window.hacked=2</script>" in lab.output_text(0)
            page.get_by_role("tab", name="Attention").click()
            page.get_by_role("button", name="show as table").click()
            until(lambda: "looks at most" in lab.output_text(0))
            assert page.evaluate("() => window.hacked") is None
            assert page.locator(".nbllm-dashboard img, .nbllm-dashboard script").count() == 0
            assert lab.console_errors() == []
            page.evaluate(
                "() => window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Light' })"
            )
            page.get_by_role("button", name="show as chart").click()
            until(
                lambda: max(int(p) for p in re.findall(r"\d+", str(plotted(lab, "d._fullLayout.font.color")))[:3]) < 120
            )
