"""Still pictures of a run, drawn without a browser: an SVG of the curves, and a PNG with the same and a sample.

Both take the same `Picture`; text of any script is drawn where the system has a font for it.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nbllm.plots.decimate import decimate
from nbllm.plots.palette import GRID, HELD_OUT, INK, PAPER, QUIET, TRAIN

POINTS = 240  # of a curve in a still picture: as many as can be seen, and a small file
_FOLDERS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts",
    "/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts", "C:/Windows/Fonts",
)  # fmt: skip
# Fonts that draw Chinese, best first, by the start of their file's name.
_CHINESE = (
    "NotoSansCJK-Regular", "NotoSansSC", "SourceHanSans", "PingFang", "msyh", "wqy-microhei", "wqy-zenhei",
    "Hiragino Sans GB", "STHeiti", "simhei", "simsun", "DroidSansFallback", "Arial Unicode", "unifont",
)  # fmt: skip


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


@dataclass(frozen=True)
class _Frame:
    """The rectangle of a plot in pixels and the numbers at its edges."""

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def points(self, curve: tuple[np.ndarray, np.ndarray]) -> list[tuple[float, float]]:
        xs, ys = decimate(curve[0], curve[1], POINTS)
        wide, high = self.x[1] - self.x[0], self.y[1] - self.y[0]
        return [
            (
                round(self.left + (self.right - self.left) * (x - self.x[0]) / wide, 1),
                round(self.bottom - (self.bottom - self.top) * (y - self.y[0]) / high, 1),
            )
            for x, y in zip(xs.tolist(), ys.tolist(), strict=True)
            if np.isfinite(x) and np.isfinite(y)
        ]


def svg(picture: Picture, width: int = 640, height: int = 220) -> str:
    """The curves as a small inline SVG. Its ink is the page's own colour, so that it stands on light and dark."""
    frame = _frame(picture, 46, 10, width - 10, height - 24)
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" style="max-width:100%" role="img"',
        f' aria-label="{html.escape(_spoken(picture), quote=True)}" font-family="sans-serif" font-size="11"',
        ' fill="currentColor">',
    ]
    for label, y in _ticks(frame, "y"):
        parts.append(f'<path d="M{frame.left} {y}H{frame.right}" stroke="{QUIET}" stroke-opacity=".25"/>')
        parts.append(f'<text x="{frame.left - 6}" y="{y + 4}" text-anchor="end" fill="{QUIET}">{label}</text>')
    for label, x in _ticks(frame, "x"):
        parts.append(f'<text x="{x}" y="{frame.bottom + 17}" text-anchor="middle" fill="{QUIET}">{label}</text>')
    for curve, colour in ((picture.train, TRAIN), (picture.held_out, HELD_OUT)):
        points = frame.points(curve)
        if points:
            line = " ".join(f"{x:g},{y:g}" for x, y in points)
            parts.append(
                f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round"/>'
            )
    for x, y in frame.points(picture.held_out)[-40:]:
        parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="2.4" fill="{HELD_OUT}"/>')
    legend = frame.right - 150
    for offset, (name, colour) in enumerate((("train loss", TRAIN), ("held-out loss", HELD_OUT))):
        y = frame.top + 12 + 16 * offset
        parts.append(f'<path d="M{legend} {y - 4}h18" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{legend + 24}" y="{y}">{name}</text>')
    return "".join(parts) + "</svg>"


def png(picture: Picture, width: int = 760, height: int = 420) -> bytes:
    """The picture as a PNG of at most some 40 kB, drawn by Pillow."""
    from PIL import Image, ImageDraw

    scale = 2  # drawn large and made smaller, for smooth lines
    image = Image.new("RGB", (width * scale, height * scale), PAPER)
    draw = ImageDraw.Draw(image)
    title, text, small = (font(size * scale) for size in (17, 13, 11))
    draw.text((20 * scale, 14 * scale), clip(picture.title, 70), INK, font=title)
    draw.text(((width - 20) * scale, 16 * scale), picture.state, TRAIN, font=text, anchor="ra")
    draw.text((20 * scale, 40 * scale), clip("   ".join(f"{k} {v}" for k, v in picture.facts), 110), QUIET, font=text)
    frame = _frame(picture, 62 * scale, 76 * scale, (width - 20) * scale, (height - 128) * scale)
    for label, y in _ticks(frame, "y"):
        draw.line((frame.left, y, frame.right, y), GRID, scale)
        draw.text((frame.left - 8 * scale, y), label, QUIET, font=small, anchor="rm")
    for label, x in _ticks(frame, "x"):
        draw.text((x, frame.bottom + 7 * scale), label, QUIET, font=small, anchor="ma")
    for curve, colour in ((picture.train, TRAIN), (picture.held_out, HELD_OUT)):
        points = frame.points(curve)
        if len(points) > 1:
            draw.line(points, colour, int(1.8 * scale), joint="curve")
    for x, y in frame.points(picture.held_out)[-40:]:
        draw.ellipse((x - 3 * scale, y - 3 * scale, x + 3 * scale, y + 3 * scale), HELD_OUT)
    for offset, (name, colour) in enumerate((("train loss", TRAIN), ("held-out loss", HELD_OUT))):
        x, y = frame.right - 130 * scale, frame.top + (8 + 18 * offset) * scale
        draw.line((x, y, x + 20 * scale, y), colour, 2 * scale)
        draw.text((x + 27 * scale, y), name, INK, font=small, anchor="lm")
    _draw_sample(draw, picture, (20 * scale, (height - 92) * scale), (width - 40) * scale, text, 20 * scale)
    image = image.resize((width, height), Image.Resampling.LANCZOS).quantize(64, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


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


@lru_cache(maxsize=8)
def font(size: int) -> Any:
    """A font of that many pixels that draws Chinese where the system has one; else Pillow's own."""
    from PIL import ImageFont

    path = chinese_font()
    if path is not None:
        try:
            return ImageFont.truetype(str(path), size, index=2 if path.name.startswith("NotoSansCJK") else 0)
        except OSError:
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


@lru_cache(maxsize=1)
def chinese_font() -> Path | None:
    """The best font file for Chinese on this system, or None."""
    found: dict[str, Path] = {}
    for folder in (Path(name).expanduser() for name in _FOLDERS):
        if folder.is_dir():
            for path in folder.rglob("*"):
                if path.suffix.lower() in (".ttf", ".ttc", ".otf"):
                    found.setdefault(path.name.lower(), path)
    for start in _CHINESE:
        for name in sorted(found):
            if name.startswith(start.lower()):
                return found[name]
    return None


def clip(text: str, length: int) -> str:
    """The text, cut with an ellipsis where it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _frame(picture: Picture, left: float, top: float, right: float, bottom: float) -> _Frame:
    xs = np.concatenate([picture.train[0], picture.held_out[0]]).astype(np.float64)
    ys = np.concatenate([picture.train[1], picture.held_out[1]]).astype(np.float64)
    xs, ys = xs[np.isfinite(xs)], ys[np.isfinite(ys)]
    x = (0.0, max(float(xs.max()), 1.0)) if len(xs) else (0.0, 1.0)
    low, high = (float(ys.min()), float(ys.max())) if len(ys) else (0.0, 1.0)
    room = (high - low) * 0.06 or 0.5
    return _Frame(left, top, right, bottom, x, (low - room, high + room))


def _ticks(frame: _Frame, axis: str) -> list[tuple[str, float]]:
    """Round numbers along an axis, and where they stand in pixels."""
    low, high = frame.y if axis == "y" else frame.x
    rough = (high - low) / 4
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((m for m in (1, 2, 2.5, 5, 10)), key=lambda m: abs(m * power - rough))
    values = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    share = (values - low) / (high - low)
    if axis == "y":
        places = frame.bottom - (frame.bottom - frame.top) * share
    else:
        places = frame.left + (frame.right - frame.left) * share
    return [(f"{v:,.10g}", round(float(p), 1)) for v, p in zip(values.round(10).tolist(), places, strict=True)]


def _spoken(picture: Picture) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in picture.facts)
    return f"Loss curves of {picture.title}, {picture.state}: {facts}"
