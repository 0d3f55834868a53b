"""Small HTML tables that need neither script nor style sheet, and take the page's own colours. All text is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nbllm.plots.fonts import clip

if TYPE_CHECKING:
    import pandas as pd

_CELL = "padding:3px 14px 3px 0;text-align:"
_LONGEST = 120  # characters of a cell


def table(
    frame: pd.DataFrame,
    caption: str,
    *,
    swatches: Mapping[str, str] | None = None,
    across: bool = False,
    best: Iterable[tuple[str, str]] = (),
) -> str:
    """A table of text. Its rows (its columns where `across` is set) have a square of their colour, from `swatches`.

    `best` are the cells, by row and column, that are drawn bold.
    """
    colours = dict(swatches or {})
    bold = set(best)
    left = "left" if across else "right"
    head = "".join(
        f'<th scope="col" style="{_CELL}{left};font-weight:600">'
        f"{_swatch(colours, name) if across else ''}{_text(name)}</th>"
        for name in frame.columns
    )
    rows = []
    for name, values in zip(frame.index, frame.to_numpy(dtype=object).tolist(), strict=True):
        cells = "".join(
            f'<td style="{_CELL}{left};font-variant-numeric:tabular-nums'
            f'{";font-weight:700" if (str(name), str(column)) in bold else ""}">{_text(value)}</td>'
            for column, value in zip(frame.columns, values, strict=True)
        )
        label = ("" if across else _swatch(colours, name)) + _text(name)
        rows.append(
            f'<tr><th scope="row" style="{_CELL}left;font-weight:600;white-space:nowrap">{label}</th>{cells}</tr>'
        )
    corner = f'<th scope="col" style="{_CELL}left;font-weight:600">{_text(frame.index.name or "")}</th>'
    return (
        '<div style="overflow-x:auto;margin:10px 0"><table style="border-collapse:collapse;font-size:13px;margin:0">'
        f'<caption style="text-align:left;caption-side:top;font-size:12px;opacity:.75">{_text(caption)}</caption>'
        f"<thead><tr>{corner}{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def lines(texts: Iterable[str]) -> str:
    """Lines to be read before a table."""
    return "".join(
        f'<p style="margin:4px 0;padding-left:9px;border-left:3px solid #D55E00">{html.escape(text)}</p>'
        for text in texts
    )


def _swatch(colours: Mapping[str, str], name: object) -> str:
    colour = colours.get(str(name))
    if colour is None:
        return ""
    return (
        '<span aria-hidden="true" style="display:inline-block;width:.7em;height:.7em;border-radius:2px;'
        f'margin-right:.5em;background:{colour}"></span>'
    )


def _text(value: object) -> str:
    return html.escape(clip("" if value is None else str(value), _LONGEST))
