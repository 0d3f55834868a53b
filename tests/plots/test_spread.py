"""The figures over seeds and over the amount of text."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import nbllm
from nbllm.errors import RunError
from nbllm.plots.overlay import svg
from nbllm.plots.spread import learning_chart, over_seeds, repeats_chart
from tests.handles.made import made


@pytest.fixture
def repeats(runs: Path) -> nbllm.Repeats:
    for seed, steps in ((1, 100), (2, 100), (5, 60)):
        made(runs, f"w-seed-{seed}", {"train.seed": seed}, steps=steps)
    return nbllm.Repeats.of("w")


def test_the_band_goes_from_the_lowest_to_the_highest_seed(repeats: nbllm.Repeats) -> None:
    steps, low, middle, high = over_seeds(repeats.records, "loss")
    assert steps.tolist() == [20, 40, 60, 80, 100]
    base = 2 + 2 / steps
    assert np.allclose(low, base + 0.01)
    assert np.allclose(high - base, [0.05, 0.05, 0.05, 0.02, 0.02])
    assert np.allclose(middle - base, [0.02, 0.02, 0.02, 0.015, 0.015])


def test_the_figure_shows_every_seed_the_median_and_the_best(repeats: nbllm.Repeats) -> None:
    figure = repeats.figure("bits_per_byte")
    lines = [trace for trace in figure.data if trace.name == "a seed"]
    assert len(lines) == 3
    assert sum(trace.showlegend for trace in lines) == 1
    assert figure.data[1].fill == "tonexty"
    median = next(trace for trace in figure.data if trace.name == "median")
    assert median.y[0] == pytest.approx(1.5 * (2 + 2 / 20 + 0.02))
    assert sorted(figure.data[-1].y) == pytest.approx(sorted(repeats.each["bits_per_byte"]))
    with pytest.raises(RunError, match="Use loss or bits_per_byte"):
        repeats.figure("accuracy")


def test_a_long_series_is_a_small_figure(runs: Path) -> None:
    for seed in (1, 2):
        made(runs, f"w-seed-{seed}", {"train.seed": seed}, steps=9000, every=3)
    figure = nbllm.Repeats.of("w").figure()
    assert all(len(trace.x) <= 2000 for trace in figure.data if trace.x is not None)
    median = next(trace for trace in figure.data if trace.name == "median")
    assert len(median.x) > 400


def test_one_seed_alone_has_no_band(runs: Path) -> None:
    made(runs, "w-seed-1")
    found = nbllm.Repeats.of("w")
    assert [trace.name for trace in found.figure().data if trace.showlegend is not False][1:] == ["a seed"]
    ElementTree.fromstring(svg(repeats_chart(found)))


def test_before_anything_is_measured(runs: Path) -> None:
    made(runs, "w-seed-1", every=0)
    made(runs, "w-use-1", every=0)
    repeats, curve = nbllm.Repeats.of("w"), nbllm.LearningCurve.of("w")
    for chart in (repeats_chart(repeats), learning_chart(curve)):
        ElementTree.fromstring(svg(chart))
        assert "none measured" in chart.spoken
    assert repeats.figure().data
    assert curve.figure().data


def test_the_learning_curve_is_over_tokens_on_a_logarithmic_axis(runs: Path) -> None:
    for place, use in enumerate((1.0, 0.1, 0.5)):
        made(runs, f"w-use-{use:g}", {"data.use": use, "train.seed": place})
    curve = nbllm.LearningCurve.of("w")
    figure = curve.figure()
    assert figure.layout.xaxis.type == "log"
    assert list(figure.data[1].x) == [400, 2000, 4000]
    assert list(figure.data[1].y) == pytest.approx([2.03, 2.04, 2.02])
    assert list(figure.layout.xaxis.ticktext) == ["400", "2,000", "4,000"]
    root = ElementTree.fromstring(svg(learning_chart(curve)))
    ticks = [element.text for element in root if element.text and element.text[0].isdigit()]
    assert {"500", "1,000", "2,000"} <= set(ticks)
