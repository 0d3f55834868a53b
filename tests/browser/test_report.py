"""The report opened from the disk in Chromium: nothing in it runs but its own script, and everything answers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from nbllm.inspection.finding import keep
from nbllm.inspection.maps import AttentionMaps
from nbllm.store.files import write_json
from nbllm.store.folder import RunFolder
from tests.browser.harness import FLAGS, SCREENSHOTS
from tests.browser.notebooks import until
from tests.browser.test_looking import HOSTILE
from tests.dashboards.test_report import written
from tests.inspection.test_finding import finding

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
_DRAWN = "document.querySelectorAll('.live[data-drawn]').length === 2"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        found = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of attention with hostile text everywhere, and one of gates over Chinese."""
    folder = tmp_path_factory.mktemp("report")
    run = written(folder / "attention", tokens=[*HOSTILE, "</script><script>window.hacked=9</script>", "a" * 300])
    place = RunFolder(run.folder)
    with open(place.samples, "a", encoding="utf-8") as file:
        text = "".join(HOSTILE) + "</pre><script>window.hacked=5</script><svg onload=window.hacked=6>\n今天天气很好。"
        file.write(json.dumps({"event": "sample", "step": 200, "prompt": HOSTILE[0], "text": text}) + "\n")
    write_json(place.environment, {"command": HOSTILE[1], "versions": {HOSTILE[0]: HOSTILE[2]}})
    keep(finding(form="bars"), run.folder)
    gates = written(folder / "gates", "gates")
    return {"attention": run.report(folder / "a.html").path, "gates": gates.report(folder / "g.html").path}


def opened(
    browser: Browser, path: Path, *, dark: bool = False, script: bool = True, drawn: str = _DRAWN
) -> tuple[Page, list[str]]:
    """The page from the disk, and what its console and the network were asked."""
    assert path.stat().st_size < 3_000_000
    context = browser.new_context(
        viewport={"width": 1000, "height": 900}, color_scheme="dark" if dark else "light", java_script_enabled=script
    )
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else said.append(request.url))
    page.goto(path.as_uri())
    if script:
        until(lambda: page.evaluate(drawn), "the page is drawn")  # wait_for_function breaks the page's policy
    return page, said


def read(page: Page, place: int) -> str:
    return page.locator(".read").nth(place).inner_text()


@pytest.mark.parametrize("dark", [False, True])
def test_hostile_text_does_nothing_and_the_pickers_work(browser: Browser, pages: dict[str, Path], dark: bool) -> None:
    page, said = opened(browser, pages["attention"], dark=dark)
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (shade == "rgb(20, 24, 29)") is dark
    page.locator(".map").focus()
    page.keyboard.press("ArrowDown")
    first = read(page, 1)
    assert "<script>window.hacked=2</script>" in page.locator("#inside").inner_text()
    assert " looks at " in first
    assert page.locator(".thumb").count() == 16
    page.locator("#inside select").first.select_option("0")
    page.locator("#inside select").last.select_option("2")
    assert page.locator('.thumb[aria-pressed="true"]').get_attribute("aria-label") == "layer 0, head 2"
    page.locator(".thumb").nth(5).click()
    assert page.locator("#inside select").first.input_value() == "1"
    page.locator("#inside input").focus()
    before = page.locator(".map").screenshot()
    page.keyboard.press("Home")
    assert page.locator("#inside output").inner_text() == "50"
    assert page.locator(".map").screenshot() != before
    page.locator(".chart").focus()
    page.keyboard.press("End")
    assert read(page, 0).startswith("step 200: train loss, smoothed ")
    assert "held-out loss" in read(page, 0)
    page.locator("#curves select").first.select_option("grad_norm")
    page.keyboard.press("Tab")
    page.get_by_label("logarithmic").check()
    page.locator("#curves select").last.select_option("seconds")
    page.locator(".chart").focus()
    page.keyboard.press("Home")
    assert "gradient norm" in read(page, 0)
    box = page.locator(".chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 100)
    page.mouse.up()
    assert page.get_by_role("button", name="Show all").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("button", name="Show all").is_visible()
    page.locator("#curves select").first.select_option("loss")
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img").count() == 1
    assert said == []
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"report-{'dark' if dark else 'light'}.png", full_page=True)
    page.context.close()


def test_no_other_script_may_run(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    """Were a text not escaped, the policy of the page would still stop it."""
    spoilt = tmp_path / "spoilt.html"
    text = pages["attention"].read_text(encoding="utf-8")
    spoilt.write_text(
        text.replace(
            "</main>", "<script>window.hacked=1</script><img src=x onerror='window.hacked=2'>"
            "<img src='http://127.0.0.1:9/x.png'></main>",
        ),
        encoding="utf-8",
    )  # fmt: skip
    page, said = opened(browser, spoilt)
    assert page.evaluate("window.hacked") is None
    assert sum("Content Security Policy" in line for line in said) >= 3
    page.context.close()


def test_gates_by_unit(browser: Browser, pages: dict[str, Path]) -> None:
    page, said = opened(browser, pages["gates"])
    page.locator("#inside select").last.select_option("3")
    page.locator(".map").focus()
    page.keyboard.press("ArrowRight")
    assert re.match(r"unit 1, cell at .天. \(place 1\): -?[01]\.\d\d", read(page, 1)), read(page, 1)
    assert said == []
    page.locator("#inside").screenshot(path=SCREENSHOTS / "report-gates.png")
    page.context.close()


def test_saved_attention_goes_by_keyboard_with_no_kernel(browser: Browser, tmp_path: Path) -> None:
    tokens = [*HOSTILE, "</script><script>window.hacked=9</script>", "天气"]
    weights = np.tril(np.random.default_rng(0).gamma(0.3, size=(2, 2, len(tokens), len(tokens))))
    maps = AttentionMaps((weights / weights.sum(-1, keepdims=True)).astype(np.float32), tokens)
    saved = maps.save(tmp_path / "maps.html")
    page, said = opened(browser, saved, drawn="document.querySelector('#explorer')?.dataset.drawn")
    page.locator("canvas.nbllm-map").first.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert " looks at " in page.locator(".nbllm-read").inner_text()
    page.get_by_role("tab", name="Strongest pairs").click()
    assert "<script>window.hacked=2</script>" in page.locator(".nbllm-table").first.inner_text()
    page.screenshot(path=SCREENSHOTS / "attention-saved.png")
    assert page.evaluate("window.hacked") is None
    assert said == []
    page.context.close()


def test_it_is_read_without_a_script_and_on_paper(browser: Browser, pages: dict[str, Path]) -> None:
    page, said = opened(browser, pages["attention"], script=False)
    for place in ("#curves figure svg", "#inside figure img", "#cost figure svg", "#findings svg"):
        assert page.locator(place).first.is_visible(), place
    assert page.locator(".live").first.is_hidden()
    assert said == []
    page.context.close()
    page, _ = opened(browser, pages["attention"])
    page.emulate_media(media="print")
    assert page.locator("#curves .still").is_visible()
    assert page.locator("#inside .still").is_visible()
    assert page.locator(".live").first.is_hidden()
    page.context.close()
