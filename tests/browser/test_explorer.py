"""The attention explorer in a real JupyterLab: by keyboard alone, beside a busy kernel, with hostile tokens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page
from tokenizers import Tokenizer, models, pre_tokenizers

import nbllm
from tests.browser.notebooks import BUSY, Notebooks, until
from tests.browser.test_looking import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
_ACTIVE = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
QUIET = {"NBLLM_STANDBY": "0"}
# Weights that are known, as a cell makes them and as the test does.
MADE = """
import numpy as np
from nbllm.inspection.maps import AttentionMaps
def made(tokens, layers, heads, seed=0):
    size = len(tokens)
    weights = np.random.default_rng(seed).gamma(0.3, size=(layers, heads, size, size)) * np.tril(np.ones((size, size)))
    weights[0, 1, range(1, size), range(size - 1)] += 9
    return AttentionMaps((weights / weights.sum(-1, keepdims=True)).astype(np.float32), tokens)
words = "The cat sat on the mat because the cat was tired .".split()
"""


def explorer(page: Page, place: int = 0) -> Locator:
    """An explorer of the page that has drawn itself."""
    found = page.locator(".nbllm-explorer").nth(place)
    until(lambda: found.get_attribute("data-drawn"), "the explorer", 40)
    found.scroll_into_view_if_needed()
    return found


def read(found: Locator) -> str:
    """The sentence that a screen reader is told."""
    return found.locator(".nbllm-read").inner_text()


def press(page: Page, keys: str) -> None:
    """Press keys, written one after another."""
    for key in keys.split():
        page.keyboard.press(key)


def weight(found: Locator) -> Any:
    """The first weight of that sentence; float16 keeps three figures of it."""
    return pytest.approx(float(re.findall(r" (−?[0-9.]+)", read(found))[0].replace("−", "-")), abs=7e-4)


def hostile_run(root: Path) -> None:
    """A Transformer whose every token is hostile, with probes of a text of them."""
    vocabulary = {token: index for index, token in enumerate(["<unk>", "<eos>", *HOSTILE])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("|", "removed")
    tokenizer.save(str(root / "hostile.json"))
    (root / "hostile.txt").write_text(("|".join(HOSTILE) + "|") * 60, encoding="utf-8")
    run = nbllm.train(
        "hostile", data=str(root / "hostile.txt"), model="transformer", size="tiny", steps=40, runner="inline",
        **{"tokenizer.kind": str(root / "hostile.json"), "context": 16, "sample.every": 0, "probe.every": 20,
           "probe.text": "|".join(HOSTILE), "train.checkpoint_every": 20},
    )  # fmt: skip
    assert run.state == "finished", run.error


@pytest.mark.parametrize("dark", [False, True])
def test_hostile_tokens_are_text_in_every_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dark: bool) -> None:
    theme = "dark" if dark else "light"
    with Notebooks(tmp_path, env=QUIET, dark=dark, height=1500) as lab:
        monkeypatch.setenv("NBLLM_RUNS", str(lab.runs))
        hostile_run(tmp_path)
        raw = [*HOSTILE, "\u2066a\u2069", "\x1b[31m", "a" * 300]  # as nobody's tokenizer would label them
        cells = [
            "%load_ext nbllm", "import nbllm\nnbllm.attach('hostile').explore()",
            f"{MADE}\nm = made(json.loads({json.dumps(raw)!r}), 2, 2)\nm.explore(beside=made(m.tokens, 2, 2, 1))",
            "m.model_view()", "m.lines()", "m.figure()", "%llm_attach hostile",
        ]  # fmt: skip
        cells[2] = "import json\n" + cells[2]
        with lab.notebook("hostile", cells) as page:
            for cell in range(len(cells)):
                lab.run_cell(cell)
            for place, name in ((0, "run"), (1, "raw")):
                found = explorer(page, place)
                box = found.locator("canvas.nbllm-map").first.bounding_box()
                assert box is not None
                page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.7)
                until(lambda found=found: found.locator(".nbllm-tip").is_visible(), "the tip at the mouse")
                lab.screenshot(f"explorer-{name}-{theme}")
                page.mouse.move(5, 5)
                found.get_by_role("tab", name="Lines").click()
                found.locator("canvas.nbllm-lines").first.focus()
                press(page, "ArrowDown ArrowDown")
                assert "<script>window.hacked=2</script> looks at" in read(found)
                lab.screenshot(f"explorer-lines-{name}-{theme}")
                found.get_by_role("tab", name="Strongest pairs").click()
                said = found.locator(".nbllm-table").inner_text()
                for token in ("<img␣src=x␣onerror=window.hacked=1>", "שלום", "天气", "⟨U+202E⟩txt.exe", "&lt;b&gt;"):
                    assert token in said, token
                assert found.locator(".nbllm-table bdi").count() > 40, "tokens are kept apart from each other"
            assert "⟨U+2066⟩a⟨U+2069⟩" in said
            assert "⟨U+001B⟩[31m" in said
            lab.screenshot(f"explorer-pairs-{theme}")
            # The plain figures, and the dashboard's own heatmap with its table.
            figures = page.locator(".js-plotly-plot:not(.nbllm-dashboard *)")
            until(lambda: figures.count() == 3, "the figures")
            for place in range(3):
                figures.nth(place).scroll_into_view_if_needed()
                lab.screenshot(f"explorer-figure-{place}-{theme}")
            board = page.locator(".nbllm-dashboard")
            board.get_by_role("tab", name="Attention").click()
            until(lambda: board.locator(".heatmaplayer image").count() == 1, "the heatmap of the dashboard")
            board.scroll_into_view_if_needed()
            lab.screenshot(f"explorer-dashboard-{theme}")
            layer = board.get_by_role("slider", name="layer")
            layer.focus()
            press(page, "ArrowRight ArrowLeft ArrowRight")
            assert layer.get_attribute("aria-valuetext") == "1", "the keys are the slider's, not the notebook's"
            board.get_by_role("button", name="show as table").focus()
            press(page, "Enter")
            assert "<img␣src=x␣onerror=window.hacked=1>" in board.locator(".nbllm-table").inner_text()
            for summary in page.locator("summary").all():
                summary.evaluate("(s) => { s.parentElement.open = true }")
            assert page.evaluate("() => window.hacked") is None
            assert page.locator(".jp-OutputArea img[src='x'], .jp-OutputArea script:not([type])").count() == 0
            assert lab.console_errors() == []
            saved = lab.save()
            assert saved.stat().st_size < 1_500_000
            # A page that is loaded again without its kernel: the still picture, and nothing runs there either.
            lab.restart_kernel()
            lab.reload()
            until(lambda: page.locator(".nbllm-explorer-saved").first.is_visible(), "the still picture")
            lab.screenshot(f"explorer-saved-{theme}")
            assert page.evaluate("() => window.hacked") is None
            assert page.locator(".jp-OutputArea img[src='x']").count() == 0


def test_everything_by_keyboard_while_a_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space: dict[str, Any] = {}
    exec(MADE, space)
    with Notebooks(tmp_path, env=QUIET, height=1300) as lab:
        monkeypatch.setenv("NBLLM_RUNS", str(lab.runs))
        run = nbllm.train(
            "steps", data="python-docs", model="transformer", size="tiny", steps=60, runner="inline",
            **{"probe.every": 20, "sample.every": 0, "train.checkpoint_every": 20},
        )  # fmt: skip
        done = tmp_path / "done"
        cells = [
            f"{MADE}\nlong = made([f't{{i}}' for i in range(1024)], 4, 4)\nmade(words, 2, 3).explore()",
            "import nbllm\nnbllm.attach('steps').explore()",
            "long.explore()",
            BUSY.format(file=str(done)),
        ]
        with lab.notebook("keys", cells) as page:
            for cell in range(3):
                lab.run_cell(cell)
            for place in range(3):
                explorer(page, place)
            lab.start_cell(3)
            until(lambda: lab.is_running(3), "the busy cell")
            _walk_one_map(page, space["made"](space["words"], 2, 3))
            lab.screenshot("explorer-keyboard")
            _walk_steps(page, run)
            lab.screenshot("explorer-steps")
            _walk_thousand(page, space["made"]([f"t{i}" for i in range(1024)], 4, 4))
            lab.screenshot("explorer-thousand")
            assert lab.is_running(3), "all this was done while the kernel was busy"
            done.touch()
            until(lambda: not lab.is_running(3), "the end of the busy cell")
            assert lab.console_errors() == []


def _walk_one_map(page: Page, maps: Any) -> None:
    found = explorer(page, 0)
    found.get_by_role("tab", name="Heatmap").focus()
    canvas = "document.activeElement.classList.contains('nbllm-map')"
    for _ in range(12):  # from the tab through the controls to the map
        press(page, "Tab")
        if page.evaluate(f"() => {canvas}"):
            break
    assert page.evaluate(f"() => {canvas}"), "the heatmap is reached by the tabulator"
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is seen"
    active = page.evaluate(f"() => {_ACTIVE}")
    press(page, "ArrowDown ArrowDown ArrowDown ArrowRight ArrowRight")
    head = maps.weights[0, 1]  # the clearest: it looks at the token before
    assert read(found).startswith("on looks at sat: ")
    assert read(found).endswith(" query 3, key 2")
    assert head[3, 2] == weight(found)
    press(page, "ArrowRight ArrowRight")
    assert "out of sight" in read(found)
    press(page, "Enter")
    assert read(found).startswith("on looks at sat:"), "Enter goes to the strongest of the row"
    assert page.evaluate(f"() => {_ACTIVE}") == active, "the arrow keys are the map's, not the notebook's"
    pictures = found.locator(".nbllm-thumb")
    assert pictures.count() == 7
    pictures.nth(1).focus()
    press(page, "ArrowRight ArrowDown")  # the row below
    assert pictures.nth(5).get_attribute("aria-pressed") == "true"
    assert found.locator(".nbllm-explorer-heading b").inner_text() == "layer 1, head 2"
    assert "layer 1, head 2" in str(found.locator("canvas.nbllm-map").get_attribute("aria-label"))
    assert maps.weights[1, 2, 3, 2] == weight(found)
    press(page, "End")
    assert found.locator(".nbllm-explorer-heading b").inner_text() == "rollout"
    assert maps.rollout().weights[-1, 0, 3, 2] == weight(found)
    # Lines, pairs and the table of heads, each by keys alone.
    found.get_by_role("tab", name="Heatmap").focus()
    press(page, "ArrowRight")
    assert found.get_by_role("tab", name="Lines").get_attribute("aria-selected") == "true"
    found.get_by_role("combobox", name="layer").select_option("0")
    found.locator("canvas.nbllm-lines").focus()
    press(page, "ArrowDown ArrowDown ArrowRight")
    assert read(found).startswith("cat is looked at by")
    found.get_by_role("tab", name="Lines").focus()
    press(page, "ArrowRight")
    strongest = found.locator(".nbllm-table tbody tr")
    order = np.sort(maps.weights[0, 0].ravel())[::-1]
    for place in (0, 5, 20):
        assert float(strongest.nth(place).locator("td").nth(1).inner_text()) == pytest.approx(order[place], abs=7e-4)
    found.get_by_role("tab", name="Strongest pairs").focus()
    press(page, "ArrowRight")
    entropy = found.get_by_role("button", name="entropy")
    entropy.focus()
    press(page, "Enter")
    assert found.locator("th[aria-sort=descending]").inner_text().startswith("entropy")
    column = [float(text) for text in found.locator(".nbllm-table tbody td:nth-child(3)").all_inner_texts()]
    assert column == sorted(column, reverse=True)
    assert len(column) == 6
    top = found.locator(".nbllm-table tbody button").first
    name = str(top.get_attribute("aria-label"))
    top.focus()
    press(page, "Enter")
    assert found.locator(".nbllm-explorer-heading b").inner_text() == name, "a row opens its head"
    assert page.evaluate("() => document.activeElement.textContent") == "Lines", "in the view that was seen last"
    press(page, "Home")


def _walk_steps(page: Page, run: nbllm.Run) -> None:
    found = explorer(page, 1)
    slider = found.get_by_role("slider", name="step", exact=True)
    assert slider.get_attribute("aria-valuetext") == "60"
    slider.focus()
    press(page, "ArrowLeft")
    until(lambda: found.locator(".nbllm-explorer-heading").inner_text().count("step 40"), "the step before")
    press(page, "Home")
    assert slider.get_attribute("aria-valuetext") == "0"
    press(page, "End")
    found.get_by_role("button", name="difference").focus()
    press(page, "Enter")
    found.locator("canvas.nbllm-map").focus()
    press(page, "PageDown End Home")
    kept = {}
    for step in (0, 60):
        with np.load(run.folder / "probes" / f"step-{step}.npz") as file:
            kept[step] = file["attention"].astype(float)
    row = int(read(found).split("query ")[1].split(",")[0])
    before, after = kept[0][-1, 0, row, 0], kept[60][-1, 0, row, 0]
    told = re.search(r"\(([0-9.e−]+) less ([0-9.e−]+)\)", read(found))
    assert told is not None
    assert [float(part.replace("−", "-")) for part in told.groups()] == pytest.approx([after, before], abs=7e-4)
    assert found.locator(".nbllm-map-title").first.inner_text() == "step 60 less step 0"
    found.get_by_role("button", name="side by side").focus()
    press(page, "Enter")
    until(lambda: found.locator("canvas.nbllm-map").count() == 2, "two maps")


def _walk_thousand(page: Page, maps: Any) -> None:
    found = explorer(page, 2)
    assert "MB of weights in this page" in found.locator(".nbllm-explorer-foot").inner_text()
    found.locator("canvas.nbllm-map").focus()
    press(page, "Home PageDown PageDown Enter")
    place = 2 * 128
    row = maps.weights[3, 0, place]  # no head has a kind: it begins with the last layer's first
    best = int(row.argmax())
    assert read(found).startswith(f"t{place} looks at t{best}: ")
    assert row[best] == weight(found)
    press(page, "+ + + +")
    where = found.locator(".nbllm-controls .nbllm-quiet.nbllm-number").inner_text()
    first, last = (int(part.replace(",", "")) for part in where.split(" ")[1].rstrip(",").split("–"))
    assert last - first == 63
    assert first <= place <= last
    press(page, "ArrowLeft ArrowLeft ArrowDown")
    assert f"t{place + 1} looks at t{best - 2}: " in read(found)
    assert maps.weights[3, 0, place + 1, best - 2] == weight(found)
    press(page, "0")
    assert found.locator(".nbllm-controls .nbllm-quiet.nbllm-number").inner_text() == ""
    # The same by mouse: a window is drawn, and a double click shows the whole again.
    box = found.locator("canvas.nbllm-map").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 120, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 330)
    page.mouse.move(box["x"] + 200, box["y"] + 360)
    page.mouse.up()
    where = found.locator(".nbllm-controls .nbllm-quiet.nbllm-number").inner_text()
    first, last = (int(part.replace(",", "")) for part in where.split(" ")[1].rstrip(",").split("–"))
    assert 60 < last - first < 400
    found.locator("canvas.nbllm-map").dblclick(position={"x": 150, "y": 300})
    assert found.locator(".nbllm-controls .nbllm-quiet.nbllm-number").inner_text() == ""
