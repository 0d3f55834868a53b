"""The chart of a finding as a small SVG without script: for saved pages, and for what draws no Plotly. Its ink is the
page's own, so that it stands on light and on dark."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nbllm.plots import overlay
from nbllm.plots.findings import deep, readied, rows
from nbllm.plots.fonts import clip
from nbllm.plots.maps import width
from nbllm.plots.palette import INK, PAPER, QUIET

if TYPE_CHECKING:
    from nbllm.inspection.finding import Diagram, Finding, Series

WIDE = 680
_LETTER = 6.3  # pixels of a Latin letter
_MOST_ROWS = 40
_LONGEST = 44


def svg(finding: Finding, alone: bool = False) -> str:
    """The diagram as an inline SVG; empty where there is none. A file that stands `alone` brings ink and paper."""
    finding = readied(finding)
    diagram = finding.diagram
    if diagram is None or not any(len(series.values) for series in diagram.series):
        return ""
    drawn = _lines(finding, diagram) if diagram.form == "lines" else _across(finding, diagram)
    if not alone:
        return drawn
    start, _, rest = drawn.partition(">")
    named = start.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" color="{INK}" ', 1)
    return f'{named}><rect width="100%" height="100%" fill="{PAPER}"/>{rest}'


def _lines(finding: Finding, diagram: Diagram) -> str:
    several = len(diagram.series) > 1
    lines, bands = [], []
    for number, series in enumerate(diagram.series):
        x, y = np.array(series.places, dtype=float), np.array(series.values, dtype=float)
        colour = overlay.colour(number)
        lines.append(overlay.Line(x, y, colour, series.name if several else "", width=2.0, dots=True))
        if len(series.low):
            low, high = (np.array(ends, dtype=float) for ends in (series.low, series.high))
            bands.append(overlay.Band(x, low, high, colour))
    if diagram.reference is not None:
        ends_x = [float(f([min(line.x) for line in lines] + [max(line.x) for line in lines])) for f in (min, max)]
        level = np.full(2, diagram.reference)
        lines.append(overlay.Line(np.array(ends_x), level, QUIET, diagram.reference_name, width=1.0))
    chart = overlay.Chart(lines, finding.says, diagram.place, diagram.value, bands, log_x=diagram.log)
    return overlay.svg(chart, width=WIDE)


def _across(finding: Finding, diagram: Diagram) -> str:
    """A row a place: its name to the left, a bar or a point a series, and the value's axis below."""
    every = rows(diagram)
    places = every[:_MOST_ROWS]
    names = [clip(place, _LONGEST) for place in places]
    low, high = _reach(diagram)
    left = min(300.0, 18 + _LETTER * max(width(name) for name in names))
    right, count, side = WIDE - 16.0, len(diagram.series), deep(diagram)
    row = 9 + 11 * side
    legend = 18 if count > 1 else 0
    top = 16 + legend
    bottom = top + row * len(places)
    high_px = bottom + 40 + (16 if len(every) > len(places) else 0)

    def across(value: float) -> float:
        return round(left + (right - left) * (value - low) / (high - low), 1)

    parts = [
        f'<svg viewBox="0 0 {WIDE} {high_px}" width="{WIDE}" height="{high_px}" style="max-width:100%;height:auto"',
        f' role="img" aria-label="{html.escape(finding.says, quote=True)}" font-family="sans-serif" font-size="11"',
        ' fill="currentColor">',
    ]
    for tick in overlay.round_numbers(low, high):
        x = across(float(tick))
        parts.append(f'<path d="M{x} {top}V{bottom}" stroke="{QUIET}" stroke-opacity=".25"/>')
        parts.append(
            f'<text x="{x}" y="{bottom + 14}" text-anchor="middle" fill="{QUIET}">{overlay.short(float(tick))}</text>'
        )
    if diagram.reference is not None:
        x = across(diagram.reference)
        parts.append(f'<path d="M{x} {top - 2}V{bottom}" stroke="{QUIET}" stroke-width="1.5" stroke-dasharray="4 3"/>')
        if diagram.reference_name:
            anchor = "end" if x > (left + right) / 2 else "start"
            parts.append(
                f'<text x="{x}" y="{top - 5}" text-anchor="{anchor}" fill="{QUIET}">'
                f"{html.escape(diagram.reference_name)}</text>"
            )
    for number, name in enumerate(names):
        y = top + row * (number + 0.5) + 4
        parts.append(f'<text x="{left - 8}" y="{y:g}" text-anchor="end">{html.escape(name)}</text>')
    at = {place: number for number, place in enumerate(places)}
    for number, series in enumerate(diagram.series):
        colour = overlay.colour(number)
        for i, place in enumerate(series.places):
            if str(place) in at and np.isfinite(series.values[i]):
                y = top + row * at[str(place)] + 4 + 11 * (number if side > 1 else 0) + 6
                parts.append(_mark(diagram, series, i, y, colour, across))
        if legend:
            x = left + number * (right - left) / count
            parts.append(f'<rect x="{x:g}" y="4" width="10" height="10" fill="{colour}"/>')
            parts.append(f'<text x="{x + 15:g}" y="13">{html.escape(clip(series.name, 30))}</text>')
    parts.append(
        f'<text x="{(left + right) / 2:g}" y="{bottom + 32}" text-anchor="middle" fill="{QUIET}">'
        f"{html.escape(diagram.value)}</text>"
    )
    if len(every) > len(places):
        parts.append(
            f'<text x="{left - 8}" y="{high_px - 6}" text-anchor="end" fill="{QUIET}">'
            f"and {len(every) - len(places)} more in the table</text>"
        )
    return "".join(parts) + "</svg>"


def _mark(diagram: Diagram, series: Series, i: int, y: float, colour: str, across: Callable[[float], float]) -> str:
    """A bar or a point, with its interval."""
    x = across(series.values[i])
    if diagram.form == "bars":
        zero = across(0.0)
        parts = [f'<rect x="{min(x, zero):g}" y="{y - 4:g}" width="{abs(x - zero):g}" height="8" fill="{colour}"/>']
        ink = "currentColor"
    else:
        parts, ink = [f'<circle cx="{x:g}" cy="{y:g}" r="3.6" fill="{colour}"/>'], colour
    if len(series.low) and np.isfinite(series.low[i]) and np.isfinite(series.high[i]):
        ends = across(series.low[i]), across(series.high[i])
        parts.append(f'<path d="M{ends[0]:g} {y:g}H{ends[1]:g}" stroke="{ink}" stroke-width="1.4"/>')
    return "".join(parts)


def _reach(diagram: Diagram) -> tuple[float, float]:
    """From the least to the most that is drawn, with a little room."""
    values = [v for series in diagram.series for part in (series.values, series.low, series.high) for v in part]
    values += [0.0] if diagram.form == "bars" else []
    values += [] if diagram.reference is None else [diagram.reference]
    finite = [float(value) for value in values if np.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    room = (high - low) * 0.04 or 0.5
    return (low if diagram.form == "bars" and low == 0 else low - room), high + room
