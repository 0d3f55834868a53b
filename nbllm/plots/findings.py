"""The chart of a finding as a Plotly figure: bars or points across, or lines, with their intervals."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.plots.fonts import clip
from nbllm.plots.maps import apart, escape, written_out
from nbllm.plots.overlay import COLOURS
from nbllm.plots.palette import GRID, INK, QUIET

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from nbllm.inspection.finding import Diagram, Finding, Series

LONGEST = 60  # characters of a place's name
MOST_ROWS = 200
_MARKS = 10  # of an axis


def finding_figure(finding: Finding, title: bool = True) -> go.Figure:
    """The diagram of the finding; hover shows the place, the value and its interval."""
    import plotly.graph_objects as go

    finding = readied(finding)
    diagram = finding.diagram
    figure = go.Figure()
    figure.update_layout(
        template="none", font={"color": INK}, showlegend=False,
        margin={"l": 40, "r": 16, "t": 46 if title else 22, "b": 46},
        title={"text": escape(finding.title) if title else "", "x": 0.02, "font": {"size": 15}},
    )  # fmt: skip
    if diagram is None:
        return figure
    if len(diagram.series) > 1:
        legend = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0.0}
        figure.update_layout(
            showlegend=True, legend=legend, margin={"t": 78 if title else 50}, title={"y": 0.99, "yanchor": "top"}
        )
    places = rows(diagram)[:MOST_ROWS]
    for number, series in enumerate(diagram.series):
        colour = COLOURS[number % len(COLOURS)]
        if diagram.form == "lines":
            _lines(figure, diagram, series, colour)
        else:
            _across(figure, diagram, series, colour, places)
    value = {"title": {"text": escape(diagram.value), "standoff": 10}, "gridcolor": GRID, "zerolinecolor": QUIET}
    place = {"title": {"text": escape(diagram.place), "standoff": 10}, "gridcolor": GRID, "automargin": True}
    mark: dict[str, Any] = {"line": {"dash": "dash", "color": QUIET, "width": 1.5}, "layer": "below"}
    if diagram.reference_name:
        mark |= {"annotation_text": escape(diagram.reference_name), "annotation_font": {"color": QUIET, "size": 11}}
    if diagram.form == "lines":
        figure.update_xaxes(**place, **(_powers(diagram) if diagram.log else {}))
        figure.update_yaxes(**value)
        figure.update_layout(height=380)
        if diagram.reference is not None:
            figure.add_hline(diagram.reference, **mark)
        return figure
    names = [escape(clip(place_, LONGEST)) for place_ in places]
    figure.update_xaxes(**value, zeroline=diagram.reference != 0)
    figure.update_yaxes(
        **place, autorange="reversed", tickmode="array", tickvals=list(range(len(places))), ticktext=names,
        showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_layout(height=150 + len(places) * (12 + 11 * deep(diagram)), barmode="group", bargap=0.25)
    if diagram.reference is not None:
        figure.add_vline(diagram.reference, **mark)
    return figure


def _powers(diagram: Diagram) -> dict[str, Any]:
    """An axis that grows by factors, marked where something was measured: Plotly's own marks lie over one another."""
    places = sorted({float(place) for series in diagram.series for place in series.places})
    places = places[:: max(1, -(-len(places) // _MARKS))]
    return {"type": "log", "tickmode": "array", "tickvals": places, "ticktext": [f"{place:,g}" for place in places]}


def readied(finding: Finding) -> Finding:
    """The finding as it may be shown: what would be out of sight, or turn the text around it, is written out. Once is
    enough: the marks that keep right-to-left words apart would be written out in their turn."""
    diagram = finding.diagram
    if diagram is not None:
        series = [
            replace(each, name=_plain(each.name), places=[_plain(place) for place in each.places])
            for each in diagram.series
        ]
        names = {part: _plain(getattr(diagram, part)) for part in ("place", "value", "reference_name")}
        diagram = replace(diagram, series=series, **names)
    texts: dict[str, Any] = {part: written_out(getattr(finding, part)) for part in ("title", "about", "says", "limits")}
    more = {written_out(name): _readied(frame) for name, frame in finding.more.items()}
    return replace(finding, **texts, diagram=diagram, table=_readied(finding.table), more=more)


def _readied(frame: pd.DataFrame) -> pd.DataFrame:
    shown = frame.astype(object).map(_plain)
    shown.columns = [_plain(name) for name in frame.columns]
    shown.index = frame.index.map(_plain)
    return shown.rename_axis(index=_plain(frame.index.name))


def _plain(value: Any) -> Any:
    if type(value).__name__ in ("bool", "bool_"):
        return "yes" if value else "no"
    return apart(written_out(value)) if isinstance(value, str) else value


def rows(diagram: Diagram) -> list[str]:
    """The places of bars or points, each once, in their order."""
    return list(dict.fromkeys(str(place) for series in diagram.series for place in series.places))


def deep(diagram: Diagram) -> int:
    """Marks that stand at one place, at most."""
    counts = Counter(str(place) for series in diagram.series for place in series.places)
    return max(counts.values(), default=1)


def _across(figure: go.Figure, diagram: Diagram, series: Series, colour: str, places: list[str]) -> None:
    """A row a place. The places count, and their names are only written on the axis, so that none is read as a number
    or a date."""
    at = {place: row for row, place in enumerate(places)}
    chosen = [i for i, place in enumerate(series.places) if str(place) in at]
    values = np.array(series.values, dtype=float)[chosen]
    shared: dict[str, Any] = {
        "x": values,
        "y": [at[str(series.places[i])] for i in chosen],
        "name": escape(series.name),
        "customdata": [[escape(str(series.places[i])), _interval(series, i)] for i in chosen],
        "hovertemplate": "%{customdata[0]}<br>%{x:.4g}%{customdata[1]}<extra></extra>",
        "error_x": _ends(series, chosen, values, INK if diagram.form == "bars" else colour),
    }
    if diagram.form == "bars":
        figure.add_bar(orientation="h", marker={"color": colour}, **shared)
    else:
        figure.add_scatter(mode="markers", marker={"color": colour, "size": 8}, **shared)


def _lines(figure: go.Figure, diagram: Diagram, series: Series, colour: str) -> None:
    if len(series.low):
        tint = ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
        edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        figure.add_scatter(x=list(series.places), y=list(series.high), **edge)
        figure.add_scatter(
            x=list(series.places), y=list(series.low), fill="tonexty", fillcolor=f"rgba({tint},.18)", **edge
        )
    figure.add_scatter(
        x=list(series.places), y=list(series.values), name=escape(series.name),
        mode="lines+markers" if len(series.places) <= 40 else "lines", line={"color": colour, "width": 2},
        hovertemplate=f"{escape(diagram.place)} %{{x:,.6g}}<br>%{{y:.4g}}<extra>{escape(series.name)}</extra>",
    )  # fmt: skip


def _ends(series: Series, chosen: list[int], values: np.ndarray, colour: str) -> dict[str, Any] | None:
    if not len(series.low):
        return None
    low, high = (np.array(ends, dtype=float)[chosen] for ends in (series.low, series.high))
    return {
        "type": "data", "symmetric": False, "array": high - values, "arrayminus": values - low,
        "color": colour, "thickness": 1.4, "width": 4,
    }  # fmt: skip


def _interval(series: Series, i: int) -> str:
    return f" ({series.low[i]:.4g} to {series.high[i]:.4g})" if len(series.low) else ""
