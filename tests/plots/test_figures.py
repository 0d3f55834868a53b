"""Plotly figures and still pictures."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
from PIL import Image

from nbllm.inspection.maps import AttentionMaps
from nbllm.plots.curves import running_mean
from nbllm.plots.fonts import chinese_font, clip
from nbllm.plots.heads import attention_figure, attention_picture
from nbllm.plots.maps import heatmap
from nbllm.plots.static import Picture, png, svg


def test_the_running_mean_of_a_line_is_that_line_and_nan_has_no_weight() -> None:
    steps = np.arange(1.0, 2001.0)
    smooth = running_mean(steps, steps * 2, 0.2)
    assert np.allclose(smooth[300:-300], steps[300:-300] * 2, rtol=1e-3)
    holed = np.full(100, 3.0)
    holed[::2] = np.nan
    assert np.allclose(running_mean(np.arange(100.0), holed, 0.5), 3.0)


def test_the_heatmap_keeps_equal_tokens_apart_and_shows_text_as_text() -> None:
    figure = heatmap(np.eye(3), ["天", "天", "<b>"])
    assert list(figure.layout.xaxis.ticktext) == ["天", "天", "&lt;b&gt;"]
    assert list(figure.layout.xaxis.tickvals) == [0, 1, 2]
    assert figure.data[0].customdata[2][0] == "&lt;b&gt; → 天"
    gates = heatmap(np.zeros((2, 3)), ["a", " ", "\n"], rows=["unit 1", "unit 2"], units=True)
    assert list(gates.layout.xaxis.ticktext) == ["a", "␣", "↵"]


def test_a_decoder_that_reads_another_text_has_other_rows_than_columns() -> None:
    weights = np.zeros((1, 2, 2, 3))
    weights[0, 1, 1, 2] = 1.0
    maps = AttentionMaps(weights, ["今", "天"], ["to", "day", "."])
    figure = attention_figure(maps, head=1)
    assert list(figure.layout.xaxis.ticktext) == ["to", "day", "."]
    assert list(figure.layout.yaxis.ticktext) == ["今", "天"]
    assert figure.data[0].customdata[1][2] == "天 → ."
    shown = np.asarray(Image.open(io.BytesIO(attention_picture(maps))))
    assert ((shown == (8, 48, 107)).all(-1)).sum() == 14 * 14, "one cell of full weight, with square sides"


def test_titles_of_small_maps_keep_apart() -> None:
    maps = AttentionMaps(np.zeros((1, 3, 2, 2)), ["a", "b"])
    shown = np.asarray(Image.open(io.BytesIO(attention_picture(maps))).convert("L"))
    titles = (shown[:28] < 128).any(0)
    gaps = "".join("x" if dark else " " for dark in titles).split(" " * 14)
    assert len([gap for gap in gaps if gap.strip()]) == 3


def picture(sample: str = "To be", title: str = "run") -> Picture:
    x = np.arange(1.0, 1001.0)
    return Picture(
        title, "training", (x, 4 / x + 1), (x[::100], 4 / x[::100] + 1.1), "ROMEO:", sample, [("step", "1,000")]
    )


def test_the_svg_is_small_well_formed_and_escapes() -> None:
    text = svg(picture(title='<script>"x"</script>'))
    root = ElementTree.fromstring(text)
    assert len(text) < 12_000
    assert '<script>"x"</script>' in root.attrib["aria-label"]
    assert "<script" not in text
    assert text.count("<polyline") == 2


def test_a_long_title_leaves_the_state_alone() -> None:
    """Chinese letters are twice as wide: so many of them would run over it."""
    corner = (690, 0, 760, 36)
    short, long = (
        np.asarray(Image.open(io.BytesIO(png(picture(title=t)))).crop(corner).convert("L")) for t in ("a", "长" * 90)
    )
    assert np.abs(short.astype(int) - long).max() < 64  # the palettes differ a little


def test_the_last_number_of_the_axis_stays_inside() -> None:
    last = next(text for text in ElementTree.fromstring(svg(picture())) if text.text == "1,000")
    assert last.attrib["text-anchor"] == "end"


def test_pictures_of_nothing_are_drawn() -> None:
    empty = (np.empty(0), np.empty(0))
    nothing = Picture("run", "starting", empty, empty)
    ElementTree.fromstring(svg(nothing))
    assert png(nothing).startswith(b"\x89PNG")


def test_the_png_shows_the_sample_and_chinese_where_a_font_is() -> None:
    plain, chinese = png(picture("")), png(picture("今天天气很好，我们去公园散步吧。"))
    assert len(chinese) < 80_000
    bottom = (0, 330, 760, 420)
    one, other = (np.asarray(Image.open(io.BytesIO(p)).convert("L").crop(bottom)) for p in (plain, chinese))
    assert (other < 128).sum() > (one < 128).sum() + 100
    if chinese_font() is not None:
        # Missing glyphs would all be the same box.
        differing = [np.asarray(Image.open(io.BytesIO(png(picture(c)))).convert("L").crop(bottom)) for c in "天气"]
        assert (differing[0] != differing[1]).any()


def test_clip() -> None:
    assert clip("abc", 3) == "abc"
    assert clip("abcd", 3) == "ab…"
