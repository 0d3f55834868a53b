"""The studio without a page: its tabs open the panels that exist, each when it is seen, of the run that is chosen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import nbllm
from nbllm.dashboards import studio_panels
from nbllm.dashboards.studio import INSTEAD, studio
from nbllm.dashboards.studio_ask import Ask
from nbllm.dashboards.studio_widget import Studio
from nbllm.errors import RunError
from tests.magics.shell import give_run


@pytest.fixture
def shown(runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The studio over two finished runs, in a folder of its own."""
    InteractiveShell.instance(
        config=Config({"HistoryManager": {"enabled": False}})
    )  # what a cell shows is caught in it
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBLLM_DISPLAY", "widget")
    give_run(runs, "older")
    config = give_run(runs, "newer") / "config.yaml"
    os.utime(config, (config.stat().st_atime, config.stat().st_mtime + 1))
    made = Studio()
    yield made
    made.close()


def ask(made: Studio, key: str, **values: Any) -> tuple[Ask, list[Any]]:
    """Press a button of the tab that is seen; its questions, and what stands below them."""
    questions, *below = made.panels[made.bar.tab].children
    questions._hear(questions, {"kind": "ask", "key": key, "values": values}, [])
    assert questions.fault == ""
    return questions, list(below[0].children) if below else []


def test_a_tab_is_made_when_it_is_seen_and_again_for_another_run(shown: Studio) -> None:
    filled = lambda: {key for key, panel in shown.panels.items() if panel.children}  # noqa: E731
    assert filled() == {"configure"}
    assert [name for name, _ in shown.bar.runs] == ["newer", "older"]
    assert shown.bar.run == "newer"
    shown.bar.tab = "watch"
    assert filled() == {"configure", "watch"}
    assert [key for key, panel in shown.panels.items() if panel.layout.display != "none"] == ["watch"]
    (first,) = shown.panels["watch"].children
    assert first.children[0].name == "newer"
    shown.bar.tab = "configure"
    shown.bar.tab = "watch"
    assert shown.panels["watch"].children == (first,), "it is kept"
    shown.bar.run = "older"
    (second,) = shown.panels["watch"].children
    assert second.children[0].name == "older"
    assert first.children[0].closed


def test_every_tab_opens_and_does_what_it_says(shown: Studio, tmp_path: Path) -> None:
    for tab in studio_panels.TABS:
        shown.bar.tab = tab
        assert shown.bar.fault == "", tab
        assert shown.panels[tab].children, tab
    shown.bar.tab = "sample"
    (lens,) = shown.panels["sample"].children
    assert lens.title == "What newer might have written"
    shown.bar.tab = "look"
    for what in ("predictions", "influence", "embeddings", "attention"):
        _, (found,) = ask(shown, "look", what=what, text="To be")
        assert found.children if hasattr(found, "children") else found.outputs if hasattr(found, "outputs") else found
    shown.bar.tab = "compare"
    _, (table,) = ask(shown, "compare", runs=["older", "newer"])
    assert any("older" in str(each["data"]) for each in table.outputs)
    shown.bar.tab = "export"
    questions, _ = ask(shown, "report", report="page.html")
    assert (tmp_path / "page.html").is_file()
    sent: list[Any] = []
    questions.send = lambda content, buffers: sent.append((content["name"], len(buffers[0])))
    questions._hear(questions, {"kind": "fetch"}, [])
    assert sent == [("page.html", (tmp_path / "page.html").stat().st_size)]
    ask(shown, "pack", file="run.zip")
    assert (tmp_path / "run.zip").is_file()
    ask(shown, "export", folder="out")
    assert (tmp_path / "out" / "config.json").is_file()


def test_a_run_of_the_form_is_watched(shown: Studio) -> None:
    (form,) = shown.panels["configure"].children
    values = {"size": "tiny", "model.layers": 1, "model.width": 16, "train.context": 8, "train.steps": 2}
    form.values = {**values, "sample.every": 0, "probe.every": 0}
    form.flags = {"runner": "inline"}
    form.name = "mine"
    form._hear(form, {"kind": "train"}, [])
    assert form.fault == {}
    assert (shown.bar.tab, shown.bar.run) == ("watch", "mine")
    assert shown.panels["watch"].children[0].children[0].name == "mine"


def test_faults_are_said_where_they_are(shown: Studio, runs: Path) -> None:
    shown.bar.tab = "compare"
    questions, _ = shown.panels["compare"].children
    questions._hear(questions, {"kind": "ask", "key": "compare", "values": {"runs": []}}, [])
    assert "No run is chosen" in questions.fault
    questions._hear(questions, {"kind": "ask", "key": "unknown", "values": {}}, [])
    nbllm.attach("newer").delete()
    shown.bar.tab = "export"
    assert "no run 'newer'" in shown.bar.fault


def test_with_no_run_it_says_what_to_do(runs: Path) -> None:
    made = Studio()
    made.bar.tab = "watch"
    assert "no run yet" in made.bar.fault
    made.close()


def test_without_a_page_one_line_says_what_to_type(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for tier in ("html", "text"):
        studio().show(tier)
        assert capsys.readouterr().out == INSTEAD + "\n"
    with pytest.raises(RunError, match="no run 'nowhere'"):
        studio("nowhere")
