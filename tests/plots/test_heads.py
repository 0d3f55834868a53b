"""Attention maps drawn in vectors."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np

from nbllm.inspection.maps import AttentionMaps
from nbllm.plots.heads_drawing import attention_drawing, tiles

SVG = "{http://www.w3.org/2000/svg}"


def causal(layers: int, heads: int, tokens: int, seed: int = 0) -> np.ndarray:
    weights = np.random.default_rng(seed).random((layers, heads, tokens, tokens), dtype=np.float32).cumsum(-1)
    weights *= np.tri(tokens, dtype=np.float32)
    return weights / weights.sum(-1, keepdims=True)


def cells(group: ElementTree.Element) -> dict[tuple[int, int], str]:
    """The colour of each cell that is drawn."""
    found = {}
    for path in group.iter(f"{SVG}path"):
        for start, row, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path.get("d", "")):
            for column in range(int(start), int(start) + int(width)):
                found[int(row), column] = path.get("fill", "")
    return found


def test_every_weight_is_a_cell_as_dark_as_it_is_large() -> None:
    weights = causal(2, 3, 7)
    root = ElementTree.fromstring(attention_drawing(AttentionMaps(weights, list("你好，世界。a"))))
    groups = root.findall(f"{SVG}g")
    assert len(groups) == 6
    assert not list(root.iter(f"{SVG}image")), "vectors alone"
    for group, weights_QK in zip(groups, weights.reshape(6, 7, 7), strict=True):
        found = cells(group)
        assert set(found) == {(q, k) for q in range(7) for k in range(7) if round(float(weights_QK[q, k]) * 63)}
        blue = {place: int(colour[1:3], 16) for place, colour in found.items()}
        order = sorted(found, key=lambda place: weights_QK[place])
        assert [blue[place] for place in order] == sorted((blue[place] for place in order), reverse=True)
    written = [each.text for each in root.iter(f"{SVG}text")]
    assert written.count("界") == 2 + 6, "once a row of heads, and over each head"
    assert "layer 1, head 2" in written


def test_hostile_tokens_are_text() -> None:
    tokens = ['<img onerror="x">', "</svg><script>alert(1)</script>", "\x00\u202e", "&amp;", "]]>"]
    root = ElementTree.fromstring(attention_drawing(AttentionMaps(causal(1, 1, 5), tokens)))
    assert {each.tag.removeprefix(SVG) for each in root.iter()} == {"svg", "title", "rect", "g", "path", "text"}
    assert "<img␣oner…" in [each.text for each in root.iter(f"{SVG}text")]


def test_long_texts_are_drawn_in_tiles() -> None:
    weights = causal(1, 2, 300)
    small, side = tiles(weights, 256)
    assert (side, small.shape) == (2, (1, 2, 150, 150))
    np.testing.assert_array_equal(small[0, 1, 10, 3], weights[0, 1, 20:22, 6:8].max())
    drawn = attention_drawing(AttentionMaps(weights, ["a"] * 300))
    assert "largest weight of 2 by 2 tokens" in drawn
    assert len(drawn) < 1_000_000
    odd, side = tiles(causal(1, 1, 5), 2)
    assert (side, odd.shape) == (3, (1, 1, 2, 2))
