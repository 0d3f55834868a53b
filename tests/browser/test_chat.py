"""The chat in a real JupyterLab: by the keyboard, streamed, stopped, changed and sent again, in both themes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nbllm
from tests.browser.notebooks import Notebooks, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
HOSTILE = "<img src=x onerror=window.hacked=1>"
TALK = [f"user: good morning\nbot: good day {HOSTILE}\nuser: 你好\nbot: 你好，今天天气很好。\n" * 3] * 16
_DARK = "async () => { await window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'}) }"


def test_chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, height=1000) as lab:
        monkeypatch.setenv("NBLLM_RUNS", str(lab.runs))
        run = nbllm.train(
            "talk", data=TALK, model="lstm", size="tiny", steps=120, batch_size=8, runner="inline",
            **{"sample.every": 0, "probe.every": 0, "train.context": 160},
        )  # fmt: skip
        assert run.state == "finished", run.error
        cells = ["%load_ext nbllm", "talk = %llm_chat talk --temperature 0\ntalk", "1 + 1"]
        with lab.notebook("chat", cells) as page:
            for cell in (0, 1):
                lab.run_cell(cell)
            field = page.get_by_label("your message", exact=True)
            until(lambda: field.count() == 1, "the field")
            turns = page.locator(".nbllm-chat-turn:not([aria-busy])")
            stop = page.get_by_role("button", name="stop writing", exact=False)

            # Enter sends, Shift+Enter is a new line and runs no cell.
            field.click()
            page.keyboard.type("good")
            page.keyboard.press("Shift+Enter")
            page.keyboard.type("morning")
            assert field.input_value() == "good\nmorning"
            assert not lab.output_text(2)
            field.fill("good morning")
            page.keyboard.press("Enter")
            until(lambda: turns.count() == 2, "the reply")
            until(stop.is_disabled, "the end of writing")
            assert "good day" in turns.nth(1).inner_text()
            assert HOSTILE in turns.nth(1).inner_text()
            assert page.evaluate("() => window.hacked") is None
            assert page.locator(".nbllm-chat img").count() == 0

            # A long reply is stopped by Escape and stays; the turn before is changed by ArrowUp and sent again.
            page.get_by_role("button", name="Settings").click()
            tokens = page.get_by_label("tokens of a reply")
            tokens.fill("400")
            tokens.blur()
            field.fill("zzz")
            page.keyboard.press("Enter")
            field.press("Escape")
            until(lambda: turns.count() == 4, "what was written")
            until(stop.is_disabled, "the end of writing")
            lab.screenshot("chat-light")
            field.press("ArrowUp")
            again = page.get_by_label("your message, changed")
            until(lambda: again.count() == 1, "the editor")
            tokens.fill("24")
            again.fill("你好")
            again.press("Enter")
            until(
                lambda: turns.count() == 4 and "你好" in turns.nth(2).inner_text(), "the reply to the changed message"
            )
            until(stop.is_disabled, "the end of writing")
            assert "天气" in turns.nth(3).inner_text()

            # More is said than the model reads: the oldest turns are marked, and the rest fits.
            for _ in range(4):
                count = turns.count()
                field.fill("good morning")
                field.press("Enter")
                until(lambda: turns.count() == count + 2, "the reply")  # noqa: B023
                until(stop.is_disabled, "the end of writing")
            until(lambda: page.locator(".nbllm-chat-cut").count() == 1, "what is no longer read")
            assert page.locator(".nbllm-unread").count() > 0
            page.evaluate(_DARK)
            lab.screenshot("chat-dark")

            # From Python the same dialogue; a reload shows it all; the saved notebook keeps the turns.
            said = page.locator(".nbllm-chat-said").all_inner_texts()
            field.fill("half a mess")
            until(lambda: "half" in field.input_value(), "the draft")
            page.wait_for_timeout(600)
            lab.save()
            lab.reload()
            until(lambda: page.locator(".nbllm-chat-said").all_inner_texts() == said, "the same after a reload")
            assert field.input_value() == "half a mess"
            assert not page.locator(".nbllm-chat-saved").is_visible()
            saved = json.loads(lab.save().read_text())
            kept = json.dumps(saved["cells"][1]["outputs"], ensure_ascii=False)
            assert "你好" in kept
            assert "&lt;img" in kept
            assert lab.console_errors() == []
