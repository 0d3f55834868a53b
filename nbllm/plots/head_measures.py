"""What was measured of each head, as bars: how spread its weights are, how far it looks, what rests on the first token.

A row a head, those of one kind together and the clearest on top, as `AttentionMaps.heads` sorts them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.inspection.heads import KINDS, MIXED
from nbllm.plots.overlay import COLOURS
from nbllm.plots.palette import GRID, INK, QUIET

if TYPE_CHECKING:
    import plotly.graph_objects as go

_PANELS = {
    "score": "share that<br>names the kind", "entropy": "entropy, bits", "distance": "mean distance,<br>tokens",
    "first": "share on the<br>first token",
}  # fmt: skip


def head_measures_figure(maps: Any) -> go.Figure:
    """Four panels over the same heads, in the colour of their kind; hover tells every measure. `maps` is an
    AttentionMaps."""
    from plotly.subplots import make_subplots

    frame = maps.heads()
    names = [f"layer {layer}, head {head}" for layer, head in zip(frame.layer, frame["head"], strict=True)]
    panels = {name: title for name, title in _PANELS.items() if frame[name].notna().any()}
    figure = make_subplots(
        cols=len(panels), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=list(panels.values())
    )
    told = [
        f"{name}, {row.kind}<br>"
        + "<br>".join(f"{each} {row[each]:.3f}" for each in (*KINDS, "entropy", "distance") if row[each] == row[each])
        for name, (_, row) in zip(names, frame.iterrows(), strict=True)
    ]
    colours = dict(zip([*KINDS.values(), MIXED], (*COLOURS[: len(KINDS)], QUIET), strict=True))
    for kind in frame.kind.unique():
        chosen = frame.index[frame.kind == kind].tolist()
        for place, name in enumerate(panels, 1):
            figure.add_bar(
                x=frame[name].iloc[chosen], y=chosen, orientation="h", name=kind, legendgroup=kind,
                showlegend=place == 1, marker={"color": colours[kind]}, customdata=[told[row] for row in chosen],
                hovertemplate="%{customdata}<extra></extra>", row=1, col=place,
            )  # fmt: skip
    step = -(-len(names) // 72)
    figure.update_yaxes(
        autorange="reversed", tickmode="array", tickvals=list(range(0, len(names), step)), ticktext=names[::step],
        showgrid=False, automargin=True, ticklabelstandoff=6,
    )  # fmt: skip
    figure.update_xaxes(gridcolor=GRID, zerolinecolor=QUIET, rangemode="tozero")
    figure.update_annotations(font={"size": 12})
    figure.update_layout(
        template="none", font={"color": INK}, barmode="overlay", bargap=0.25, width=820,
        height=max(240, min(1600, 140 + 18 * len(names))), autosize=False,
        title={"text": "What each head looks at", "x": 0.02, "font": {"size": 15}},
        margin={"l": 110, "r": 16, "t": 96, "b": 60}, legend={"orientation": "h", "y": 0, "yref": "container",
        "yanchor": "bottom", "x": 0.0},
    )  # fmt: skip
    return figure
