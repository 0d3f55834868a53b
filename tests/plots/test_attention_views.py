"""All heads at once, and one head as lines: what is drawn, what hover says, and what a long text costs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nbllm.errors import ModelError
from nbllm.inspection.maps import AttentionMaps
from nbllm.plots.model_view import model_view_picture, pooled

HOSTILE = ["<img src=x onerror=alert(1)>", "שלום", "天气"]


def maps(tokens: list[str], layers: int = 2, heads: int = 3, blocks: list[int] | None = None) -> AttentionMaps:
    """One-way maps of which each row sums to 1."""
    size = len(tokens)
    weights = np.random.default_rng(0).gamma(0.5, size=(layers, heads, size, size)) * np.tril(np.ones((size, size)))
    weights /= weights.sum(-1, keepdims=True)
    return AttentionMaps(weights.astype(np.float32), tokens, blocks=blocks)


def test_every_head_stands_in_its_place_of_the_model_view() -> None:
    found = maps(list("abcd"))
    figure = found.model_view()
    z = np.array(figure.data[0].z, dtype=float)
    assert z.shape == (2 * 6 - 2, 3 * 6 - 2)
    head = found.weights[1, 2]
    np.testing.assert_allclose(z[6:10, 12:16], head / head.max(), rtol=1e-6)
    assert np.isnan(z[4:6]).all()
    assert figure.data[0].customdata[6][12] == "layer 1, head 2<br>a → a<br>1.000"
    assert list(figure.layout.yaxis.ticktext) == ["0", "1"]


def test_layers_go_by_their_blocks() -> None:
    found = maps(list("abcd"), blocks=[1, 3])
    assert list(found.model_view().layout.yaxis.ticktext) == ["1", "3"]
    assert found.lines(3, 0).layout.title.text == "layer 3, head 0"
    with pytest.raises(ModelError, match="no layer 2"):
        found.lines(2, 0)


def test_tokens_are_text_in_both_figures() -> None:
    found = maps(HOSTILE)
    said = found.model_view().to_json() + found.lines().to_json()
    assert "<img" not in said
    assert "\\u003cimg" not in said
    assert "&lt;img␣src" in found.model_view().data[0].customdata[0][0]
    assert "\u2068שלום\u2069" in found.lines().data[-1].text  # a right-to-left token does not turn its neighbours


def test_what_is_out_of_sight_is_written_out() -> None:
    found = maps(["\x1b[31m", "\u202ea", "\ud800", "family👨‍👩‍👧"])
    said = found.figure().data[0].customdata
    assert said[0][0] == "⟨U+001B⟩[31m → ⟨U+001B⟩[31m"
    assert said[1][1] == "⟨U+202E⟩a → ⟨U+202E⟩a"
    assert said[2][2] == "⟨U+D800⟩ → ⟨U+D800⟩"
    assert said[3][3] == "family👨‍👩‍👧 → family👨‍👩‍👧"
    found.model_view().to_json()


def test_a_long_text_is_pooled_and_keeps_its_single_strong_pair() -> None:
    weights = np.full((1, 1, 600, 600), 1e-3, dtype=np.float32)
    weights[0, 0, 333, 77] = 0.5
    small = pooled(weights, 48)
    assert small.shape == (1, 1, 48, 48)
    assert small.max() == 0.5
    figure = AttentionMaps(weights, [str(i) for i in range(600)]).model_view()
    z = np.array(figure.data[0].z, dtype=float)
    assert z.shape == (48, 48)
    assert (z == 1).sum() == 1
    assert len(figure.to_json()) < 400_000


def test_the_strongest_lines_are_drawn_and_hover_names_the_pair() -> None:
    weights = np.zeros((1, 1, 3, 3), dtype=np.float32)
    weights[0, 0] = [[1, 0, 0], [0.995, 0.005, 0], [0, 0.4, 0.6]]
    figure = AttentionMaps(weights, list("abc")).lines()
    hover = next(trace for trace in figure.data if trace.mode == "markers")
    pairs = dict(zip(hover.customdata, hover.text, strict=True))
    assert pairs == {
        "a → a": "1.000",
        "b → a": "0.995",
        "c → c": "0.600",
        "c → b": "0.400",
    }  # the faint one is left out
    ends = [(trace.y[0], trace.y[17]) for trace in figure.data if trace.mode == "lines"]
    assert (2.0, 1.0) in ends


def test_the_picture_has_every_head_and_stays_small() -> None:
    short = model_view_picture(maps(list("abcdef")))
    long = model_view_picture(maps([str(i) for i in range(700)], layers=4, heads=4))
    image = Image.open(io.BytesIO(long))
    assert image.width <= 900
    assert len(long) < 150_000
    colours = np.asarray(Image.open(io.BytesIO(short)).convert("RGB"))
    assert (colours[26 : 26 + 150, 40 + 140 : 40 + 150] == 255).all(-1).any()  # what no token sees is paper
    assert (colours < 90).any()


def test_labels_have_room_and_a_map_is_square() -> None:
    for size in (4, 35, 150):
        layout = maps([f"{i}天" for i in range(size)], 1, 1).figure().layout
        side = layout.height - 150
        assert layout.width - 200 == side
        assert 150 <= side <= 620
        assert len(layout.yaxis.ticktext) * 11 <= side
        assert layout.yaxis.ticktext[1] == f"{layout.yaxis.tickvals[1]}天"


def test_a_map_says_how_much_it_holds() -> None:
    assert repr(maps(list("ab"), 1, 1)) == "<AttentionMaps 1 layer, 1 head, 2 tokens>"
    assert repr(AttentionMaps(np.zeros((2, 3, 1, 2)), ["a"], ["b", "c"], "cross")).endswith("3 heads, 1 by 2 tokens>")


def test_a_heatmap_of_a_thousand_tokens_names_rows_and_columns_once() -> None:
    found = maps([*HOSTILE, *(str(i) for i in range(700))], 1, 1)
    figure = found.figure()
    assert figure.data[0].customdata is None
    assert figure.data[0].x[0] == "0 &lt;img src=x onerror=alert(1)&gt;".replace(" src", "␣src").replace(" on", "␣on")
    assert len(figure.to_json()) < 4_000_000
    rolled = found.rollout()
    assert rolled.figure().layout.title.text == "rollout, up to layer 0"


def test_measures_stand_by_kind_and_say_what_was_measured() -> None:
    weights = np.zeros((2, 2, 5, 5), dtype=np.float32)
    weights[0, 0] = np.eye(5)[[0, 0, 1, 2, 3]]  # the token before
    weights[0, 1, :, 0] = 1  # the first token
    weights[1, 0] = np.tril(np.ones((5, 5))) / np.arange(1, 6)[:, None]
    weights[1, 1] = np.eye(5)
    found = AttentionMaps(weights, list("abcde"))
    table, figure = found.heads(), found.measures()
    assert [note.text.split("<br>")[0] for note in figure.layout.annotations] == [
        "share that", "entropy, bits", "mean distance,", "share on the",
    ]  # fmt: skip
    assert list(figure.layout.yaxis.ticktext) == [
        f"layer {row.layer}, head {row['head']}" for _, row in table.iterrows()
    ]
    for axis, name in (("x", "score"), ("x2", "entropy"), ("x3", "distance"), ("x4", "first")):
        bars = [trace for trace in figure.data if trace.xaxis == axis]
        shown = {row: value for trace in bars for row, value in zip(trace.y, trace.x, strict=True)}
        np.testing.assert_allclose([shown[row] for row in range(4)], table[name])
    assert {trace.name for trace in figure.data} == set(table.kind)
    assert "entropy 0.000" in figure.data[0].customdata[0]


def test_two_maps_stand_side_by_side_with_their_difference() -> None:
    one, other = maps(list("abcd")), maps(list("abcd"))
    other.weights[1, 2] = np.eye(4)
    figure = one.beside(other, 1, 2, ("step 10", "<img src=x>"))
    assert [note.text for note in figure.layout.annotations] == [
        "step 10", "&lt;img src=x&gt;", "&lt;img src=x&gt; less step 10",
    ]  # fmt: skip
    left, right, less = (np.asarray(trace.z) for trace in figure.data)
    np.testing.assert_array_equal(left, one.weights[1, 2])
    np.testing.assert_array_equal(less, right - left)
    assert figure.layout.coloraxis2.cmax == np.abs(less).max()
    longer = one.beside(maps(list("abcde"), 2, 3))
    assert len(longer.data) == 2
    assert list(longer.layout.xaxis2.ticktext) == list("abcde")
    with pytest.raises(ModelError, match="two names"):
        one.beside(other, names=("one",))
