"""Colours that people with any colour vision tell apart, after Okabe and Ito (https://jfly.uni-koeln.de/color/)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

TRAIN = "#0072B2"
HELD_OUT = "#D55E00"
QUIET = "#8A8F98"
GRID = "#E3E6EA"
INK = "#24292F"
PAPER = "#FFFFFF"

# White to deep blue, even in lightness, for weights from 0 to 1.
WEIGHTS = [[0.0, "#F7FBFF"], [0.25, "#C6DBEF"], [0.5, "#6BAED6"], [0.75, "#2171B5"], [1.0, "#08306B"]]
# Blue for, orange against, the page's white between, for values on both sides of zero.
SIGNED = [[0.0, "#B35806"], [0.25, "#FDB863"], [0.5, "#F7F7F7"], [0.75, "#80B1D3"], [1.0, "#08519C"]]


def paint(values: np.ndarray, scale: Sequence[Sequence[object]]) -> np.ndarray:
    """Values as RGB bytes (..., 3) by a scale of (place, colour) from its lowest to its highest place."""
    import numpy as np

    stops = np.array([stop for stop, _ in scale], dtype=float)
    colours = np.array([[int(str(colour)[i : i + 2], 16) for i in (1, 3, 5)] for _, colour in scale], dtype=float)
    shown = np.stack([np.interp(values, stops, colours[:, channel]) for channel in range(3)], axis=-1)
    return shown.round().astype(np.uint8)
