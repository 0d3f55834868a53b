"""Where a model's parameters, arithmetic and memory go: stacked bars, as a Plotly figure and as a small SVG."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbllm.models.cost import MEMORY, ORDER, count, size
from nbllm.plots.maps import escape
from nbllm.plots.palette import INK, PAPER, QUIET

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nbllm.models.cost import Cost

# The same part has one colour in every bar; those of the memory are drawn in order.
_HUES = ("#0072B2", "#8A8F98", "#009E73", "#56B4E9", "#E69F00", "#B9BEC6", "#D55E00", "#0072B2")
PARTS = dict(zip(ORDER, _HUES, strict=True))
KINDS = dict(zip(MEMORY, ("#0072B2", "#56B4E9", "#CC79A7", "#E69F00"), strict=True))
TITLES = {
    "embedding": "embedding", "positions": "positions", "mixers": "mixers", "attention": "attention scores",
    "mlps": "MLPs", "norms": "norms", "head": "head", "all": "all",
}  # fmt: skip
WIDE = 680
_DARK = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # colours on which white can be read


@dataclass(frozen=True)
class Bar:
    """One stacked bar: its segments by name, how each is said, and the value that fills the whole width."""

    name: str
    segments: dict[str, float]
    said: dict[str, str]
    total: str
    full: float
    colours: dict[str, str]


def bars(cost: Cost) -> list[Bar]:
    """The bars, uppermost first. Memory that was estimated and measured has one scale."""
    found = [
        Bar(
            "parameters", dict(cost.parameters), {k: f"{v:,}" for k, v in cost.parameters.items()},
            f"{cost.total:,}", cost.total, PARTS,
        ),
        Bar(
            "FLOPs a token, forward", dict(cost.flops), {k: count(v).strip() for k, v in cost.flops.items()},
            f"{count(cost.forward).strip()}, {count(cost.training).strip()} in training", cost.forward, PARTS,
        ),
    ]  # fmt: skip
    estimated = {part: float(cost.memory[part]) for part in MEMORY if part in cost.memory}
    measured = {} if cost.measured is None else {part: float(cost.measured.memory.get(part, 0)) for part in MEMORY}
    full = max(sum(estimated.values()), sum(measured.values()))
    for name, segments in (("memory of training, estimated", estimated), ("memory of training, measured", measured)):
        if segments:
            said = {kind: size(value) for kind, value in segments.items()}
            found.append(Bar(name, segments, said, size(sum(segments.values())), full, KINDS))
    return found


def cost_figure(cost: Cost) -> go.Figure:
    """The bars; hover shows each part's own figure and its share."""
    import plotly.graph_objects as go

    shown = bars(cost)
    figure = go.Figure()
    for row, bar in enumerate(shown):
        for name, value in bar.segments.items():
            if not value or not bar.full:
                continue
            share = value / sum(bar.segments.values())
            figure.add_bar(
                x=[100 * value / bar.full], y=[row], orientation="h", name=escape(TITLES.get(name, name)),
                marker={"color": bar.colours[name], "line": {"color": PAPER, "width": 1}}, showlegend=False,
                text=escape(TITLES.get(name, name)) if share > 0.09 else "", textposition="inside",
                insidetextanchor="middle", textangle=0,
                textfont={"color": PAPER if bar.colours[name] in _DARK else INK},
                hovertemplate=f"{escape(TITLES.get(name, name))}: {bar.said[name]} ({share:.1%})<extra></extra>",
            )  # fmt: skip
    names = [f"{escape(bar.name)}<br><b>{escape(bar.total)}</b>" for bar in shown]
    figure.update_layout(
        template="none", font={"color": INK}, barmode="stack", bargap=0.35, height=90 + 62 * len(shown),
        title={"text": escape(f"Cost of {cost.about}"), "x": 0.02, "font": {"size": 15}},
        margin={"l": 20, "r": 16, "t": 46, "b": 16}, hovermode="closest",
        xaxis={"visible": False, "range": [0, 100]},
        yaxis={
            "tickmode": "array", "tickvals": list(range(len(shown))), "ticktext": names, "autorange": "reversed",
            "automargin": True, "showgrid": False, "zeroline": False,
        },
    )  # fmt: skip
    return figure


def svg(cost: Cost) -> str:
    """The bars as an inline SVG without script; its ink is the page's own."""
    shown = bars(cost)
    row, high = 52, 52 * len(shown) + 4
    spoken = "; ".join(f"{bar.name}: {bar.total}" for bar in shown)
    parts: list[Any] = [
        f'<svg viewBox="0 0 {WIDE} {high}" width="{WIDE}" height="{high}" style="max-width:100%;height:auto"',
        f' role="img" aria-label="{html.escape(f"Cost of {cost.about}. {spoken}", quote=True)}"',
        ' font-family="sans-serif" font-size="11.5" fill="currentColor">',
    ]
    for number, bar in enumerate(shown):
        y, x = number * row, 0.0
        parts.append(f'<text x="0" y="{y + 13}">{html.escape(bar.name)}</text>')
        parts.append(
            f'<text x="{WIDE}" y="{y + 13}" text-anchor="end" font-weight="600">{html.escape(bar.total)}</text>'
        )
        for name, value in bar.segments.items():
            wide = WIDE * value / bar.full if bar.full else 0.0
            if wide <= 0:
                continue
            title = TITLES.get(name, name)
            parts.append(
                f'<g><title>{html.escape(title)}: {html.escape(bar.said[name])}</title><rect x="{x:.1f}" y="{y + 19}"'
                f' width="{max(0.0, wide - 1):.1f}" height="22" fill="{bar.colours[name]}"/>'
            )
            for label in (f"{title} {bar.said[name]}", title):
                if 6.4 * len(label) + 8 < wide:
                    ink = PAPER if bar.colours[name] in _DARK else INK
                    parts.append(
                        f'<text x="{x + wide / 2:.1f}" y="{y + 34}" text-anchor="middle" fill="{ink}">'
                        f"{html.escape(label)}</text>"
                    )
                    break
            parts.append("</g>")
            x += wide
        if bar.full and x < WIDE - 1:
            parts.append(f'<path d="M{x:.1f} {y + 30}H{WIDE}" stroke="{QUIET}" stroke-opacity=".3"/>')
    return "".join(parts) + "</svg>"
