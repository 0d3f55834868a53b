"""How a comparison is shown: a figure with buttons where the page draws Plotly, tables and a still picture anywhere."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

from nbllm.dashboards.plain_figure import show_figure
from nbllm.dashboards.tables import lines, table
from nbllm.dashboards.tiers import tier
from nbllm.handles.readable import heading, readable
from nbllm.plots.compare import comparison_chart
from nbllm.plots.fonts import clip
from nbllm.plots.overlay import colour, png, svg
from nbllm.plots.palette import QUIET

if TYPE_CHECKING:
    from nbllm.handles.compare import Comparison

_SAMPLE = 500  # characters
_PROMPT = 120


def show(comparison: Comparison) -> None:
    """Display a comparison under the cell that runs now.

    A page with Plotly draws the figure, from data in the notebook and without the kernel; what cannot draw it (a page
    without Plotly, an exported notebook) takes the still picture of the same output.
    """
    from IPython.display import display

    chosen = tier()
    if chosen == "text":
        print(comparison)
        return
    chart = comparison_chart(comparison)
    if chosen == "widget":
        below = page(comparison, picture="")
        show_figure(comparison.figure(), svg(chart), chart.spoken, below, repr(comparison))
    else:
        whole = {"text/html": page(comparison, picture=svg(chart)), "text/plain": repr(comparison)}
        display({**whole, "image/png": base64.b64encode(png(chart)).decode("ascii")}, raw=True)


def page(comparison: Comparison, picture: str | None = None) -> str:
    """The whole comparison as a piece of HTML without script: notices, picture, figures, differences, samples.

    `picture` is drawn where it is not given.
    """
    swatches = {record.name: colour(place) for place, record in enumerate(comparison.records)}
    figures = comparison.table
    shown = readable(figures)
    unit = "bits_per_byte" if comparison.y == "bits_per_byte" else "best_val_loss"
    ranked = comparison.one_text and len(figures) > 1 and figures[unit].notna().any()
    parts = [
        lines(comparison.notices),
        svg(comparison_chart(comparison)) if picture is None else picture,
        table(
            shown,
            f"Sorted by {heading(comparison.order)}; --sort COLUMN takes another",
            swatches=swatches,
            best=[(str(figures[unit].idxmin()), heading(unit))] if ranked else [],
        ),
    ]
    if len(comparison.differences):
        parts.append(table(comparison.differences, "Settings in which they differ", swatches=swatches, across=True))
    elif len(comparison.records) > 1:
        parts.append('<p style="margin:8px 0">No setting differs.</p>')
    parts.append(_samples(comparison, swatches))
    return f'<div class="nbllm-comparison">{"".join(parts)}</div>'


def _samples(comparison: Comparison, swatches: dict[str, str]) -> str:
    """The last sample of each run, side by side."""
    cards = []
    for name, row in comparison.samples.iterrows():
        if row.step is None:
            continue
        mark = f"border-top:3px solid {swatches[str(name)]}"
        prompt, text = clip(row.prompt, _PROMPT), clip(row.text, _SAMPLE)
        cards.append(
            f'<div style="flex:1 1 220px;min-width:0;{mark};padding-top:4px"><div style="font-size:12px">'
            f'<strong>{html.escape(str(name))}</strong> <span style="opacity:.75">step {row.step:,}</span></div>'
            '<pre style="white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0;max-height:13em;overflow:auto">'
            f'<span style="color:{QUIET}">{html.escape(prompt)}</span>{html.escape(text)}</pre></div>'
        )
    if not cards:
        return ""
    title = '<div style="font-size:12px;opacity:.75;margin-top:10px">The last sample of each</div>'
    return f'{title}<div style="display:flex;flex-wrap:wrap;gap:14px">{"".join(cards)}</div>'
