"""Front: a widget whose page is a file of widgets/."""

from __future__ import annotations

from typing import Any, ClassVar

import anywidget

from nbllm.dashboards import frontend


class Front(anywidget.AnyWidget):
    """A subclass names its ES module and, beside panel.css, its style sheet."""

    _esm = "export default {}"  # each widget takes the text of its module below
    _css = ""
    _js: ClassVar[str]
    _sheet: ClassVar[str] = ""

    def __init__(self, **traits: Any):
        self._esm = frontend.module(self._js)
        self._css = frontend.style("panel.css") + (frontend.style(self._sheet) if self._sheet else "")
        super().__init__(**traits)
