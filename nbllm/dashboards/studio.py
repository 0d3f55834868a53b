"""The studio: one dashboard for all of it, in tabs over the panels that exist.

    nbllm.studio()                       configure, watch, sample, look inside, try tasks, compare, export
    nbllm.studio("shakespeare")          of a run

The same notebook runs as an application: voila studio.ipynb
"""

from __future__ import annotations

from typing import Any

from nbllm.dashboards.shown import Shown, saved
from nbllm.store.folder import find_run

_GONE = (
    '<p style="margin:4px 0;opacity:.75">The studio lives as long as its kernel. Run the cell again to open it: runs, '
    "samples and reports are all kept in their folders.</p>"
)
INSTEAD = (
    "The studio needs a page with widgets. What its tabs do, cells do too: %llm_train, %llm_attach, %llm_generate, "
    "%llm_attention, %llm_task, %llm_compare, %llm_report."
)


class Studio(Shown):
    """What `studio` gives: shown by the last line of a cell, or by `show`."""

    _kind = "studio"
    _only_live = True

    def __init__(self, run: str | None):
        super().__init__()
        self.run = run

    def __repr__(self) -> str:
        return f"<Studio of {self.run or 'all runs'}>"

    def __str__(self) -> str:
        return INSTEAD

    def widget(self) -> Any:
        from nbllm.dashboards.studio_widget import Studio as Widgets

        return Widgets(self.run).box

    def _page(self) -> str:
        return saved("studio", _GONE)


def studio(run: Any = None) -> Studio:
    """One dashboard for all of it, in tabs: configure, watch, sample, look inside, tasks, compare, report and export.

    `run` is a run or its name, with which it begins; the newest is chosen where none is given. RunError for a name that
    is none.
    """
    return Studio(None if run is None else find_run(str(getattr(run, "name", run))).name)
