"""The studio in a real JupyterLab, and the same notebook as an application under Voila."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

import nbllm
from tests.browser.notebooks import Notebooks, until
from tests.browser.test_front_ends import Voila

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "studio.ipynb"
QUICK = {"size": "tiny", "layers": 1, "width": 16, "context": 16, "steps": 6, "sample.every": 0, "probe.every": 3}


def train(lab: Notebooks, monkeypatch: pytest.MonkeyPatch, **kinds: str) -> None:
    """A short run of each name and family."""
    monkeypatch.setenv("NBLLM_RUNS", str(lab.runs))
    for name, kind in kinds.items():
        run = nbllm.train(name, model=kind, runner="inline", **QUICK)
        assert run.state == "finished", run.error


def test_studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, height=1400) as lab:
        train(lab, monkeypatch, older="lstm", newer="transformer")
        with lab.notebook("studio", ["%load_ext nbllm", "%llm_studio"]) as page:
            for cell in (0, 1):
                lab.run_cell(cell)
            walk(page)
            assert lab.console_errors() == []


def test_studio_is_an_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its notebook under Voila shows no code, works, and lets nothing listen but Voila and its kernel's channels."""
    pytest.importorskip("voila")
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    with Voila(tmp_path, env={"NBLLM_STANDBY": "0"}, height=1400) as lab:
        train(lab, monkeypatch, only="lstm")
        with lab.notebook("studio", cells) as page:
            until(lambda: page.locator(".nbllm-form-code").count() == 1, "the form", 90)
            assert page.locator(".jp-InputArea:visible").count() == 0
            page.get_by_role("tab", name="Watch").click()
            until(lambda: page.locator(".nbllm-live .nbllm-state").count() == 1, "the dashboard")
            assert "finished" in page.locator(".nbllm-live").inner_text()
            page.get_by_role("tab", name="Compare").click()
            page.get_by_role("button", name="Compare", exact=True).click()
            until(lambda: page.locator(".nbllm-studio-stage table:visible").count() > 0, "the comparison")
            assert strangers(lab) == []
            assert lab.console_errors() == []


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


def strangers(lab: Notebooks) -> list[Any]:
    """What listens beside Voila itself and what Jupyter gives a kernel: five channels, and one for its debugger."""
    server = psutil.Process(lab._server.pid)
    own = {place.laddr.port for place in server.net_connections() if place.status == "LISTEN"}
    assert lab.port in own
    found: list[Any] = sorted(own - {lab.port})
    for kernel in server.children(recursive=True):
        places = [place.laddr for place in kernel.net_connections() if place.status == "LISTEN"]
        if len(places) > 6 or any(place.ip != "127.0.0.1" for place in places):
            found.append((kernel.cmdline(), places))
    return found
