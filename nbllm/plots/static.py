"""A still picture of a run, drawn without a browser: an SVG of the curves, and a PNG with the same and a sample.

Both take the same `Picture`; the curves are a `Chart` of nbllm/plots/overlay.py.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nbllm.plots import overlay
from nbllm.plots.fonts import clip, font
from nbllm.plots.overlay import Chart, Line
from nbllm.plots.palette import HELD_OUT, INK, PAPER, QUIET, TRAIN


@dataclass(frozen=True)
class Picture:
    """What a still picture shows: two curves of (x, y), lines of text above, and a sample below."""

    title: str
    state: str
    train: tuple[np.ndarray, np.ndarray]
    held_out: tuple[np.ndarray, np.ndarray]
    prompt: str = ""
    sample: str = ""
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)


def svg(picture: Picture) -> str:
    """The curves as a small inline SVG. Its ink is the page's own colour, so that it stands on light and dark."""
    return overlay.svg(_chart(picture), height=240)


def png(picture: Picture, width: int = 760, height: int = 420) -> bytes:
    """The picture as a PNG of at most some 40 kB, drawn by Pillow."""
    from PIL import Image, ImageDraw

    scale = overlay.SCALE
    image = Image.new("RGB", (width * scale, height * scale), PAPER)
    draw = ImageDraw.Draw(image, "RGBA")
    title, text = font(17 * scale), font(13 * scale)
    room = (width - 60) * scale - draw.textlength(picture.state, font=text)
    draw.text((20 * scale, 14 * scale), _fitting(draw, picture.title, title, room), INK, font=title)
    draw.text(((width - 20) * scale, 16 * scale), picture.state, TRAIN, font=text, anchor="ra")
    facts = "   ".join(f"{name} {value}" for name, value in picture.facts)
    draw.text((20 * scale, 40 * scale), _fitting(draw, facts, text, (width - 40) * scale), QUIET, font=text)
    overlay.paint(draw, _chart(picture), (4, 58, width - 4, height - 100))
    _draw_sample(draw, picture, (20 * scale, (height - 92) * scale), (width - 40) * scale, text, 20 * scale)
    image = image.resize((width, height), Image.Resampling.LANCZOS).quantize(128, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _chart(picture: Picture) -> Chart:
    facts = ", ".join(f"{name} {value}" for name, value in picture.facts)
    lines = [
        Line(*picture.train, TRAIN, "train loss"),
        Line(*picture.held_out, HELD_OUT, "held-out loss", dots=True),
    ]
    return Chart(lines, f"Loss curves of {picture.title}, {picture.state}: {facts}")


def _fitting(draw: Any, words: str, face: Any, room: float) -> str:
    """The words, cut where they would be wider than the room."""
    length = len(words)
    while length > 1 and draw.textlength(clip(words, length), font=face) > room:
        length -= 1
    return clip(words, length)


def _draw_sample(draw: Any, picture: Picture, corner: tuple[int, int], width: int, face: Any, leading: int) -> None:
    """The prompt in a quiet shade, the sample after it, wrapped by width, four lines at most."""
    x, y = left, _ = corner
    end = y + 4 * leading
    for words, colour in ((picture.prompt, QUIET), (picture.sample, INK)):
        for letter in clip(words, 600):
            wide = draw.textlength(letter if letter != "\n" else " ", font=face)
            if letter == "\n" or x + wide > left + width:
                x, y = left, y + leading
            if y >= end:
                return
            if letter != "\n":
                draw.text((x, y), letter, colour, font=face)
                x += wide
