"""The one Plotly figure of a dashboard: a FigureWidget that a page can load at its leisure.

Plotly's own FigureWidget carries its 5 MB of script as anywidget's `_esm`, and anywidget gives a module two seconds to
load: a page that opens with such a figure on a living kernel is busy for longer, and logs "[anywidget] Failed to
initialize model". Here `_esm` is a few lines that answer at once and load the script from a binary trait behind it,
once a page.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import traitlets
from _plotly_utils import optional_imports

from nbllm.dashboards import frontend


class _Later(ModuleType):
    """A module that is imported when it is first asked for something."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def _import_plotly() -> None:
    """Import Plotly's renderers without nbformat, which they need for a version check and which takes 1.5 s to import.

    They get it when they ask. Where Plotly keeps its list of absent packages elsewhere, nothing is saved or lost.
    """
    absent = getattr(optional_imports, "_not_importable", None)
    if "nbformat" in sys.modules or "plotly.io._renderers" in sys.modules or not isinstance(absent, set):
        return
    absent.add("nbformat")
    try:
        renderers = importlib.import_module("plotly.io._renderers")
    finally:
        absent.discard("nbformat")
    if importlib.util.find_spec("nbformat") is not None:
        renderers.nbformat = _Later("nbformat")  # type: ignore[attr-defined]


_import_plotly()

import plotly  # noqa: E402 - after the line above
import plotly.graph_objects as go  # noqa: E402


class Figure(go.FigureWidget):
    """A FigureWidget whose data the page itself draws from the panel's traits (widgets/chart.js)."""

    _esm = "export default {}"  # in place of Plotly's; each figure takes the text of figure.js below
    _bundle = traitlets.Bytes(read_only=True).tag(sync=True)

    def __init__(self, **kwargs: Any):
        self.add_traits(_esm=traitlets.Unicode(frontend.module("figure.js")).tag(sync=True))
        layout = {"autosize": True, "height": 360, "margin": {"l": 56, "r": 16, "t": 12, "b": 40}, "template": "none"}
        super().__init__(layout=layout, **kwargs)
        self._config = {"displayModeBar": False, "displaylogo": False, "responsive": False, "doubleClick": "reset"}

    @traitlets.default("_bundle")
    def _default_bundle(self) -> bytes:
        return _bundle()


@cache
def _bundle() -> bytes:
    return (Path(plotly.__file__).parent / "package_data" / "widgetbundle.js").read_bytes()
