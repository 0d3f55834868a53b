"""The strip of tokens, and what is shown under a cell and in a terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from nbllm.dashboards.looking import show, strongest, text
from nbllm.dashboards.strip import MOST, rows
from tests.markup import Markup
from tests.plots.test_looking import moved, predicted

HOSTILE = ["<img src=x onerror=alert(1)>", "\"'><script>", "שלום", "天气", "⏎", "␣"]


def test_every_token_stands_in_the_strip_and_nothing_of_it_is_markup() -> None:
    page = Markup(replace(predicted(HOSTILE, choices=HOSTILE[:3]), given="<i>")._repr_html_())
    assert not page.tags & {"img", "script", "i", "b"}
    assert page.attributes <= {"class", "style", "title", "scope", "aria-hidden"}
    for token in (*HOSTILE[:4], "⏎\n", "<i>"):
        assert token in page.text


def test_shade_and_hover_tell_the_surprise() -> None:
    found = replace(predicted(list("abc")), surprise=np.array([0.0, 1.5, 30.0]), vocabulary=8)
    page = found._repr_html_()
    shades = [float(s) for s in re.findall(r'<bdi title="[^"]*" style="background:rgba\(213,94,0,([\d.]+)\)', page)]
    assert shades == pytest.approx([0, 0.275, 0.55], abs=0.006)  # a blind guess among 8 tokens is 3 bits
    hover = re.findall(r'<bdi title="([^"]*)"', page)
    assert hover[1].splitlines()[0] == "b  50.00%, rank 1, 1.5 bits"
    assert hover[1].splitlines()[2] == " 50.0%  ██████  b ←"
    assert "&lt;b&gt;" in hover[1]
    assert "10.50 bits a token, 10.500 bits per byte" in page


def test_the_table_behind_says_the_same() -> None:
    found = replace(predicted(["天", "a"]), given="很")
    table = rows(found)
    assert table.index.tolist() == [1, 2]
    assert table.iloc[0].tolist() == ["天", "50.00%", "1", "1.00", "天 50%, <b> 30%, 天 10%"]
    assert "<caption" in found._repr_html_()


def test_a_long_text_is_cut_and_says_so() -> None:
    page = predicted(["a"] * 2000)._repr_html_()
    assert page.count("<bdi") == MOST
    assert f"the first {MOST} are shown" in page
    assert len(page) < 500_000


@pytest.mark.parametrize("tier", ["widget", "html", "text"])
def test_each_tier_shows_what_it_can(tier: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    shown: list[dict] = []
    monkeypatch.setenv("NBLLM_DISPLAY", tier)
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    show(predicted(list("ab")))
    show(predicted(list("ab"), layers=1))
    show(moved(2, 3))
    kinds = [set(each) - {"text/plain"} for each in shown]
    plotly, html = "application/vnd.plotly.v1+json", "text/html"
    expected = {
        "widget": [{html}, {plotly, html}, {html}, {html}, {plotly, html}, {html}],
        "html": [{html}, {"image/png"}, {html}, {html}, {"image/png"}, {html}],
        "text": [],
    }
    assert kinds == expected[tier]
    assert ("<Influence of 3 tokens on 2 answers" in capsys.readouterr().out) == (tier == "text")


def test_lines_for_a_terminal() -> None:
    lines = text(predicted(["天", "a"])).splitlines()
    assert "天 50%" in lines[1]
    assert lines[-1] == "<Predictions of 2 tokens, 1.00 bits a token>"
    found = replace(moved(2, 3), values=np.array([[0, -4, 1], [0, 0, 0]], np.float32))
    assert strongest(found)["moved by (bits)"].tolist() == ["天 -4.00, a +1.00", ""]
