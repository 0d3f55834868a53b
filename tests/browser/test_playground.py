"""The playground in a real JupyterLab: by mouse and keyboard, with text of any kind, and after a reload."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import nbllm
from tests.browser.notebooks import Notebooks, until
from tests.browser.test_looking import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
BAD = "<script>window.hacked=2</script>"
ROWS = [
    {"text": f"{who} was {word} {when}", "label": label}
    for who in ("it", "this", "the tea", *HOSTILE)
    for label, words in {"好 good": ("fine", "great", "很好"), BAD: ("poor", "awful", "dull")}.items()
    for word in words
    for when in ("today", "again", "on Monday")
]


@pytest.mark.parametrize("dark", [False, True])
def test_playground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dark: bool) -> None:
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, dark=dark, height=1100) as lab:
        monkeypatch.setenv("NBLLM_RUNS", str(lab.runs))
        task = nbllm.tasks.get("sentiment")
        for name in ("first", "second"):
            run = task.train(
                pd.DataFrame(ROWS), name=name, steps=60, model="cnn", size="tiny", runner="inline", batch_size=16
            )
            assert run.state == "finished", run.error
        pd.DataFrame(ROWS).to_csv(lab.work / "own.csv", index=False)
        with lab.notebook("playground", ["%load_ext nbllm", "%llm_playground sentiment"]) as page:
            for cell in (0, 1):
                lab.run_cell(cell)
            box = page.get_by_label("text", exact=True)
            until(lambda: box.count() == 1, "the field of the text")
            said, code = page.locator(".nbllm-play-said"), page.locator(".nbllm-play-code")
            stop = page.get_by_role("button", name="Stop", exact=True)

            # An example, an answer by the keyboard, and the cell that does the same.
            page.get_by_label("example").select_option("1")
            assert box.input_value() == task.examples[1]
            text = f"{HOSTILE[0]} was great 很好"
            box.fill(text)
            box.press("Control+Enter")
            until(lambda: said.count() == 1, "the answer")
            assert said.inner_text().startswith("好 good")
            assert page.locator(".nbllm-play-bar").count() == 2
            assert code.inner_text() == f'%llm_task sentiment "{text}" --run second'

            # Two models beside one another, and what moved them.
            page.get_by_label("compare with", exact=True).select_option("first")
            page.get_by_role("button", name="Run", exact=True).click()
            until(lambda: said.count() == 2, "both answers")
            until(stop.is_disabled, "the end of asking")
            lab.screenshot(f"playground-answer-{'dark' if dark else 'light'}")
            page.get_by_role("tab", name="Answer").focus()
            page.keyboard.press("ArrowRight")
            until(lambda: page.locator(".nbllm-play-text").count() == 2, "the shades of both")
            until(stop.is_disabled, "the end of looking")
            assert "great" in page.locator(".nbllm-play-text").first.inner_text()
            page.locator(".nbllm-playground summary").first.click()
            lab.screenshot(f"playground-influence-{'dark' if dark else 'light'}")

            # Scores of a file, with intervals and baselines; a file that is not there is said.
            page.get_by_role("tab", name="Evaluate").click()
            path = page.get_by_label("file of rows with their answers")
            path.fill("nowhere.csv")
            path.press("Enter")
            fault = page.locator(".nbllm-playground > .nbllm-notice")
            until(fault.is_visible, "what is wrong")
            assert "nowhere.csv" in fault.inner_text()
            path.fill("own.csv")
            page.get_by_role("button", name="Evaluate", exact=True).click()
            until(lambda: page.locator(".nbllm-play-scores").count() == 2, "both tables", 120)
            until(stop.is_disabled, "the end of scoring")
            heads = page.locator(".nbllm-play-scores").first.locator("thead").first.inner_text()
            assert "95 % interval" in heads
            assert "bag of words" in heads
            page.locator(".nbllm-play-scores summary").first.click()
            assert code.inner_text() == "%llm_task sentiment --evaluate --data own.csv --run second"
            lab.screenshot(f"playground-scores-{'dark' if dark else 'light'}")

            # Text of any kind is text, and nothing of the page breaks.
            assert BAD in page.locator(".nbllm-play-scores").first.inner_text()
            page.get_by_role("tab", name="Answer").click()
            box.fill("|".join(HOSTILE) + "\nawful")
            page.get_by_role("button", name="Run", exact=True).click()
            until(lambda: "awful" in code.inner_text(), "the cell")
            until(stop.is_disabled, "the end of asking")
            assert page.evaluate("() => window.hacked") is None
            assert page.locator(".jp-OutputArea img[src='x'], .jp-OutputArea script:not([type])").count() == 0

            # All of it is in traits: a page that is loaded again shows the same.
            lab.save()
            lab.reload()
            until(lambda: said.count() == 2, "the same answers after a reload")
            assert box.input_value().endswith("\nawful")
            assert page.get_by_label("compare with", exact=True).input_value() == "first"
            assert not page.locator(".nbllm-playground-saved").is_visible()
            page.get_by_label("task", exact=True).select_option("translate")
            until(lambda: page.get_by_label("source", exact=True).count() == 1, "the field of another task")
            until(lambda: said.count() == 0, "no answer of the other task")
            assert lab.console_errors() == []
