"""How a finding is shown under a cell and in a terminal: what was found, chart, tables, and what it does not show."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from nbllm.dashboards.plain_figure import show_figure
from nbllm.dashboards.tables import table
from nbllm.dashboards.tiers import tier
from nbllm.handles.readable import plain, readable
from nbllm.plots.findings import finding_figure, readied
from nbllm.plots.findings_still import svg

if TYPE_CHECKING:
    from nbllm.inspection.finding import Finding

_ROWS = 30  # of a table on the page
_LINES = 30  # of a table in a terminal
_TEXT = "margin:6px 0;max-width:46em;line-height:1.45"


def show(finding: Finding) -> None:
    """Display a finding under the cell that runs now. A page with Plotly draws the chart from data in the notebook,
    without the kernel; others have the still picture."""
    from IPython.display import display

    chosen = tier()
    if chosen == "text":
        print(text(finding))
    elif chosen == "widget" and finding.diagram is not None:
        shown, chart = readied(finding), finding_figure(finding, title=False)
        display({"text/html": _head(shown), "text/plain": shown.says}, raw=True)
        show_figure(chart, svg(finding), shown.title, _behind(shown), shown.limits)
    else:
        display({"text/html": page(finding), "text/plain": text(finding)}, raw=True)


def page(finding: Finding) -> str:
    """The whole finding as a piece of HTML without script: paragraph, still picture, tables, limits."""
    shown = readied(finding)
    return f'<div class="nbllm-finding">{_head(shown)}{svg(finding)}{_behind(shown)}</div>'


def text(finding: Finding) -> str:
    """The same as lines of text."""
    shown = readied(finding)
    tables = [plain(readable(shown.table.iloc[:_LINES]))]
    if len(shown.table) > _LINES:
        tables.append(f"... and {len(shown.table) - _LINES} more rows: .table")
    parts = [f"{shown.title}: {_about(shown)}", shown.says, *tables]
    return "\n\n".join([*parts, f"What this does not show: {shown.limits}"])


def _about(finding: Finding) -> str:
    return finding.about if finding.step is None else f"{finding.about}, step {finding.step:,}"


def _head(finding: Finding) -> str:
    return (
        f'<div style="margin-top:4px"><strong>{html.escape(finding.title)}</strong> '
        f'<span style="opacity:.75">{html.escape(_about(finding))}</span></div>'
        f'<p style="{_TEXT}">{html.escape(finding.says)}</p>'
    )


def _behind(finding: Finding) -> str:
    """The tables, which open at a click, and what the finding does not show."""
    folded = []
    for name, frame in (("The figures as a table", finding.table), *finding.more.items()):
        count = "" if len(frame) <= _ROWS else f"The first {_ROWS} of {len(frame):,} rows"
        shown = table(readable(frame.iloc[:_ROWS]), count, across=True)
        folded.append(f"<details><summary>{html.escape(name)}</summary>{shown}</details>")
    limits = f'<p style="{_TEXT};opacity:.85"><em>What this does not show.</em> {html.escape(finding.limits)}</p>'
    return "".join(folded) + limits
