"""The form in a real JupyterLab: by mouse and keyboard, a cell loaded and written, a preset kept, a run trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.notebooks import Notebooks, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# Controls of the form that those who do not see it would not be told the name of.
NAMELESS = """() => [...document.querySelectorAll('.nbllm-form :is(input, select, textarea, button, summary)')]
    .filter((node) => !(node.labels?.length || node.getAttribute('aria-label') || node.textContent?.trim()))
    .map((node) => node.outerHTML.slice(0, 200))"""
BODY = """%%llm_train loaded --model cnn --size tiny --steps 4
model: {width: 16, layers: 1}
train: {context: 8, batch_size: 4}
sample: {prompt: "PROMPT", every: 0}
probe: {every: 0}"""


def test_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"NBLLM_STANDBY": "0", "NBLLM_HOME": str(tmp_path / "home")}
    with Notebooks(tmp_path, env=env, height=1500) as lab:
        cells = ["%load_ext nbllm", "%llm_config words --model lstm --size tiny", "%llm_config --write"]
        with lab.notebook("form", cells) as page:
            for cell in (0, 1):
                lab.run_cell(cell)
            form = page.locator(".nbllm-form")
            field = lambda path: page.locator(f'.nbllm-form [data-path="{path}"]')  # noqa: E731
            code, fault = page.locator(".nbllm-form-code"), page.locator(".nbllm-form-said > .nbllm-notice")
            drawing = page.locator(".nbllm-form-drawing svg")
            until(lambda: "--model lstm" in code.inner_text(), "the form")
            assert page.evaluate(NAMELESS) == []
            assert "LSTM" in drawing.get_attribute("aria-label")
            count = page.locator(".nbllm-form-estimates strong").first
            before = count.inner_text()

            # Another family: the drawing, the estimates and the cell follow.
            field("model.kind").select_option("transformer")
            until(lambda: "--model transformer" in code.inner_text(), "the cell of another family")
            until(lambda: "self-attention" in drawing.get_attribute("aria-label"), "its drawing")
            assert count.inner_text() != before

            # By the keyboard: a fold is opened, a number typed, a wrong one said, and given back to itself.
            fold = page.locator(".nbllm-form-fold > summary", has_text="Network").first
            fold.focus()
            page.keyboard.press("Enter")
            until(field("model.layers").is_visible, "the fields of the network")
            assert not field("model.latent").is_visible()
            field("model.layers").focus()
            page.keyboard.press("Control+A")
            page.keyboard.type("3")
            page.keyboard.press("Tab")
            until(lambda: "model: {layers: 3}" in code.inner_text(), "the layers in the cell")
            field("model.heads").fill("7")
            until(fault.is_visible, "what is wrong")
            assert "Try heads" in fault.inner_text()
            page.get_by_role("button", name="leave heads to itself").click()
            until(lambda: not fault.is_visible(), "that it is mended")
            search = page.get_by_label("find a setting")
            search.fill("peak learning")
            until(field("train.lr").is_visible, "what was looked for")
            assert not field("model.layers").is_visible()
            search.fill("")
            until(field("model.layers").is_visible, "all of it again")

            # A preset is kept, and one of that name is replaced only where that is said.
            page.locator(".nbllm-form-fold > summary", has_text="Your presets").click()
            page.get_by_label("name of the preset").fill("three")
            page.get_by_role("button", name="Keep", exact=True).click()
            until((tmp_path / "home" / "presets" / "three.yaml").is_file, "the preset's file")
            until(lambda: page.get_by_role("button", name="Replace it").count() == 1, "that it is there")

            # A cell is loaded; text of any kind is text.
            text = BODY.replace("PROMPT", "<img src=x onerror=window.hacked=1> שלום 天气 </textarea>")
            page.locator(".nbllm-form-fold > summary", has_text="Load a cell").click()
            page.get_by_label("a %%llm_train cell").fill(text)
            page.get_by_role("button", name="Load", exact=True).click()
            until(lambda: "%%llm_train loaded" in code.inner_text(), "the cell that was loaded")
            assert field("model.kind").input_value() == "cnn"
            assert "<img" in field("sample.prompt").input_value()
            assert page.evaluate("() => window.hacked") is None
            written = str(code.inner_text())

            # It trains, under the form.
            page.get_by_role("button", name="Train", exact=True).click()
            until(lambda: (lab.runs / "loaded").is_dir() and lab.status("loaded").state == "finished", "the run", 90)
            until(lambda: "finished" in lab.state_text(1), "the dashboard below the form")
            page.get_by_role("button", name="Train", exact=True).click()
            until(lambda: "there already" in fault.inner_text(), "that the name is taken")
            assert form.count() == 1

            # The cell is put below, from the page and from a cell.
            page.get_by_role("button", name="Put it below").click()
            until(lambda: source(page, 2) == written, "the cell below the form")
            lab.run_cell(3)
            until(lambda: source(page, 4) == written, "the cell that the magic has put below")

            # All of it is in traits: a page that is loaded again shows the same.
            lab.save()
            lab.reload()
            until(lambda: code.count() == 1 and code.inner_text() == written, "the same after a reload")
            assert not page.locator(".nbllm-form-saved").is_visible()
            assert lab.console_errors() == []


def source(page: Any, index: int) -> str:
    """What stands in a cell."""
    path = "window.jupyterapp.shell.currentWidget.content.widgets"
    return str(page.evaluate(f"() => {path}[{index}]?.model.sharedModel.getSource() ?? ''"))
