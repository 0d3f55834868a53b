"""The lens and influence as figures and pictures."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nbllm.errors import ModelError
from nbllm.inspection.influence import Influence
from nbllm.inspection.predictions import Lens, Predictions
from nbllm.plots.maps import apart, width


def predicted(tokens: list[str], layers: int = 2, choices: list[str] | None = None) -> Predictions:
    """Predictions whose upper layer gives each true token 0.5, and `choices` elsewhere."""
    count, shown = len(tokens), choices or ["x", "<b>", "天"]
    said = np.array([[shown] * count] * layers, dtype=object)
    said[-1, :, 0] = tokens
    shares = np.tile(np.array([0.5, 0.3, 0.1], dtype=np.float32), (layers, count, 1))
    lens = Lens([f"layer {i}" for i in range(layers)], said, shares, shares[:, :, 0])
    half = np.full(count, 0.5)
    return Predictions(tokens, half, np.ones(count, int), np.ones(count), lens, "", count, 8)


def moved(rows: int, columns: int, names: str = "a天") -> Influence:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((rows, columns)).astype(np.float32)
    labels = [names[i % len(names)] for i in range(max(rows, columns))]
    return Influence(values, labels[:rows], labels[:columns], np.zeros(rows, np.float32), "gradient")


def test_the_lens_writes_in_each_cell_and_marks_what_is_right() -> None:
    found = predicted(["今", "<b>", " the", "\n"])
    trace = found.figure().data[0]
    assert [list(row) for row in trace.text] == [
        ["x"] * 4,
        ["<b>今</b>", "<b>&lt;b&gt;</b>", "<b>␣the</b>", "<b>↵</b>"],
    ]
    assert np.array_equal(np.asarray(trace.z), found.lens.probabilities[:, :, 0])
    assert trace.customdata[1][1].startswith("layer 1, of the text's own token: &lt;b&gt; 50.0%<br>&lt;b&gt; 50.0%<br>")
    assert list(found.figure().layout.xaxis.ticktext) == ["今", "&lt;b&gt;", "␣the", "↵"]
    assert list(found.figure().layout.yaxis.ticktext) == ["layer 0", "layer 1"]


def test_the_lens_shows_what_stays_readable() -> None:
    found = predicted(list("abcdefgh") * 20)
    assert len(found.figure().data[0].z[0]) == 64
    later = found.figure(first=150)
    assert len(later.data[0].z[0]) == 10
    assert "tokens 150 to 159 of 160" in later.layout.title.text
    for first in (160, -1):
        with pytest.raises(ModelError, match="Use 0 to 159"):
            found.figure(first=first)
    wide, narrow = predicted(["function"] * 30).figure(), predicted(["天"] * 30).figure()
    assert wide.layout.width > 1.5 * narrow.layout.width


def test_the_influence_figure_is_in_shares_of_each_row() -> None:
    found = replace(moved(3, 4), outputs=["<b>", "天", "שלום"])
    figure = found.figure()
    trace = figure.data[0]
    np.testing.assert_allclose(np.abs(np.asarray(trace.z)).sum(1), 1, rtol=1e-6)
    assert trace.zmin == -trace.zmax
    assert trace.customdata[0][1] == f"天 → &lt;b&gt; (50.0%)<br>{found.values[0, 1]:+.3g} bits"
    assert "\u2068שלום\u2069" in trace.customdata[2][0]
    assert list(figure.layout.yaxis.ticktext) == ["&lt;b&gt;", "天", "שלום"]
    assert figure.layout.xaxis.tickangle == 0
    assert moved(3, 4, ["function", "天"]).figure().layout.xaxis.tickangle == -90  # type: ignore[arg-type]
    assert len(moved(4, 400).figure().layout.xaxis.ticktext) <= 80
    assert "“&lt;b&gt;”" in replace(found, target="<b>").figure().layout.title.text


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 20), (60, 60), (4, 900)])
def test_the_influence_picture(rows: int, columns: int) -> None:
    found = moved(rows, columns)
    picture = Image.open(io.BytesIO(found._repr_png_()))
    assert max(picture.size) < 2000
    strongest = np.unravel_index(np.abs(found.shares).argmax(), found.shares.shape)
    end = (8, 81, 156) if found.shares[strongest] > 0 else (179, 88, 6)
    assert end in {colour for _, colour in picture.getcolors(1 << 24)}


def test_no_influence_is_no_colour() -> None:
    still = replace(moved(2, 3), values=np.zeros((2, 3), np.float32))
    assert (still.shares == 0).all()
    assert still.figure().data[0].zmax == 1
    assert (247, 247, 247) in {c for _, c in Image.open(io.BytesIO(still._repr_png_())).getcolors(1 << 24)}


@pytest.mark.parametrize(("text", "places", "turns"), [("abc", 3, False), ("天气", 4, False), ("שלום", 4, True)])
def test_tokens_beside_others(text: str, places: int, turns: bool) -> None:
    assert width(text) == places
    assert apart(text) == (f"\u2068{text}\u2069" if turns else text)


@pytest.mark.parametrize(("tokens", "layers"), [(["天", "<b>", "\n"], 2), (["function"] * 90, 6), (["x"], 1)])
def test_the_lens_picture(tokens: list[str], layers: int) -> None:
    picture = Image.open(io.BytesIO(predicted(tokens, layers).picture()))
    assert picture.width < 1400
    assert picture.height > 60 + 20 * layers
    shades = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(shades, axis=0)) > 10
    with pytest.raises(ModelError, match="There is no token 99"):
        predicted(tokens, layers).picture(first=99)
