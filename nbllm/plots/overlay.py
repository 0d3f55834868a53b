"""A still picture of several curves, drawn without a browser: as SVG for a page, as PNG for what shows no SVG.

Both draw the same `Chart`. Ink and ground of the SVG are the page's own, so that it stands on light and on dark.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nbllm.plots.decimate import decimate
from nbllm.plots.fonts import clip, font
from nbllm.plots.palette import GRID, INK, PAPER, QUIET

# After Okabe and Ito; those that stand out most on white and on black come first. Yellow and black do not do on both.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
POINTS = 240  # of a curve in a still picture: as many as can be seen, and a small file
SCALE = 2  # a PNG is drawn so much larger and made smaller, for smooth lines
_LABEL = 40  # characters of a name
_MOST_DOTS = 40


@dataclass(frozen=True)
class Line:
    """A curve. Those with a label stand in the legend; `dots` marks its points."""

    x: np.ndarray
    y: np.ndarray
    colour: str
    label: str = ""
    width: float = 1.6
    opacity: float = 1.0
    dots: bool = False

    def marked(self, points: int) -> bool:
        """Whether each of so many points gets a dot; a point alone always does."""
        return points == 1 or (self.dots and points <= _MOST_DOTS)


@dataclass(frozen=True)
class Band:
    """The space between two curves over the same x."""

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    colour: str


@dataclass(frozen=True)
class Chart:
    """Curves and bands with what stands on the axes; `spoken` is read out in place of the picture."""

    lines: Sequence[Line]
    spoken: str
    x_title: str = "step"
    y_title: str = "loss"
    bands: Sequence[Band] = field(default_factory=tuple)
    log_x: bool = False


def colour(index: int) -> str:
    """The colour of the run at that place."""
    return COLOURS[index % len(COLOURS)]


def svg(chart: Chart, width: int = 640, height: int = 260) -> str:
    """The chart as a small inline SVG."""
    legend = _legend(chart, width - 56, lambda text: 6.2 * sum(1 + (letter > "\u2e7f") for letter in text))
    frame = _Frame.of(chart, 46, 14 + 16 * (legend[-1][1] + 1 if legend else 0), width - 10, height - 38)
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" style="max-width:100%;height:auto"',
        f' role="img" aria-label="{html.escape(chart.spoken, quote=True)}" font-family="sans-serif" font-size="11"',
        ' fill="currentColor">',
    ]
    for label, y in frame.y_ticks():
        parts.append(f'<path d="M{frame.left} {y}H{frame.right}" stroke="{QUIET}" stroke-opacity=".25"/>')
        parts.append(f'<text x="{frame.left - 6}" y="{y + 4}" text-anchor="end" fill="{QUIET}">{label}</text>')
    for label, x in frame.x_ticks():
        anchor = "end" if x > width - 30 else "middle"  # the last number stays inside
        parts.append(f'<text x="{x}" y="{frame.bottom + 16}" text-anchor="{anchor}" fill="{QUIET}">{label}</text>')
    middle = (frame.left + frame.right) / 2
    parts.append(
        f'<text x="{middle}" y="{height - 6}" text-anchor="middle" fill="{QUIET}">{html.escape(chart.x_title)}</text>'
        f'<text x="{frame.left}" y="{frame.top - 5}" fill="{QUIET}">{html.escape(chart.y_title)}</text>'
    )
    for band in chart.bands:
        outline = [*frame.points(band.x, band.high), *reversed(frame.points(band.x, band.low))]
        if outline:
            parts.append(f'<polygon points="{_joined(outline)}" fill="{band.colour}" fill-opacity=".18"/>')
    for line in chart.lines:
        points = frame.points(line.x, line.y)
        if len(points) > 1:
            parts.append(
                f'<polyline points="{_joined(points)}" fill="none" stroke="{line.colour}" stroke-width="{line.width}"'
                f' stroke-opacity="{line.opacity}" stroke-linejoin="round"/>'
            )
        for x, y in points if line.marked(len(points)) else ():
            parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{line.width + 0.8:g}" fill="{line.colour}"/>')
    for place, row, line in legend:
        x, y = frame.left + place, 11 + 16 * row
        parts.append(f'<path d="M{x:g} {y - 4}h18" stroke="{line.colour}" stroke-width="{line.width}"/>')
        parts.append(f'<text x="{x + 24:g}" y="{y}">{html.escape(clip(line.label, _LABEL))}</text>')
    return "".join(parts) + "</svg>"


def png(chart: Chart, width: int = 760, height: int = 320) -> bytes:
    """The chart as a small PNG, drawn by Pillow."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
    paint(ImageDraw.Draw(image, "RGBA"), chart, (0, 0, width, height))
    image = image.resize((width, height), Image.Resampling.LANCZOS).quantize(128, dither=Image.Dither.NONE)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def paint(draw: Any, chart: Chart, box: tuple[float, float, float, float]) -> None:
    """Draw the chart into a rectangle (left, top, right, bottom) of a picture that is SCALE times as large."""
    left, head, right, foot = (side * SCALE for side in box)
    text, small = font(13 * SCALE), font(11 * SCALE)
    legend = _legend(chart, right - left - 70 * SCALE, lambda label: float(draw.textlength(label, font=text)), SCALE)
    top = head + (26 + 20 * (legend[-1][1] + 1 if legend else 0)) * SCALE
    frame = _Frame.of(chart, left + 58 * SCALE, top, right - 16 * SCALE, foot - 46 * SCALE)
    for label, y in frame.y_ticks():
        draw.line((frame.left, y, frame.right, y), GRID, SCALE)
        draw.text((frame.left - 8 * SCALE, y), label, QUIET, font=small, anchor="rm")
    for label, x in frame.x_ticks():
        draw.text((x, frame.bottom + 7 * SCALE), label, QUIET, font=small, anchor="ma")
    draw.text(((frame.left + frame.right) / 2, foot - 8 * SCALE), chart.x_title, QUIET, font=small, anchor="ms")
    draw.text((frame.left, frame.top - 8 * SCALE), chart.y_title, QUIET, font=small, anchor="ls")
    for band in chart.bands:
        outline = [*frame.points(band.x, band.high), *reversed(frame.points(band.x, band.low))]
        if len(outline) > 2:
            draw.polygon(outline, fill=_faded(band.colour, 0.18))
    for line in chart.lines:
        points = frame.points(line.x, line.y)
        ink = _faded(line.colour, line.opacity)
        if len(points) > 1:
            draw.line(points, ink, max(1, int(line.width * SCALE)), joint="curve")
        radius = (line.width + 0.8) * SCALE
        for x, y in points if line.marked(len(points)) else ():
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), line.colour)
    for place, row, line in legend:
        x, y = frame.left + place, head + (16 + 20 * row) * SCALE
        draw.line((x, y, x + 18 * SCALE, y), line.colour, int(2 * SCALE))
        draw.text((x + 24 * SCALE, y), clip(line.label, _LABEL), INK, font=text, anchor="lm")


@dataclass(frozen=True)
class _Frame:
    """The rectangle of a plot in pixels, and the numbers at its edges (their logarithms where an axis is so)."""

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]
    log_x: bool

    @classmethod
    def of(cls, chart: Chart, left: float, top: float, right: float, bottom: float) -> _Frame:
        """The frame that holds all that the chart draws."""
        curves = [(line.x, line.y) for line in chart.lines]
        curves += [(band.x, edge) for band in chart.bands for edge in (band.low, band.high)]
        xs = _finite([x for x, _ in curves])
        ys = _finite([y for _, y in curves])
        if chart.log_x:
            xs = np.log10(xs[xs > 0])
            x = (float(xs.min()) - 0.08, float(xs.max()) + 0.08) if len(xs) else (0.0, 1.0)
        else:
            x = (0.0, float(xs.max()) or 1.0) if len(xs) else (0.0, 1.0)
        low, high = (float(ys.min()), float(ys.max())) if len(ys) else (0.0, 1.0)
        room = (high - low) * 0.06 or 0.5
        return cls(left, top, right, bottom, x, (low - room, high + room), chart.log_x)

    def points(self, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        """Places in pixels, few enough for a small file; those without numbers are left out."""
        xs, ys = decimate(x, y, POINTS)
        with np.errstate(divide="ignore", invalid="ignore"):
            xs = np.log10(xs) if self.log_x else xs
        places = zip(self._across(xs).round(1).tolist(), self._up(ys).round(1).tolist(), strict=True)
        return [(a, b) for a, b in places if np.isfinite(a) and np.isfinite(b)]

    def y_ticks(self) -> list[tuple[str, float]]:
        """Round numbers up the side, and where they stand."""
        values = round_numbers(*self.y)
        return list(zip(map(short, values), self._up(values).round(1).tolist(), strict=True))

    def x_ticks(self) -> list[tuple[str, float]]:
        """Round numbers along the bottom, and where they stand."""
        if not self.log_x:
            values = round_numbers(*self.x)
            return list(zip(map(short, values), self._across(values).round(1).tolist(), strict=True))
        powers = [(m * 10.0**p) for p in range(int(np.floor(self.x[0])), int(self.x[1]) + 1) for m in (1, 2, 5)]
        values = np.array([v for v in powers if self.x[0] <= np.log10(v) <= self.x[1]])
        return list(zip(map(short, values), self._across(np.log10(values)).round(1).tolist(), strict=True))

    def _across(self, values: np.ndarray) -> np.ndarray:
        return self.left + (self.right - self.left) * (values - self.x[0]) / (self.x[1] - self.x[0])

    def _up(self, values: np.ndarray) -> np.ndarray:
        return self.bottom - (self.bottom - self.top) * (values - self.y[0]) / (self.y[1] - self.y[0])


def _finite(parts: Sequence[np.ndarray]) -> np.ndarray:
    values = np.concatenate([np.asarray(part, dtype=np.float64) for part in parts]) if parts else np.empty(0)
    return values[np.isfinite(values)]


def round_numbers(low: float, high: float) -> np.ndarray:
    """Some five round numbers from `low` to `high`."""
    rough = (high - low) / 4
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((1, 2, 2.5, 5, 10), key=lambda m: abs(m * power - rough))
    return (np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step).round(10) + 0.0  # no -0


def short(value: float) -> str:
    """12,000, 0.25, 3M and 2e15."""
    if abs(value) >= 1e12:
        return f"{value:.3g}".replace("e+", "e")
    for unit, scale in (("G", 1e9), ("M", 1e6)):
        if abs(value) >= scale:
            return f"{value / scale:g}{unit}"
    return f"{value:,.10g}"


def _legend(chart: Chart, room: float, measure: Any, scale: int = 1) -> list[tuple[float, int, Line]]:
    """Where each labelled line stands in the legend: pixels from the left, and the row."""
    places = []
    at, row = 0.0, 0
    for line in (line for line in chart.lines if line.label):
        wide = 24 * scale + measure(clip(line.label, _LABEL)) + 16 * scale
        if at and at + wide > room:
            at, row = 0.0, row + 1
        places.append((at, row, line))
        at += wide
    return places


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _faded(colour: str, opacity: float) -> tuple[int, int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue, round(255 * opacity)
