"""Predictions and influence in a real JupyterLab: text of any kind is shown as text, in both themes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

import nbllm
from tests.browser.notebooks import Notebooks, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
_PLOTS = "document.querySelectorAll('.js-plotly-plot .heatmaplayer').length"
_WIDE = "document.querySelector('.js-plotly-plot').closest('.jp-OutputArea-output')"
HOSTILE = [
    "<img src=x onerror=window.hacked=1>", "<script>window.hacked=2</script>", "\"><b onclick='window.hacked=3'>",
    "שלום", "مرحبا", "\u202etxt.exe", "\u200b", "\x07", "&lt;b&gt;", "天气", "很好", "，", "%{x}", "。",
]  # fmt: skip


def hostile_run(root: Path) -> None:
    """A run whose every token is one of the strings above, trained for a moment."""
    vocabulary = {token: index for index, token in enumerate(["<unk>", "<eos>", *HOSTILE])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("|", "removed")
    tokenizer.save(str(root / "hostile.json"))
    (root / "hostile.txt").write_text(("|".join(HOSTILE) + "|") * 60, encoding="utf-8")
    run = nbllm.train(
        "hostile", data=str(root / "hostile.txt"), model="lstm", size="tiny", steps=60, runner="inline",
        **{"tokenizer.kind": str(root / "hostile.json"), "context": 16, "width": 32, "layers": 2, "sample.every": 0,
           "probe.every": 0},
    )  # fmt: skip
    assert run.state == "finished", run.error


def by_keys(figure: Any, said: str) -> None:
    """Go over a figure's values by arrow keys: each is labelled on the page, and told to who cannot see it."""
    until(lambda: figure.get_attribute("role") == "application", "the figure has its keys")
    spoken = figure.locator("xpath=following-sibling::*[@role='status']")
    told: list[str] = []
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        figure.press(key)
        until(lambda: spoken.inner_text() not in ("", *told), "a value is told")
        told.append(spoken.inner_text())
        assert figure.locator(".hoverlayer .hovertext").count() == 1
    assert all(said in line for line in told), told


@pytest.mark.parametrize("dark", [False, True])
def test_hostile_tokens_are_shown_and_do_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dark: bool) -> None:
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, dark=dark, height=2300) as lab:
        monkeypatch.setenv("NBLLM_RUNS", str(lab.runs))
        hostile_run(tmp_path)
        text = "|".join([*HOSTILE, *HOSTILE[-6:]])
        cells = [
            "%load_ext nbllm", f"%%llm_predictions hostile --layers\n{text}",
            f"%%llm_influence hostile --method occlusion\n{text}",
            "import nbllm\nnbllm.load('hostile').influence('天气|很好|，|<script>window.hacked=2</script>')",
        ]  # fmt: skip
        with lab.notebook("looking", cells) as page:
            for cell in range(len(cells)):
                lab.run_cell(cell)
            until(lambda: page.evaluate(f"() => {_PLOTS}") == 2, "both figures")
            for summary in page.locator("summary").all():
                summary.click()
            page.mouse.move(5, 5)
            page.evaluate(f"() => {{ const o = {_WIDE}; o.scrollLeft = o.scrollWidth }}")
            assert page.evaluate(f"() => {_WIDE}.scrollLeft") > 0, "what is wider than the page can be scrolled to"
            page.evaluate(f"() => {{ {_WIDE}.scrollLeft = 0 }}")
            lab.screenshot(f"looking-{'dark' if dark else 'light'}")
            titles = page.evaluate("() => [...document.querySelectorAll('.nbllm-strip bdi')].map((e) => e.title)")
            assert len(titles) == len(HOSTILE) + 6
            assert titles[0].startswith("<img␣src=x␣onerror=window.hacked=1>  ")
            assert "⟨U+202E⟩txt.exe" in titles[5]
            strip = page.locator(".nbllm-strip").inner_text()
            for token in ("<script>window.hacked=2</script>", "שלום", "天气", "⟨U+0007⟩", "&lt;b&gt;"):
                assert token in strip
            drawn = page.locator(".js-plotly-plot .heatmaplayer").first
            drawn.scroll_into_view_if_needed()  # the tables that were opened are long
            box = drawn.bounding_box()
            assert box is not None
            page.mouse.move(box["x"] + 30, box["y"] + 12)
            until(lambda: page.locator(".hoverlayer .hovertext").count() > 0, "the hover text")
            lab.screenshot(f"looking-hover-{'dark' if dark else 'light'}", ".js-plotly-plot")
            page.mouse.move(5, 5)
            for place, said in ((0, "own token"), (1, "share")):
                by_keys(page.locator(".js-plotly-plot").nth(place), said)
            lab.screenshot(f"looking-keys-{'dark' if dark else 'light'}", ".js-plotly-plot >> nth=1")
            assert page.evaluate("() => window.hacked") is None
            scripts = ".jp-OutputArea script:not([type]):not([data-of])"  # all but ours, which gives figures their keys
            assert page.locator(f".jp-OutputArea img[src='x'], {scripts}").count() == 0
            assert lab.console_errors() == []
            saved = lab.save().read_text()
    assert len(saved) < 600_000
    assert "hacked" in json.dumps(json.loads(saved)["cells"][1]["outputs"])
