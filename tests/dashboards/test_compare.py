"""What a kernel sends of comparisons and of runs in a row: tier by tier, and while they train."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import nbllm
from nbllm.dashboards.plain_figure import PLOTLY
from nbllm.dashboards.series import Following
from nbllm.store.folder import RunFolder
from nbllm.store.status import Status, write_status
from tests.handles.made import made, say


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What is displayed in a shell, as it would go to the page."""
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    publisher = CapturingDisplayPublisher()
    monkeypatch.setattr(shell, "display_pub", publisher)
    yield publisher.outputs
    for following in list(Following._all.values()):
        following.stop()


@pytest.fixture
def two(runs: Path) -> nbllm.Comparison:
    made(runs, "one", {"lr": 1e-3}, sample=("a", "b"))
    made(runs, "二")
    return nbllm.compare("one", "二")


def test_a_page_gets_a_live_figure_and_the_tables(two: Any, sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_DISPLAY", "widget")
    two._ipython_display_()
    figure, tables = (output["data"] for output in sent)
    assert len(figure[PLOTLY]["data"]) == 4
    assert figure["text/html"].startswith("<svg"), "what an exported notebook shows"
    assert "image/png" not in figure, "JupyterLab would show it in place of the figure"
    assert "<svg" not in tables["text/html"]
    assert "train.lr" in tables["text/html"]


def test_a_kernel_without_a_page_keeps_picture_and_tables_in_one(
    two: Any, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBLLM_DISPLAY", "html")
    two._ipython_display_()
    (output,) = sent
    assert output["data"]["text/html"].count("<svg") == 1
    assert base64.b64decode(output["data"]["image/png"]).startswith(b"\x89PNG")
    assert "train.lr" in output["data"]["text/plain"]


def test_a_terminal_gets_text(
    two: Any, sent: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NBLLM_DISPLAY", "text")
    two._ipython_display_()
    assert sent == []
    assert "train.lr" in capsys.readouterr().out


def until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


@pytest.mark.parametrize("tier", ["widget", "html"])
def test_a_series_follows_its_runs_until_they_have_ended(
    runs: Path, sent: list[Any], monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    monkeypatch.setenv("NBLLM_DISPLAY", tier)
    made(runs, "w-seed-1", {"train.seed": 1})
    live = made(runs, "w-seed-2", {"train.seed": 2}, state="training", steps=10)
    with RunFolder(live.folder).writing():
        nbllm.Repeats.of("w")._ipython_display_()
        first = list(sent)
        assert ["display_id" in output["transient"] for output in first] == [True, True]
        assert "over 1 of 2 seeds" in first[1]["data"]["text/html"]
        assert PLOTLY not in first[0]["data"], "no figure is redrawn under somebody's hand"
        say(live, {"t": 0, "event": "evaluation", "step": 20, "val_loss": 2.5, "bits_per_byte": 3.0})
        until(lambda: len(sent) > 2)
        assert "2.5" in sent[3]["data"]["text/html"]
        write_status(live.folder / "status.json", Status("finished", step=20, steps=20))
        until(lambda: "over 2 of 2 seeds" in sent[-1]["data"]["text/html"])
    assert {output["transient"]["display_id"] for output in sent} == {
        output["transient"]["display_id"] for output in first
    }
    assert all(output["update"] for output in sent[2:])
    assert (PLOTLY if tier == "widget" else "image/png") in sent[-2]["data"]
    until(lambda: "w" not in Following._all)


def test_an_end_within_a_cell_is_kept_when_the_cell_ends(
    runs: Path, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """nbclient and its like take nothing after it."""
    monkeypatch.setenv("NBLLM_DISPLAY", "html")
    monkeypatch.setattr("nbllm.dashboards.series._LOOK_SECONDS", 60.0)
    live = made(runs, "w-seed-1", {"train.seed": 1}, state="training", steps=10)
    with RunFolder(live.folder).writing():
        nbllm.Repeats.of("w")._ipython_display_()
        Following.settle_all(last=False)
        assert len(sent) == 2, "nothing is new"
        write_status(live.folder / "status.json", Status("finished", step=10, steps=10))
        Following.settle_all(last=False)
    assert len(sent) == 4
    assert "image/png" in sent[2]["data"]
    assert "w" not in Following._all


def test_shown_again_it_is_followed_there_alone(runs: Path, sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_DISPLAY", "html")
    live = made(runs, "w-seed-2", state="training")
    with RunFolder(live.folder).writing():
        nbllm.Repeats.of("w")._ipython_display_()
        before = Following._all["w"]
        nbllm.Repeats.of("w")._ipython_display_()
        assert before._over.is_set()
        assert Following._all["w"] is not before
