"""How states are shown under a cell and in a terminal: gates, units that track a property, filters, a latent space.

A page with Plotly draws the figure from data in the notebook, without the kernel; others take the still picture. Below
it stands the table, that opens at a click.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from nbllm.dashboards.plain_figure import image, show_figure, show_still
from nbllm.dashboards.tables import table
from nbllm.dashboards.tiers import tier
from nbllm.handles.readable import plain
from nbllm.inspection.convolution import Filters
from nbllm.inspection.gate_maps import Gates
from nbllm.inspection.latent_map import LatentMap
from nbllm.inspection.units import Units
from nbllm.plots.maps import apart, visible
from nbllm.plots.units import MOST, evened, title_of

if TYPE_CHECKING:
    import pandas as pd

_CAPTIONS: dict[type, str] = {
    Gates: "Units of the layer that is shown, in its order",
    Units: "Units by the first half of the text, the best first",
    Filters: "Filters, the most selective first, and the tokens that excite each the most",
    LatentMap: "Units of the latent, the most active first",
}
KINDS: tuple[type, ...] = tuple(_CAPTIONS)
_ROWS = 32  # of a table


def show_states(found: Any) -> None:
    """Display the figure and the table of one of KINDS, as this page or terminal can."""
    chosen = tier()
    if chosen == "text":
        print(states_text(found))
        return
    png, spoken = found._repr_png_(), repr(found)
    if chosen == "widget":
        show_figure(found.figure(), image(png, spoken), spoken, behind(found))
    else:
        show_still(png, spoken, behind(found))


def states_text(found: Any) -> str:
    """The table and what it is of, as lines of text."""
    return f"{plain(rows(found).iloc[:_ROWS])}\n{_said(found)}"


def behind(found: Any) -> str:
    """The table as HTML that opens at a click."""
    caption = next(words for kind, words in _CAPTIONS.items() if isinstance(found, kind))
    return f"<details><summary>Table</summary>{table(rows(found).iloc[:_ROWS], caption)}</details>"


def _said(found: Any) -> str:
    """What the object says of itself, without anything that is out of sight."""
    return visible(repr(found)).replace("␣", " ")


def rows(found: Any) -> pd.DataFrame:
    """The table with numbers as they are read."""
    frame = found.table.copy()
    for column in frame.columns:
        if frame[column].dtype.kind == "f":
            frame[column] = [f"{value:.3g}" if abs(value) >= 100 else f"{value:.3f}" for value in frame[column]]
        elif frame[column].dtype.kind not in "iub":
            frame[column] = [apart(visible(str(value))) for value in frame[column]]
    return frame.astype(str)


def units_page(units: Units) -> str:
    """The text coloured by the state of the best unit, underlined where the property is, and the table behind."""
    shades = evened(units.state()[:MOST])
    low, high = float(units.wanted.min()), float(units.wanted.max())
    spans = []
    for token, shade, value, truth in zip(units.tokens, shades, units.state(), units.wanted, strict=False):
        colour = f"rgba({'0,114,178' if shade > 0 else '213,94,0'},{0.55 * abs(shade):.2f})"
        share = (truth - low) / (high - low or 1.0)
        line = f";border-bottom:3px solid rgba(128,128,128,{0.15 + 0.85 * share:.2f})" if share > 0 else ""
        hover = escape(f"{visible(token)}  state {value:+.3f}, {units.tracked} {truth:g}", quote=True)
        spans.append(
            f'<bdi title="{hover}" style="background:{colour}{line}">{escape(apart(visible(token)))}</bdi><wbr>'
        )
        if "\n" in token or "↵" in token or "⏎" in token:
            spans.append("<br>")
    cut = f"; the first {MOST} of {len(units.tokens):,} tokens" if len(units.tokens) > MOST else ""
    return (
        f'<p style="margin:4px 0">{escape(title_of(units, 0))}{cut}</p>'
        '<p style="margin:0 0 6px;font-size:12px;opacity:.75">Blue: the state is high; orange: low; underlined: the '
        "property.</p>"
        '<div style="font-family:monospace;line-height:1.9;white-space:pre-wrap;overflow-wrap:anywhere">'
        f"{''.join(spans)}</div>{behind(units)}"
    )
