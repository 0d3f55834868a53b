"""The lens in a real browser: its arithmetic against generation's own, and branches by mouse and keyboard."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import sync_playwright

from nbllm.dashboards import frontend
from nbllm.generation.sampling import Sampler
from nbllm.inspection.branches import TEMPERATURES
from tests.browser.harness import FLAGS
from tests.browser.notebooks import Notebooks, until
from tests.browser.test_looking import HOSTILE, hostile_run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
_SHARES = (
    "([logits, size, rest, temperatures, all]) => all.map((settings) => { const { q, others, kept, exact } ="
    " window.lensShares(logits, size, rest, temperatures, settings); return [[...q], others, kept, exact]; })"
)


def settings() -> list[dict[str, float | int | None]]:
    """Settings of every kind, alone and together, those at the ends among them."""
    found: list[dict[str, float | int | None]] = []
    for temperature in (0, 0.1, 0.7, 1.0, 2.0):
        for top_k in (None, 1, 5, 40, 200):
            for top_p in (None, 0.05, 0.5, 0.9, 0.99):
                for min_p in (None, 0.02, 0.3):
                    found.append({"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p})
    return found


def test_the_sliders_do_what_generation_does() -> None:
    """Of all logits, and of the largest with the mass of the others: the shares that are drawn from."""
    generator = torch.Generator().manual_seed(0)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.add_script_tag(content=frontend.module("lens-sampling.js") + "\nwindow.lensShares = shares;")
        exact = checked = 0
        for size, kept in ((64, 64), (3000, 1024)):
            logits = (3 * torch.randn(size, generator=generator)).sort(descending=True).values
            logits[5:8] = logits[5]  # ties
            rest = [float(((logits[kept:] - logits[0]).double() / t).logsumexp(-1)) for t in TEMPERATURES]
            told = page.evaluate(
                _SHARES, [logits[:kept].tolist(), size, rest if kept < size else [], list(TEMPERATURES), settings()]
            )
            for asked, (shares, others, count, is_exact) in zip(settings(), told, strict=True):
                sampler = Sampler(**asked)  # type: ignore[arg-type]
                left = sampler.adjust(logits[None])[0]
                expected = torch.zeros(size) if asked["temperature"] == 0 else left.softmax(-1)
                if asked["temperature"] == 0:
                    expected[int(sampler.draw(logits[None]))] = 1
                np.testing.assert_allclose(sum(shares) + others, 1, atol=1e-9)
                checked += 1
                if not is_exact:  # a cut among those that are not sent: known but for the last of them
                    np.testing.assert_allclose(shares, expected[:kept], atol=2e-3)
                    continue
                exact += 1
                np.testing.assert_allclose(shares, expected[:kept], atol=2e-6, err_msg=str(asked))
                np.testing.assert_allclose(others, expected[kept:].sum(), atol=2e-6, err_msg=str(asked))
                if asked["temperature"]:
                    assert count == int((left > -math.inf).sum()), asked
        browser.close()
    assert checked == 2 * len(settings())
    assert exact > 0.97 * checked


@pytest.mark.parametrize("dark", [False, True])
def test_branches_by_mouse_and_keyboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dark: bool) -> None:
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, dark=dark, height=1500) as lab:
        monkeypatch.setenv("NBLLM_RUNS", str(lab.runs))
        hostile_run(tmp_path)
        prompt = "|".join(HOSTILE[:6])
        cells = [
            "%load_ext nbllm", f"%%llm_lens hostile --max-tokens 24 --temperature 1\n{prompt}",
            "lens = _nbllm_last = __import__('nbllm').load('hostile').lens('天气|很好', max_tokens=6)\nprint(lens)",
        ]  # fmt: skip
        with lab.notebook("lens", cells) as page:
            for cell in (0, 1):
                lab.run_cell(cell)
            tokens = page.locator(".nbllm-lens-token")
            until(lambda: tokens.count() >= 10, "the first branch")
            written = page.locator(".nbllm-lens-row")

            # The mouse: pointing shows the alternatives, a click holds them, a click on one of them branches.
            tokens.nth(8).hover()
            until(lambda: page.locator(".nbllm-lens-heading").inner_text().startswith("place 8"), "the panel")
            assert written.count() >= 8
            shares = [float(row.get_attribute("data-share") or 0) for row in written.all()]
            own = [float(row.get_attribute("data-own") or 0) for row in written.all()]
            np.testing.assert_allclose(shares, own, atol=1e-9)  # temperature 1, nothing cut
            tokens.nth(8).click()
            page.locator(".nbllm-lens-row:not(.nbllm-written)").first.click()
            until(lambda: page.locator(".nbllm-lens-branch").count() == 2, "the branch")
            until(lambda: page.locator(".nbllm-lens .nbllm-button").nth(2).is_disabled(), "its end")
            assert "from 0 at place 8" in page.locator(".nbllm-lens-about").nth(1).inner_text()
            assert page.locator(".nbllm-shared").count() == 8
            assert page.locator(".nbllm-parting").count() == 1

            # The sliders act on what is shown, in the page; the next branch is drawn by them.
            slider = page.get_by_label("top k")
            slider.focus()
            for _ in range(18):
                page.keyboard.press("ArrowLeft")
            until(lambda: page.locator(".nbllm-lens-side").get_attribute("data-kept") == "2", "two that are left")
            left = [float(row.get_attribute("data-share") or 0) for row in written.all()]
            assert sum(share > 0 for share in left) == 2
            assert sum(left) == pytest.approx(1)

            # The keyboard: arrows go from token to token, Enter to the alternatives and on to a branch.
            page.locator(".nbllm-lens-token[tabindex='0']").focus()
            page.keyboard.press("Home")
            for _ in range(10):
                page.keyboard.press("ArrowRight")
            place = page.locator(".nbllm-lens-heading").inner_text()
            assert place.startswith("place 10"), place
            page.keyboard.press("Enter")
            page.keyboard.press("ArrowDown")
            page.keyboard.press("Enter")
            until(lambda: page.locator(".nbllm-lens-branch").count() == 3, "the branch of the keyboard")
            until(lambda: page.locator(".nbllm-lens .nbllm-button").nth(2).is_disabled(), "its end")
            assert "top-k 2" in page.locator(".nbllm-lens-about").nth(2).inner_text()

            # Text of any kind is text.
            strip = page.locator(".nbllm-lens-list").inner_text()
            for token in ("<script>window.hacked=2</script>", "שלום", "⟨U+202E⟩txt.exe"):
                assert token in strip
            page.locator(".nbllm-lens summary").click()
            until(lambda: page.locator(".nbllm-lens .nbllm-table").count() == 2, "the tables")
            assert page.locator(".nbllm-lens .nbllm-table").first.locator("tbody tr").count() == 3
            page.mouse.move(5, 5)
            lab.screenshot(f"lens-{'dark' if dark else 'light'}")
            assert page.evaluate("() => window.hacked") is None
            assert page.locator(".jp-OutputArea img[src='x'], .jp-OutputArea script:not([type])").count() == 0

            # All of it is in traits: a page that is loaded again shows the same.
            lab.save()
            lab.reload()
            until(lambda: page.locator(".nbllm-lens-branch").count() == 3, "the same branches after a reload")
            lab.run_cell(2)
            assert "天气" in lab.output_text(2)
            assert lab.console_errors() == []
