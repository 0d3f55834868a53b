"""The studio in a real JupyterLab, and the same notebook as an application under Voila."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import nbllm
from tests.browser.notebooks import Notebooks, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "studio.ipynb"
QUICK = {"size": "tiny", "layers": 1, "width": 32, "context": 16, "steps": 12, "sample.every": 0, "probe.every": 6}


def test_studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, height=1400) as lab:
        monkeypatch.setenv("NBLLM_RUNS", str(lab.runs))
        for name, kind in (("older", "lstm"), ("newer", "transformer")):
            run = nbllm.train(name, model=kind, runner="inline", **QUICK)
            assert run.state == "finished", run.error
        with lab.notebook("studio", ["%load_ext nbllm", "%llm_studio"]) as page:
            for cell in (0, 1):
                lab.run_cell(cell)
            walk(page)
            assert lab.console_errors() == []
        with voila(lab, tmp_path) as port:
            page = lab._browser.new_page(viewport={"width": 1300, "height": 1400})
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)[:300]))
            page.goto(f"http://127.0.0.1:{port}/")
            until(lambda: page.locator(".nbllm-form-code").count() == 1, "the studio under Voila", 90)
            assert page.locator(".jp-InputArea, .input_area").count() == 0, "an application shows no code"
            page.get_by_role("tab", name="Watch").click()
            until(lambda: page.locator(".nbllm-live .nbllm-state").count() == 1, "the dashboard under Voila")
            assert "finished" in page.locator(".nbllm-live").inner_text()
            page.get_by_role("tab", name="Compare").click()
            page.get_by_role("button", name="Compare").click()
            until(lambda: page.locator(".nbllm-studio-stage table").count() > 0, "the comparison under Voila")
            assert faults == []
            assert strangers(port) == []
            page.close()


def walk(page: Any) -> None:
    """Every tab, by mouse and keyboard."""
    stage = page.locator(".nbllm-studio-stage")
    tab = lambda name: page.get_by_role("tab", name=name, exact=True)  # noqa: E731
    until(lambda: page.locator(".nbllm-form-code").count() == 1, "the form")
    assert stage.locator(".nbllm-live, .nbllm-playground, .nbllm-ask").count() == 0, "no other tab is made yet"
    assert page.get_by_label("run", exact=True).input_value() == "newer"

    tab("Configure").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(lambda: page.locator(".nbllm-live .nbllm-state").count() == 1, "the dashboard")
    until(lambda: tab("Watch").get_attribute("aria-selected") == "true", "the tab")
    assert stage.get_attribute("role") == "tabpanel"
    assert not page.locator(".nbllm-form").is_visible()

    tab("Sample").click()
    until(lambda: page.locator(".nbllm-lens").count() == 1, "the lens", 60)

    tab("Look inside").click()
    page.get_by_role("button", name="Look", exact=True).click()
    until(lambda: page.locator(".nbllm-explorer").count() == 1, "the attention that was kept")
    page.get_by_label("run", exact=True).select_option("older")
    until(lambda: page.locator(".nbllm-explorer").count() == 0, "the panel of another run")
    until(lambda: "older" in page.locator(".nbllm-ask:visible h3").inner_text(), "its questions")
    assert "attention" not in page.get_by_label("look at").inner_text()
    page.locator(".nbllm-ask:visible").get_by_label("text", exact=True).fill("not a run's")
    page.get_by_label("look at").select_option("gates")
    page.get_by_role("button", name="Look", exact=True).click()
    until(lambda: stage.locator(".js-plotly-plot:visible").count() == 1, "the gates")

    tab("Tasks").click()
    until(lambda: page.locator(".nbllm-playground").count() == 1, "the playground")

    tab("Compare").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    until(lambda: stage.locator("table:visible").count() > 0, "the comparison")

    tab("Report and export").click()
    page.get_by_role("button", name="Write the report").click()
    saved = page.get_by_role("button", name="Save older.html to this computer")
    until(saved.is_visible, "the report", 60)
    with page.expect_download() as download:
        saved.click()
    assert "<html" in Path(download.value.path()).read_text(encoding="utf-8")[:200]


@contextmanager
def voila(lab: Notebooks, folder: Path) -> Iterator[int]:
    """Voila on the studio's notebook; its port."""
    pytest.importorskip("voila")
    port = lab.port + 1
    log = open(folder / "voila.log", "w")  # noqa: SIM115 - lives as long as the server
    arguments = [f"--port={port}", "--Voila.ip=127.0.0.1", "--no-browser", f"--Voila.root_dir={folder}"]
    server = subprocess.Popen(
        [sys.executable, "-m", "voila", str(NOTEBOOK), *arguments], env=lab._env, cwd=folder, stdout=log, stderr=log
    )
    try:
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/voila/static/none", timeout=1).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert server.poll() is None, (folder / "voila.log").read_text()[-2000:]
                assert time.monotonic() < end, "Voila does not answer"
                time.sleep(0.1)
        yield port
    finally:
        children = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        for child in children:
            if child.is_running():
                child.kill()
        log.close()


def strangers(port: int) -> list[Any]:
    """What listens beside Voila itself and the channels that Jupyter gives its kernel."""
    server = next(
        process
        for process in psutil.Process(os.getpid()).children()
        if any(place.laddr.port == port for place in process.net_connections() if place.status == "LISTEN")
    )
    known = {port}
    for child in server.children(recursive=True):
        for part in child.cmdline():
            if part.endswith(".json") and "kernel-" in part:
                content = json.loads(Path(part.removeprefix("--f=")).read_text())
                known |= {value for key, value in content.items() if key.endswith("_port")}
    return [
        (process.cmdline(), place.laddr.port)
        for process in (server, *server.children(recursive=True))
        for place in process.net_connections()
        if place.status == "LISTEN" and place.laddr.port not in known
    ]
