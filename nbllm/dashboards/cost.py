"""How a cost is shown under a cell, in a page and in a terminal: bars, tables, and what was measured."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from nbllm.dashboards.plain_figure import show_figure
from nbllm.dashboards.tables import table
from nbllm.dashboards.tiers import tier
from nbllm.handles.readable import plain
from nbllm.models.cost import count, size
from nbllm.plots.cost import TITLES, svg

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.models.cost import Cost

_LINE = "margin:4px 0;max-width:46em;line-height:1.45"
_PLACES = 0.02  # by which our own count and torch's may differ


def show(cost: Cost) -> None:
    """Display it under the cell that runs now; a page with Plotly draws the bars from data in the notebook."""
    from IPython.display import display

    chosen = tier()
    if chosen == "text":
        print(text(cost))
    elif chosen == "widget":
        show_figure(cost.figure(), svg(cost), repr(cost), _words(cost) + behind(cost), text(cost))
    else:
        display({"text/html": page(cost), "text/plain": text(cost)}, raw=True)


def page(cost: Cost) -> str:
    """All of it as a piece of HTML without script."""
    title = f"<div><strong>Cost of {escape(cost.about)}</strong></div>"
    return f'<div class="nbllm-cost">{title}{svg(cost)}{_words(cost)}{behind(cost)}</div>'


def text(cost: Cost) -> str:
    """All of it as lines of text."""
    return "\n\n".join([repr(cost).strip("<>"), plain(parts(cost)), plain(memory(cost)), *said(cost)])


def said(cost: Cost) -> list[str]:
    """What the tables do not hold, a line each."""
    lines = list(cost.notes)
    measured = cost.measured
    if measured is None:
        pace = cost.per_second
        if math.isfinite(pace):
            lines.append(f"It trained at {pace:,.0f} tokens a second: {count(pace * cost.training)}FLOPs a second.")
        lines.append("These are estimates. With measure=True (--measure) a few steps are done, and measured.")
        return lines
    lines.append(
        f"Measured on {measured.device}: {measured.tokens_per_second:,.0f} tokens a second, which is "
        f"{count(measured.tokens_per_second * cost.training)}FLOPs a second, {cost.utilisation:.1%} of the "
        f"{count(measured.ceiling)}FLOPs a second of a large matrix product here."
    )
    if measured.longest < cost.config.train.context:
        lines.append(
            f"The longest row of the measured batch had {measured.longest} tokens; the estimate of memory is for a "
            f"whole context of {cost.config.train.context}."
        )
    if math.isfinite(measured.flops) and math.isfinite(measured.analytic):
        apart = measured.analytic / measured.flops - 1
        lines.append(
            f"Torch's counter says {count(measured.flops)}FLOPs a token for a step, masks counted whole; counted the "
            f"same way, the estimate differs by {apart:+.1%}"
            + ("." if abs(apart) < _PLACES else ": what fills up short rows is counted, and may not be computed.")
        )
    joules = measured.joules_per_token
    if math.isfinite(joules):
        lines.append(f"Energy: {1000 * joules:.3g} J for a thousand tokens, {measured.energy}.")
    else:
        lines.append(measured.energy)
    return lines


def parts(cost: Cost) -> pd.DataFrame:
    """Parameters and FLOPs by part, in words."""
    frame = cost.table
    shown = frame.astype(object)
    shown["parameters"] = [f"{int(value):,}" if value else "–" for value in frame["parameters"]]
    for column in ("flops_forward", "flops_training"):
        shown[column] = [count(value).strip() if value else "–" for value in frame[column]]
    shown.columns = ["parameters", "FLOPs a token, forward", "in training"]
    shown.index = [TITLES.get(str(name), str(name)) for name in frame.index]
    return shown.rename_axis("part")


def memory(cost: Cost) -> pd.DataFrame:
    """Memory by kind, in words."""
    frame = cost.memory_table
    shown = frame.astype(object)
    for column in frame.columns:
        shown[column] = [size(value) if math.isfinite(value) else "–" for value in frame[column]]
    return shown if cost.measured is not None else shown[["estimated"]]


def _words(cost: Cost) -> str:
    return "".join(f'<p style="{_LINE}">{escape(line)}</p>' for line in said(cost))


def behind(cost: Cost) -> str:
    """The tables, which open at a click."""
    by_part = table(parts(cost), "Parameters, and operations of the matrix products")
    by_kind = table(memory(cost), "Weights, gradients and moments are float32; activations are those of one batch")
    return (
        f"<details><summary>Parameters and FLOPs by part</summary>{by_part}</details>"
        f"<details><summary>Memory</summary>{by_kind}</details>"
    )
