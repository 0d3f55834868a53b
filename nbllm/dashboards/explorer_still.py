"""What a saved notebook keeps of an explorer, and what is shown where no widget can be: a picture and a table."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.dashboards.shown import saved
from nbllm.dashboards.tables import table
from nbllm.plots.maps import apart, visible
from nbllm.plots.model_view import model_view_picture

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.dashboards.explorer_sources import Source
    from nbllm.inspection.maps import AttentionMaps

_PAIRS = 3  # of a head, in the saved table
_HEADS = 64  # rows of the saved table
_FEW = 12  # where their maps are so large that nothing was measured of them


def page(explorer: Any) -> str:
    """The picture of all heads, and under it what was measured of them and where they look. All text is escaped."""
    maps = explorer.sources[0].first
    png = base64.b64encode(model_view_picture(maps)).decode("ascii")
    said = escape(repr(maps), quote=True)
    found = table(summary(explorer.sources[0]), "Each head: its kind, and the pairs it joins most", across=True)
    return saved(
        "explorer",
        f'<p style="margin:4px 0"><strong>{escape(explorer.title)}</strong> '
        f'<span style="opacity:.75">{escape(_size(maps))}</span></p>'
        f'<img alt="{said}: all heads" src="data:image/png;base64,{png}" style="max-width:100%">'
        f"<details><summary>What each head looks at</summary>{found}</details>"
        '<p style="margin:4px 0;opacity:.75">A still picture: run the cell again to explore.</p>',
    )


def text(explorer: Any) -> str:
    """The same as lines of text."""
    from nbllm.handles.readable import plain

    maps = explorer.sources[0].first
    return f"{explorer.title}: {_size(maps)}\n{plain(summary(explorer.sources[0]))}"


def summary(source: Source) -> pd.DataFrame:
    """A row a head, 64 at most: kind, what was measured, and its strongest pairs, in words."""
    import pandas as pd

    maps = source.first
    heads = maps.weights.shape[1]
    frame = None if source.large else source.measured
    if frame is None:
        records: list[Any] = [{"layer": block, "head": h} for block in maps.layers for h in range(heads)]
    else:
        records = frame.to_dict("records")
    records = records[: _HEADS if frame is not None else _FEW]
    rows = []
    for record in records:
        weights_QK = np.nan_to_num(maps.weights[maps.layers.index(record["layer"]), record["head"]])
        pairs = ", ".join(
            f"{apart(visible(maps.queries[q]))} → {apart(visible(maps.keys[k]))} {weights_QK[q, k]:.2f}"
            for q, k in strongest(weights_QK, _PAIRS)
        )
        kind = {"kind": record["kind"]} if "kind" in record else {}
        numbers = {name: _number(record[name]) for name in ("entropy", "distance", "first") if name in record}
        rows.append({**kind, **numbers, "strongest": pairs})
    index = [f"layer {record['layer']}, head {record['head']}" for record in records]
    return pd.DataFrame(rows, index=pd.Index(index, name="head"))


def strongest(weights_QK: np.ndarray, most: int) -> list[tuple[int, int]]:
    """The places (query, key) of the largest weights, the largest first."""
    weights_QK = np.asarray(weights_QK, dtype=np.float32)
    rows = np.sort(np.argsort(-weights_QK.max(1), kind="stable")[:most])  # the largest lie in so many rows at most
    flat = weights_QK[rows].reshape(-1)
    places = np.argsort(-flat, kind="stable")[:most]
    columns = weights_QK.shape[1]
    return [(int(rows[place // columns]), int(place % columns)) for place in places if flat[place] > 0]


def _size(maps: AttentionMaps) -> str:
    layers, heads, queries, keys = maps.weights.shape
    tokens = f"{queries:,} tokens" if queries == keys else f"{queries:,} by {keys:,} tokens"
    return f"{tokens}, {layers} layer{'s' * (layers != 1)} of {heads} head{'s' * (heads != 1)}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
