"""A finding is shown with all that it says, in every tier, and its texts are texts."""

import re

import pytest

from nbllm.dashboards import findings
from nbllm.plots.findings_still import svg
from tests.inspection.test_finding import NASTY, finding


@pytest.mark.parametrize("form", ["bars", "points", "lines"])
def test_page_shows_everything_and_escapes_it(form):
    page = finding(form=form)._repr_html_()
    assert "<img" not in page
    assert page.count("&lt;img") >= 5  # title, about, says, limits, table
    assert page.count("<svg") == 1
    assert page.count("<details>") == 2
    assert "What this does not show" in page
    assert "step 40" in page
    assert "–" in page  # where there is no number


@pytest.mark.parametrize("form", ["bars", "points"])
def test_still_picture_has_a_mark_for_every_number(form):
    drawn = svg(finding(form=form))
    mark = r'<rect [^>]*height="8"' if form == "bars" else "<circle"
    assert len(re.findall(mark, drawn)) == 4  # five values, one of them no number
    assert len(re.findall(r'stroke-width="1.4"', drawn)) == 2  # intervals
    assert "stroke-dasharray" in drawn  # the reference


def test_still_picture_puts_larger_values_further_right():
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg(finding(form="points")))]
    first, second, third, fourth = places  # 0.5, -0.2, 1.0, 2.0
    assert second < first < third < fourth


@pytest.mark.parametrize("form", ["bars", "points", "lines"])
def test_figure_draws_each_series(form):
    figure = finding(form=form).figure()
    shown = [trace for trace in figure.data if trace.name]
    assert len(shown) == 2
    assert list(shown[1].y if form == "lines" else shown[1].x) == [1.0, 2.0]
    if form == "lines":
        assert list(figure.layout.xaxis.ticktext) == ["1", "10", "100"]
    assert "<img" not in figure.to_json()


@pytest.mark.parametrize("form", ["bars", "points", "lines"])
def test_what_would_be_out_of_sight_or_turn_the_text_is_written_out(form, monkeypatch):
    """Once: the marks that keep right-to-left words apart are no part of the text."""
    shown = []
    monkeypatch.setenv("NBLLM_DISPLAY", "widget")
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(str(bundle)))
    hostile = finding(form=form, says="שלום")
    findings.show(hostile)
    for each in (hostile._repr_html_(), str(hostile), hostile.figure().to_json(), svg(hostile), *shown):
        assert "\u202e" not in each
        assert "\x00" not in each
        assert "⟨U+2068⟩" not in each
    assert "⟨U+202E⟩⟨U+0000⟩" in hostile._repr_html_()
    assert "yes" in hostile._repr_html_()  # a truth value


def test_text_holds_paragraph_table_and_limits():
    shown = str(finding())
    assert shown.index("0.5 bits.") < shown.index("row 0") < shown.index("What this does not show: Much.")


def test_a_finding_without_a_diagram_is_shown_too():
    bare = finding(diagram=None)
    assert svg(bare) == ""
    assert "Much." in bare._repr_html_()
    assert len(bare.figure().data) == 0


@pytest.mark.parametrize(("tier", "outputs"), [("widget", 3), ("html", 1)])
def test_display_by_tier(monkeypatch, tier, outputs):
    shown = []
    monkeypatch.setenv("NBLLM_DISPLAY", tier)
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    findings.show(finding())
    assert len(shown) == outputs
    assert any("application/vnd.plotly.v1+json" in each for each in shown) == (tier == "widget")
    assert "Much." in "".join(each.get("text/html", "") for each in shown)


def test_display_as_text(monkeypatch, capsys):
    monkeypatch.setenv("NBLLM_DISPLAY", "text")
    findings.show(finding())
    assert NASTY[-2:] in capsys.readouterr().out
