"""The figure of several runs, its buttons, and the still pictures of several curves."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nbllm
from nbllm.plots.compare import X_TITLES, comparison_chart, curves
from nbllm.plots.overlay import Band, Chart, Line, colour, png, svg
from tests.handles.made import made


@pytest.fixture
def comparison(runs: Path) -> nbllm.Comparison:
    made(runs, "one", {"train.seed": 0}, steps=400)
    made(runs, "b二-", {"train.seed": 50}, steps=200)
    return nbllm.compare("one", "b二-")


def test_each_run_has_a_colour_and_its_train_and_held_out_curves(comparison: nbllm.Comparison) -> None:
    figure = comparison.figure()
    assert [trace.name for trace in figure.data] == ["one (train)", "one", "b二- (train)", "b二-"]
    assert [trace.line.color for trace in figure.data] == [colour(0), colour(0), colour(1), colour(1)]
    train, held = figure.data[:2]
    assert held.line.width > 2 * train.line.width
    assert held.marker.symbol != figure.data[3].marker.symbol, "not told apart by colour alone"
    assert [trace.showlegend for trace in figure.data] == [False, True, False, True]
    assert list(held.x) == list(range(20, 401, 20))
    assert held.y[-1] == pytest.approx(2 + 2 / 400)


@pytest.mark.parametrize(("x", "last"), [("step", 400), ("tokens", 400 * 64), ("seconds", 40)])
def test_the_axis_along(comparison: nbllm.Comparison, x: str, last: float) -> None:
    figure = comparison.figure(x=x, log=True)  # type: ignore[arg-type]
    assert figure.data[0].x[-1] == figure.data[1].x[-1] == last
    assert figure.layout.xaxis.title.text == X_TITLES[x]
    assert figure.layout.yaxis.type == "log"


def test_flops_follow_the_tokens(comparison: nbllm.Comparison) -> None:
    figure = comparison.figure(x="flops")
    record = comparison.records[0]
    assert figure.data[1].x[-1] == pytest.approx(400 * 64 * record.flops_per_token, rel=1e-6)


def test_the_buttons_hold_what_they_show(comparison: nbllm.Comparison) -> None:
    """They work in a page without a kernel: all four axes and both units lie in the figure."""
    figure = comparison.figure(x="tokens")
    along, units, scales = figure.layout.updatemenus
    assert [button.label for button in along.buttons] == ["steps", "tokens", "time", "FLOPs"]
    assert along.active == 1
    for button, name in zip(along.buttons, X_TITLES, strict=True):
        other = comparison.figure(x=name)  # type: ignore[arg-type]
        for trace, x in zip(other.data, button.args[0]["x"], strict=True):
            assert np.array_equal(trace.x, x)
        assert button.args[1]["xaxis.title.text"] == other.layout.xaxis.title.text
    bits = units.buttons[1].args[0]["y"]
    assert bits[1][-1] == pytest.approx(1.5 * figure.data[1].y[-1])
    assert [button.args[0]["yaxis.type"] for button in scales.buttons] == ["linear", "log"]


def test_a_long_run_is_a_small_figure(runs: Path) -> None:
    made(runs, "long", steps=20_000, every=5)
    found = nbllm.compare("long")
    figure = found.figure()
    assert all(len(trace.x) <= 2000 for trace in figure.data)
    assert figure.data[1].x[-1] == 20_000
    assert len(figure.to_json()) < 150_000
    assert len(svg(comparison_chart(found))) < 20_000


def test_no_bits_per_byte_no_button(runs: Path) -> None:
    made(runs, "mask", bits=None)
    labels = [b.label for menu in nbllm.compare("mask").figure().layout.updatemenus for b in menu.buttons]
    assert labels == ["steps", "tokens", "time", "FLOPs", "linear", "log"]


def test_smoothing_takes_the_noise_and_not_the_end(comparison: nbllm.Comparison) -> None:
    raw, smooth = (curves(comparison.records[0], s)[0].y["loss"] for s in (0.0, 0.4))
    assert np.abs(np.diff(smooth)).max() < np.abs(np.diff(raw)).max()
    assert smooth[-1] == pytest.approx(raw[-1], abs=0.02)


def chart(**more: object) -> Chart:
    x = np.arange(1.0, 101.0)
    lines = [Line(x, 3 / x + 1, colour(0), "今天 <b>"), Line(x[::10], 3 / x[::10] + 2, colour(1), "two", dots=True)]
    return Chart(lines, 'curves of "two"', **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("log_x", [False, True])
def test_the_still_pictures_hold_both_curves(log_x: bool) -> None:
    drawn = chart(log_x=log_x, bands=[Band(np.array([1.0, 50, 100]), np.ones(3), np.full(3, 2.0), colour(2))])
    root = ElementTree.fromstring(svg(drawn))
    assert root.attrib["aria-label"] == 'curves of "two"'
    inside = [element.tag.rpartition("}")[2] for element in root]
    assert (inside.count("polyline"), inside.count("polygon"), inside.count("circle")) == (2, 1, 10)
    assert any(element.text == "今天 <b>" for element in root)
    image = np.asarray(Image.open(io.BytesIO(png(drawn))).convert("RGB")).astype(int)
    for name in (colour(0), colour(1)):
        ink = np.array([int(name[i : i + 2], 16) for i in (1, 3, 5)])
        assert (np.abs(image - ink).sum(-1) < 40).sum() > 100


def test_curves_lie_inside_the_frame() -> None:
    root = ElementTree.fromstring(svg(chart(log_x=True)))
    for element in root.iter():
        for pair in element.attrib.get("points", "").split():
            x, y = map(float, pair.split(","))
            assert 46 <= x <= 630
            assert 0 < y < 222


def test_pictures_of_nothing_are_drawn() -> None:
    nothing = Chart([], "nothing")
    ElementTree.fromstring(svg(nothing))
    assert png(nothing).startswith(b"\x89PNG")
    gap = Chart([Line(np.array([1.0]), np.array([np.nan]), colour(0), "nan")], "nan", log_x=True)
    ElementTree.fromstring(svg(gap))
    assert png(gap).startswith(b"\x89PNG")


def test_the_figure_is_plain_json(comparison: nbllm.Comparison) -> None:
    assert json.loads(comparison.figure().to_json())["layout"]["updatemenus"]
