"""The chat without a page: what is said, stopped, changed and taken back, and what is kept of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import nbllm
from nbllm.dashboards.chat import Chat, page
from nbllm.dashboards.chat_widget import Widget
from nbllm.errors import ConfigError, RunError
from nbllm.magics.commands import COMMANDS
from nbllm.magics.parse import parse

HOSTILE = "<img src=x onerror=alert(1)>\u202e"
TALK = ["user: good morning\nbot: good day\nuser: 你好\nbot: hello\n" * 4] * 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of the task chat, which no test changes."""
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(place))
        run = nbllm.train(
            "talk", data=TALK, model="lstm", size="tiny", steps=150, batch_size=8, runner="inline",
            **{"sample.every": 0, "probe.every": 0, "train.context": 64},
        )  # fmt: skip
        assert run.state == "finished", run.error
        run.label(tags=["chat"])
    return place


@pytest.fixture
def chat(folder, monkeypatch) -> Chat:
    monkeypatch.setenv("NBLLM_RUNS", str(folder))
    return nbllm.chat(temperature=0.0, max_tokens=20)


@pytest.fixture
def widget(chat):
    shown = chat.widget()
    yield shown
    shown.close()


def ask(shown: Widget, kind: str, **more: Any) -> None:
    """As the page does."""
    shown._hear(shown, {"kind": kind, **more}, [])
    assert shown.wait(60)
    assert shown.busy == ""


def said(shown: Widget) -> list[tuple[str, str]]:
    return [(turn["role"], turn["text"]) for turn in shown.turns]


def test_say_again_edit_and_start_anew(widget):
    streamed: list[dict[str, Any]] = []
    widget.observe(lambda change: streamed.append(change.new), "writing")
    widget.draft = "good morning"
    before = widget.budget
    ask(widget, "say", text=" good morning ")
    assert said(widget) == [("user", "good morning"), ("bot", "good day")]
    assert (widget.draft, widget.writing) == ("", {})
    assert any("good day".startswith(each["text"]) for each in streamed if each.get("tokens"))
    assert widget.budget["used"] > before["used"] > 0
    ask(widget, "again")
    assert said(widget) == [("user", "good morning"), ("bot", "good day")]
    ask(widget, "say", text="你好")
    ask(widget, "edit", place=0, text="你好")
    assert len(widget.turns) == 2
    assert widget.turns[0]["text"] == "你好"
    ask(widget, "edit", place=9, text="nowhere")
    assert len(widget.turns) == 2
    ask(widget, "clear")
    assert widget.turns == []
    assert widget.budget["used"] == 0


def test_a_reply_is_stopped_and_kept_and_long_history_is_cut(widget):
    widget.settings = {"temperature": 0.0, "max_tokens": 60}
    widget.observe(lambda change: widget._hear(widget, {"kind": "stop"}, []) if change.new else None, "writing")
    ask(widget, "say", text="x")
    assert widget.turns[-1]["stopped"]
    widget.unobserve_all("writing")
    widget.settings = {"temperature": 0.0, "max_tokens": 8}
    for _ in range(5):
        ask(widget, "say", text="good morning")
    assert 0 < widget.budget["left_out"] < len(widget.turns)
    assert widget.budget["used"] <= widget.budget["room"]
    ask(widget, "say", text="y" * 300)
    assert "and talk reads" in widget.fault
    assert widget.turns[-1]["role"] == "user"  # to be changed and sent again


def test_settings_of_the_page_are_those_of_the_next_reply(chat, widget):
    widget.system = " be kind "
    widget.settings = {"temperature": 9, "max_tokens": "3"}
    assert chat.conversation.system == "be kind"
    assert chat.conversation.settings["temperature"] == 2.0
    ask(widget, "say", text="good morning")
    assert widget.turns[-1]["tokens"] <= 3


def test_from_python_and_in_the_page_it_is_the_same(chat, widget):
    assert chat.say("good morning") == "good day"
    assert said(widget) == [("user", "good morning"), ("bot", "good day")]
    assert chat.again() == "good day"
    chat.back_to(1)
    assert chat.messages == [{"role": "user", "content": "good morning"}]
    assert len(widget.turns) == 1
    with pytest.raises(ConfigError, match="no reply to write anew"):
        chat.again()


def test_text_of_any_kind_is_text(chat, widget):
    ask(widget, "say", text=HOSTILE)
    kept: list[str] = []
    widget.keep = lambda: kept.append(page(chat))
    widget.tell()
    assert "\u202e" not in json.dumps(widget.turns, ensure_ascii=False)
    assert "<img" not in kept[-1]
    assert "&lt;img" in kept[-1]
    assert "innerHTML" not in widget._esm
    assert "import {" not in widget._esm
    assert "http" not in widget._esm


def test_without_a_page_and_without_a_model(chat, monkeypatch, capsys, runs):
    chat.say("good morning")
    monkeypatch.setenv("NBLLM_DISPLAY", "text")
    chat.show()
    assert "bot: good day" in capsys.readouterr().out
    monkeypatch.setenv("NBLLM_RUNS", str(runs))
    with pytest.raises(RunError, match="no trained run of chat"):
        nbllm.chat()
    with pytest.raises(ConfigError, match="no setting 'tempreature'"):
        nbllm.chat("talk", tempreature=1)


def test_the_line_of_the_magic():
    parsed = parse(COMMANDS["chat"], 'talk --system "You are brief." --max-tokens 20 --temperature 0', {})
    assert parsed.names == ["talk"]
    assert parsed.flags == {"system": "You are brief.", "max_tokens": 20, "temperature": 0.0}
