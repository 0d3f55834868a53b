"""The one Plotly figure of a dashboard: a FigureWidget that a page can load at its leisure.

Plotly's own FigureWidget carries its 5 MB of script as anywidget's `_esm`, and anywidget gives a module two seconds to load:
a page that opens with such a figure on a living kernel is busy for longer, and logs "[anywidget] Failed to initialize
model". Here `_esm` is a few lines that answer at once and load the script from a binary trait behind it, once a page.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import traitlets

from nbllm.dashboards import frontend


class Figure(go.FigureWidget):
    """A FigureWidget whose data the page itself draws from the panel's traits (widgets/chart.js)."""

    _esm = "export default {}"  # in place of Plotly's; each figure takes the text of figure.js below
    _bundle = traitlets.Bytes().tag(sync=True)

    def __init__(self, **kwargs: Any):
        self._esm = frontend.module("figure.js")
        layout = {"autosize": True, "height": 360, "margin": {"l": 56, "r": 16, "t": 12, "b": 40}, "template": "none"}
        super().__init__(layout=layout, _bundle=_bundle(), **kwargs)
        self._config = {"displayModeBar": False, "displaylogo": False, "responsive": False, "doubleClick": "reset"}


@cache
def _bundle() -> bytes:
    return (Path(plotly.__file__).parent / "package_data" / "widgetbundle.js").read_bytes()
