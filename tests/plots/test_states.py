"""Figures and pictures of gates, units, filters and a latent space: what they draw, and that no label is markup."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nbllm.dashboards import states as shown
from nbllm.dashboards.looking import show, text
from nbllm.inspection.convolution import Filters
from nbllm.inspection.gate_maps import Gates
from nbllm.inspection.latent_map import LatentMap
from nbllm.inspection.units import Units
from nbllm.plots.units import MOST, evened
from tests.markup import Markup

HOSTILE = ["<img src=x onerror=alert(1)>", "\"'><script>", "שלום", "天气", "\n", "\u202e", "a\x00"]


def tokens(count: int) -> list[str]:
    return (HOSTILE * count)[:count]


def units(count: int = 60, width: int = 5) -> Units:
    rng = np.random.default_rng(0)
    wanted = (np.arange(count) % 7 > 3).astype(float)
    values = rng.normal(size=(width, count)).astype(np.float32)
    values[0] = wanted * 2 - 1
    r = np.linspace(0.9, 0.1, width)
    names = ["blocks.0.lstm.cell"] * width
    return Units("<b>quote", names, np.arange(width), r, r - 0.05, 0.2, values, wanted, tokens(count))


def gates(count: int = 20, width: int = 6) -> Gates:
    rng = np.random.default_rng(1)
    arrays = {name: rng.random((2, count, width)).astype(np.float32) for name in ("input", "forget", "cell")}
    return Gates(arrays, tokens(count), [0, 2], "lstm", "x" * count, np.arange(1, count + 1))


def filters(count: int = 20) -> Filters:
    return Filters(np.random.default_rng(2).normal(size=(2, count, 4)), [0, 1], [3, 3], [1, 2], True, tokens(count))


def latent(count: int = 12, labels: bool = True) -> LatentMap:
    rng = np.random.default_rng(3)
    means = rng.normal(size=(count, 4)).astype(np.float32)
    named = [f"<i>{place % 3}" for place in range(count)] if labels else None
    variance = np.array([1.0, 0.001, 0.5, 0.0])
    return LatentMap(means[:, :2].astype(float), tokens(count), named, means, variance, variance, "pca", (0.6, 0.3))


EVERY = [units(), gates(), filters(), latent(), latent(labels=False)]


@pytest.mark.parametrize("found", EVERY, ids=lambda found: type(found).__name__)
def test_nothing_of_a_label_is_markup(found: object) -> None:
    written = found.figure().to_json()  # type: ignore[attr-defined]
    for tag in ("<img", "<script", "<i>", "<b>q", "\\u202e"):
        assert tag not in written, tag
    page = shown.behind(found) + (found._repr_html_() if isinstance(found, Units) else "")
    assert not Markup(page).tags & {"img", "script", "i", "b"}
    assert "\u202e" not in page
    picture = Image.open(io.BytesIO(found._repr_png_()))  # type: ignore[attr-defined]
    assert min(picture.size) >= 100
    assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 8


def test_gates_are_drawn_in_their_order_and_a_long_text_is_cut_and_says_so() -> None:
    found = gates().of("cell", 1, "variance")
    heat = found.figure().data[0]
    rows = found.shown()[0]
    np.testing.assert_allclose(np.array(heat.customdata), rows, atol=0.006)
    np.testing.assert_allclose(np.array(heat.z), rows / np.abs(rows).max(1, keepdims=True), atol=0.006)
    np.testing.assert_allclose(gates().figure().data[0].z, gates().shown()[0], atol=1e-3)
    assert list(heat.y) == [f"unit {unit}" for unit in found.order()]
    assert heat.zmin == -heat.zmax
    assert len(set(heat.x)) == 20
    assert (gates().figure().data[0].zmin, gates().figure().data[0].zmax) == (0, 1)
    assert "forget gate of layer 2" in gates().figure().layout.title.text
    long = gates(900, 100)
    figure = long.figure()
    assert np.array(figure.data[0].z).shape == (64, 400)
    assert "the first 64 of 100 units, the first 400 of 900 tokens" in figure.layout.title.text
    assert len(figure.to_json()) < 400_000


def test_the_text_is_coloured_by_the_state_and_marked_by_the_property() -> None:
    found = units(60)
    figure = found.figure()
    state, below = figure.data
    rows = [row for row in state.z if any(value is not None for value in row)]
    flat = [value for row in rows for value in row][:60]
    np.testing.assert_allclose(flat, evened(found.state()), atol=1e-3)
    marks = [value for row in below.z for value in row if value is not None]
    assert marks == found.wanted.tolist()
    assert "r = +0.90, +0.85 on the second half" in figure.layout.title.text
    page = found._repr_html_()
    assert page.count("<bdi") == 60
    assert page.count("border-bottom:3px") == int(found.wanted.sum())
    assert f"the first {MOST} of 900 tokens" in units(900)._repr_html_()


def test_evened_states_lie_on_both_sides_of_zero() -> None:
    assert evened(np.array([0.2, 0.4, 0.6])).tolist() == pytest.approx([-1, 0, 1], abs=0.05)
    spiked = evened(np.array([*np.tile([-1.0, 1.0], 100), 90.0]))
    assert abs(spiked[0]) > 0.9
    assert evened(np.zeros(3)).tolist() == [0, 0, 0]


def test_a_latent_map_shows_the_sentence_and_its_label() -> None:
    figure = latent().figure()
    assert [trace.name for trace in figure.data] == [f"&lt;i&gt;{number}" for number in range(3)]
    assert "天气" in [text for trace in figure.data for text in trace.text]
    assert "60% of the variance" in figure.layout.xaxis.title.text
    assert "2 of 4 units active" in figure.layout.title.text
    assert len(latent(labels=False).figure().data) == 1


@pytest.mark.parametrize("tier", ["widget", "html", "text"])
def test_each_tier_shows_what_it_can(tier: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    displayed: list[dict] = []
    monkeypatch.setenv("NBLLM_DISPLAY", tier)
    monkeypatch.setattr("IPython.display.display", lambda data, raw: displayed.append(data))
    for found in EVERY:
        show(found)
    plotly, html = "application/vnd.plotly.v1+json", "text/html"
    kinds = [set(each) - {"text/plain"} for each in displayed]
    expected = {"widget": [{plotly, html}, {html}], "html": [{"image/png"}, {html}], "text": []}[tier]
    assert kinds == expected * (len(EVERY) if expected else 1)
    printed = capsys.readouterr().out
    assert ("<Units that track '<b>quote': blocks.0.lstm.cell[0] with r = +0.900" in printed) == (tier == "text")
    assert text(gates()).splitlines()[0].split() == ["mean", "std", "half_life"]
