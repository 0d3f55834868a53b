"""The same head of two runs, two steps or two texts side by side, as a plain Plotly figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.errors import ModelError
from nbllm.plots.heads import attention_figure, thinned
from nbllm.plots.maps import escape, written_out
from nbllm.plots.palette import INK, SIGNED, WEIGHTS

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SIDES = {True: 226, False: 330}  # pixels of a map: of three, and of two


def attention_beside_figure(
    maps: Any, other: Any, layer: int = -1, head: int = 0, names: Sequence[str] = ("left", "right")
) -> go.Figure:
    """Both heatmaps in one shade; where they are of the same tokens, a third one of what the right has more and less.

    `maps` and `other` are AttentionMaps, `names` what stands over each.
    """
    from plotly.subplots import make_subplots

    if len(names) != 2:
        raise ModelError(f"Two maps have two names, and {len(names)} were given.", 'Give names=("left", "right").')
    shown = [attention_figure(each, layer, head) for each in (maps, other)]
    alike = maps.queries == other.queries and maps.keys == other.keys
    said = [escape(written_out(str(name))) for name in names]
    titles = [*said, f"{said[1]} less {said[0]}"] if alike else said
    figure = make_subplots(
        cols=len(titles), subplot_titles=titles, horizontal_spacing=0.03 if alike else 0.12, shared_yaxes=alike
    )
    side = _SIDES[alike]
    if alike:
        left, right = (np.asarray(each.data[0].z, dtype=np.float32) for each in shown)
        shown.append(attention_figure(maps, layer, head))
        shown[2].data[0].update(z=right - left)
    for place, each in enumerate(shown, 1):
        trace = each.data[0].update(colorbar=None, coloraxis="coloraxis2" if place == 3 else "coloraxis")
        figure.add_trace(trace, row=1, col=place)
        for axis, update in (("xaxis", figure.update_xaxes), ("yaxis", figure.update_yaxes)):
            thinned(each.layout[axis], side)
            own = each.layout[axis].to_plotly_json()
            own.pop("title")
            own |= {"showticklabels": place == 1} if alike and axis == "yaxis" else {}
            update(own, row=1, col=place)
    bar: dict[str, Any] = {"thickness": 12, "len": 0.46, "y": 0.77, "title": "weight"}
    most = float(np.abs(right - left).max()) if alike else 0.0
    figure.update_layout(
        template="none", font={"color": INK},
        title={"text": shown[0].layout.title.text, "x": 0.02, "font": {"size": 15}},
        coloraxis={"colorscale": WEIGHTS, "cmin": 0, "cmax": 1, "colorbar": bar},
        coloraxis2={
            "colorscale": SIGNED, "cmin": -(most or 1.0), "cmax": most or 1.0,
            "colorbar": {**bar, "y": 0.23, "title": "difference"}, "showscale": alike,
        },
        width=150 + len(titles) * (side + 10), height=side + 146, autosize=False,
        margin={"l": 60, "r": 16, "t": 76, "b": 70},
    )  # fmt: skip
    return figure
