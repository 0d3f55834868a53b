"""The studio: one dashboard for all of it, in tabs over the panels that exist.

    nbllm.studio()                       configure, watch, sample, look inside, try tasks, compare, export
    nbllm.studio("shakespeare")          of a run

The same notebook runs as an application: voila studio.ipynb
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from nbllm.dashboards.live import cell_id, enable_colab
from nbllm.dashboards.tiers import Tier, tier
from nbllm.store.folder import find_run

if TYPE_CHECKING:
    from nbllm.dashboards.studio_widget import Studio as Widgets

# Hidden where the live one stands (studio.css), with JupyterLab's own error of a widget without its kernel.
_SAVED = (
    '<div class="nbllm-studio-saved"><style>.jp-OutputArea:has(.nbllm-studio-saved) '
    ".jp-OutputArea-output.jupyter-widgets:not(:has(*)){display:none}</style>"
    '<p style="margin:4px 0;opacity:.75">The studio lives as long as its kernel. Run the cell again to open it: runs, '
    "samples and reports are all kept in their folders.</p></div>"
)
INSTEAD = (
    "The studio needs a page with widgets. What its tabs do, cells do too: %llm_train, %llm_attach, %llm_generate, "
    "%llm_attention, %llm_task, %llm_compare, %llm_report."
)


class Studio:
    """What `studio` gives: shown by the last line of a cell, or by `show`."""

    # What each cell shows, so that running a cell again lets go of its last studio.
    _of_cell: ClassVar[dict[str, Widgets]] = {}

    def __init__(self, run: str | None):
        tier()  # a wrong $NBLLM_DISPLAY is said before anything is shown
        self.run = run

    def __repr__(self) -> str:
        return f"<Studio of {self.run or 'all runs'}>"

    def __str__(self) -> str:
        return INSTEAD

    def _ipython_display_(self) -> None:
        self.show()

    def widget(self) -> Any:
        """The widget by itself, to be put into a layout of your own."""
        return self._widgets().box

    def show(self, as_tier: Tier | None = None) -> None:
        """Display it under the cell that runs now; where no page with widgets is known, one line says what to type."""
        from IPython.display import display

        if (as_tier or tier()) != "widget":
            print(INSTEAD)
            return
        enable_colab()
        made = self._widgets()
        cell = cell_id()
        if cell is not None:
            if (before := self._of_cell.get(cell)) is not None:
                before.close()
            self._of_cell[cell] = made
        view = {"model_id": made.box.model_id, "version_major": 2, "version_minor": 0}
        display({"application/vnd.jupyter.widget-view+json": view, "text/plain": repr(self)}, raw=True)
        display({"text/html": _SAVED, "text/plain": ""}, raw=True)

    def _widgets(self) -> Widgets:
        from nbllm.dashboards.studio_widget import Studio as Widgets

        return Widgets(self.run)


def studio(run: Any = None) -> Studio:
    """One dashboard for all of it, in tabs: configure, watch, sample, look inside, tasks, compare, report and export.

    `run` is a run or its name, with which it begins; the newest is chosen where none is given. RunError for a name that
    is none.
    """
    return Studio(None if run is None else find_run(str(getattr(run, "name", run))).name)
