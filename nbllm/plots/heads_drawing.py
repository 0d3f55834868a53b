"""Attention maps as a drawing (SVG): every head, in vectors, with its tokens as text.

L layers, H heads, Q queries, K keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from nbllm.plots.fonts import clip
from nbllm.plots.maps import visible, width
from nbllm.plots.palette import INK, PAPER, QUIET, WEIGHTS

_SHADES = 63
_MOST = 256  # tokens of a side that are drawn one by one
_LABELLED = 64
_ACROSS, _TOP, _GAP = 1100, 26, 22


def attention_drawing(maps: Any) -> str:
    """An SVG of every head: a row a layer, a column a head. `maps` has .weights (LHQK), .queries, .keys and .layers.

    Longer texts are drawn in tiles, each as dark as the largest weight in it, and the drawing says so.
    """
    weights_LHQK, tile = tiles(np.asarray(maps.weights), _MOST)
    layers, heads, rows, columns = weights_LHQK.shape
    labelled = tile == 1 and max(rows, columns) <= _LABELLED
    queries = [clip(visible(token), 10) for token in maps.queries] if labelled else []
    keys = [clip(visible(token), 10) for token in maps.keys] if labelled else []
    cell = max(1.0, min(14.0, _ACROSS / (heads * columns)))
    # Text is a fixed part of the cell high, and a Latin letter about 0.62 of that wide.
    size = round(min(11.0, cell * 0.85), 2)
    left = _GAP + max((width(token) for token in queries), default=0) * size * 0.62
    above = max((width(token) for token in keys), default=0) * size * 0.62
    wide, high = columns * cell, rows * cell
    across, down = max(wide, 110.0) + _GAP, high + _TOP + above
    parts = []
    for layer in range(layers):
        for head in range(heads):
            x, y = left + head * across, _TOP + above + layer * down
            title = f"layer {maps.layers[layer]}, head {head}"
            parts += _head(weights_LHQK[layer, head], title, x, y, cell, above)
            parts += _across(keys, x, y, cell, size)
            if head == 0:
                parts += _downwards(queries, x, y, cell, size)
    note = f"Each cell is the largest weight of {tile} by {tile} tokens." if tile > 1 else ""
    total_wide, total_high = left + heads * across, layers * down + _GAP + (16 if note else 0)
    if note:
        parts.append(_text(left, total_high - 8, note, 11))
    name = escape(repr(maps), quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_wide:.0f} {total_high:.0f}" '
        f'width="{total_wide:.0f}" height="{total_high:.0f}" role="img" aria-label="{name}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace"><title>{name}</title>'
        f'<rect width="100%" height="100%" fill="{PAPER}"/>{"".join(parts)}</svg>\n'
    )


def tiles(weights_LHQK: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """The weights so that no side is longer than `most`: the largest of each square tile; and the tile's side."""
    layers, heads, queries, keys = weights_LHQK.shape
    side = -(-max(queries, keys) // most)
    if side <= 1:
        return weights_LHQK, 1
    rows, columns = -(-queries // side), -(-keys // side)
    room = ((0, 0), (0, 0), (0, rows * side - queries), (0, columns * side - keys))
    padded = np.pad(weights_LHQK, room)
    return padded.reshape(layers, heads, rows, side, columns, side).max(axis=(3, 5)), side


def _head(weights_QK: np.ndarray, title: str, x: float, y: float, cell: float, above: float) -> list[str]:
    """One head: its title, its frame, and a path a shade, whose cells are one unit wide and scaled."""
    rows, columns = weights_QK.shape
    shades_QK = np.rint(np.clip(np.nan_to_num(weights_QK.astype(np.float32)), 0, 1) * _SHADES).astype(int)
    paths: dict[int, list[str]] = {}
    for row in range(rows):
        line = shades_QK[row]
        starts = np.flatnonzero(np.diff(line, prepend=-1))
        ends = np.append(starts[1:], columns)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            if line[start]:
                paths.setdefault(int(line[start]), []).append(f"M{start} {row}h{end - start}v1h{start - end}z")
    drawn = "".join(f'<path fill="{_colour(shade)}" d="{"".join(d)}"/>' for shade, d in sorted(paths.items()))
    frame = f'<rect width="{columns}" height="{rows}" fill="none" stroke="{QUIET}" vector-effect="non-scaling-stroke"/>'
    ground = f'<rect width="{columns}" height="{rows}" fill="{_colour(0)}"/>'
    moved = f'transform="translate({x:.2f} {y:.2f}) scale({cell:.4f})" shape-rendering="crispEdges"'
    return [_text(x, y - above - 8, title, 12), f"<g {moved}>{ground}{drawn}{frame}</g>"]


def _downwards(tokens: Sequence[str], x: float, y: float, cell: float, size: float) -> list[str]:
    return [
        _text(x - 5, y + (place + 0.5) * cell + size * 0.35, token, size, "end") for place, token in enumerate(tokens)
    ]


def _across(tokens: Sequence[str], x: float, y: float, cell: float, size: float) -> list[str]:
    """Labels of the keys, turned to read upwards."""
    found = []
    for place, token in enumerate(tokens):
        at = x + (place + 0.5) * cell + size * 0.35
        found.append(
            f'<text transform="translate({at:.2f} {y - 4:.2f}) rotate(-90)" font-size="{size}" '
            f'fill="{INK}" xml:space="preserve">{_safe(token)}</text>'
        )
    return found


def _text(x: float, y: float, text: str, size: float, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{INK}" xml:space="preserve">{_safe(text)}</text>'
    )


def _safe(text: str) -> str:
    """Text as XML takes it: without the control characters that it has no way to write."""
    return escape("".join(character if character.isprintable() else "\ufffd" for character in text))


def _colour(shade: int) -> str:
    """The palette's colour for a weight of shade / _SHADES."""
    at = [float(str(stop)) for stop, _ in WEIGHTS]
    channels = [[int(str(colour)[i : i + 2], 16) for _, colour in WEIGHTS] for i in (1, 3, 5)]
    return "#" + "".join(f"{round(float(np.interp(shade / _SHADES, at, channel))):02x}" for channel in channels)
