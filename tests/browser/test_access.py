"""Dashboards for everybody: axe-core finds nothing serious in them, and the main story goes by the keyboard alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page

import nbllm
from tests.browser import axe
from tests.browser.notebooks import Notebooks, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
QUICK = "--size tiny --layers 1 --width 16 --heads 2 --context 16 --batch-size 4 --threads 1"
PANELS = (".nbllm-explorer", ".nbllm-lens", ".nbllm-playground", ".nbllm-form", ".nbllm-chat")
TABS = ("Loss", "Samples", "Attention", "Network", "Data", "Log")
_FOCUS = "() => (document.activeElement?.innerText || document.activeElement?.getAttribute('aria-label') || '').trim()"
_THEME = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"


def sheep(lab: Notebooks) -> None:
    """A text to train on."""
    lines = (f"{n} sheep jumped over the fence, and then {n + 1} more.\n" for n in range(400))
    (lab.work / "sheep.txt").write_text("".join(lines), encoding="utf-8")


def test_axe_finds_nothing_serious(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if axe.source() is None:
        pytest.skip("axe-core is not here and npm cannot fetch it")
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, height=3600) as lab:
        monkeypatch.setenv("NBLLM_RUNS", str(lab.runs))
        sheep(lab)
        rows = [
            {"text": f"it was {word} today {n}", "label": label}
            for label, words in {"good": ("fine", "great"), "bad": ("poor", "awful")}.items()
            for word in words
            for n in range(20)
        ]
        nbllm.tasks.get("sentiment").train(
            pd.DataFrame(rows), name="moods", steps=20, model="cnn", size="tiny", runner="inline", batch_size=16
        )
        cells = [
            "%load_ext nbllm",
            f"%%llm_train story --data sheep.txt --steps 300 {QUICK}\nsample: {{every: 50}}\nprobe: {{every: 50}}",
            "%llm_attention story 'sheep jumped'",
            "%llm_lens story sheep --max-tokens 8",
            "%llm_playground sentiment",
            "%llm_config",
            "%llm_chat story",
        ]
        with lab.notebook("access", cells) as page:
            lab.run_cell(0)
            lab.run_cell(1)
            until(lambda: "finished" in lab.state_text(1), "the end of the training")
            for cell in range(2, len(cells)):
                lab.run_cell(cell)
            until(lambda: page.locator(".nbllm-explorer[data-drawn]").count() == 1, "the explorer")
            until(lambda: page.locator(".nbllm-lens-token").count() > 4, "the lens")
            until(lambda: page.locator(".nbllm-form-code").count() == 1, "the form")
            until(lambda: page.locator(".nbllm-chat").count() == 1, "the chat")
            page.locator(".nbllm-playground").get_by_role("button", name="Run", exact=True).click()
            until(lambda: page.locator(".nbllm-play-said").count() == 1, "an answer")
            found = []
            page.evaluate("() => document.body.insertAdjacentHTML('beforeend', '<div id=bad><button></button></div>')")
            assert axe.serious(page, "#bad"), "it finds what is there to be found"
            found += [f"light, {each}" for each in everything(page)]
            page.evaluate(_THEME, "JupyterLab Dark")
            until(lambda: page.evaluate("() => document.body.dataset.jpThemeLight === 'false'"), "the dark theme")
            found += [f"dark, {each}" for each in everything(page)]
            assert not found, "\n".join(found)


def everything(page: Page) -> list[str]:
    """What axe finds in every tab of the dashboard, and in the other panels."""
    found = []
    for tab in TABS:
        page.locator(".nbllm-dashboard .nbllm-live").get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_timeout(250)  # colours fade
        found += [f"{tab}: {each}" for each in axe.serious(page, ".nbllm-dashboard")]
    for part in PANELS:
        found += [f"{part}: {each}" for each in axe.serious(page, part)]
    return found


def test_the_main_story_by_keyboard_alone(tmp_path: Path) -> None:
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, height=1500) as lab:
        sheep(lab)
        train = f"%%llm_train keys --data sheep.txt --steps 100000000 {QUICK}\nsample: {{every: 200}}"
        with lab.notebook("keys", ["%load_ext nbllm", train, "%llm_generate keys sheep --max-tokens 20"]) as page:
            page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activate(); }")
            page.keyboard.press("Escape")
            page.keyboard.press("Shift+Enter")
            page.keyboard.press("Shift+Enter")
            until(lambda: len(lab.drawn_steps(1)) > 2, "the first points")

            page.keyboard.press("ArrowUp")  # from the cell below to that of the dashboard
            walk(page, "Pause")
            page.keyboard.press("Enter")
            until(lambda: lab.status("keys").state == "paused", "the pause")
            until(lambda: "paused" in lab.state_text(1), "the pause in the page")

            walk(page, "Loss")
            page.keyboard.press("ArrowRight")
            until(lambda: focused(page) == "Samples", "the next tab")
            until(lambda: "step" in lab.output_text(1), "a sample")
            page.keyboard.press("ArrowLeft")

            walk(page, "Resume", back=True)
            page.keyboard.press("Space")
            until(lambda: lab.status("keys").state == "training", "the run goes on")

            page.keyboard.press("Escape")  # from a button back to its cell
            page.keyboard.press("ArrowDown")
            page.keyboard.press("Control+Enter")
            until(lambda: "sheep" in lab.output_text(2), "text")
            page.keyboard.press("ArrowUp")
            walk(page, "Stop")
            page.keyboard.press("Enter")
            until(lambda: lab.status("keys").state == "stopped", "the stop")
        lab.end_runs()


def focused(page: Page) -> str:
    """What the element with the focus says."""
    return str(page.evaluate(_FOCUS))


def walk(page: Page, name: str, back: bool = False) -> None:
    """Go on by Tab, or back, until something of this name has the focus."""
    seen = []
    for _ in range(40):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        seen.append(focused(page)[:30])
        if seen[-1] == name:
            return
    raise AssertionError(f"Tab does not lead to {name}, but to {seen}")
