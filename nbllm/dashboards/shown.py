"""What chat, lens, form, explorer, playground and studio have in common: how each stands under a cell.

As a widget where the page is known to show widgets, with a piece of HTML beside it that a saved notebook keeps; else as
that piece alone, or as lines of text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, ClassVar

from nbllm.dashboards.tiers import Tier, tier

# What each cell shows of a kind, by how it is let go of: running a cell again leaves nothing of its last one behind.
_OF_CELL: dict[tuple[str, str], Callable[[], None]] = {}


class Shown:
    """A subclass says how it looks: as a `widget`, as HTML (`_page`), and as text (`str`)."""

    _kind: ClassVar[str]
    _only_live: ClassVar[bool] = False
    """Whether its HTML says nothing without the widget; then text stands in its place."""

    def __init__(self) -> None:
        tier()  # a wrong $NBLLM_DISPLAY is said before anything is shown

    def _ipython_display_(self) -> None:
        self.show()

    def widget(self) -> Any:
        """The widget by itself, to be put into a layout of your own."""
        raise NotImplementedError

    def _page(self) -> str:
        """What a saved notebook keeps, by `saved`."""
        raise NotImplementedError

    def show(self, as_tier: Tier | None = None) -> None:
        """Display it under the cell that runs now, as well as the front end allows."""
        from IPython.display import display

        chosen = as_tier or tier()
        if chosen == "text" or (self._only_live and chosen == "html"):
            print(self)
        elif chosen == "html":
            display({"text/html": self._page(), "text/plain": str(self)}, raw=True)
        else:
            enable_colab()
            widget = self.widget()
            take_cell(self._kind, lambda: close(widget))
            display(view_of(widget, repr(self)), raw=True)
            self._show_kept(widget)

    def _show_kept(self, widget: Any) -> None:
        from IPython.display import display

        display(self._kept(), raw=True)

    def _kept(self) -> dict[str, str]:
        return {"text/html": self._page(), "text/plain": ""}


def saved(kind: str, html: str) -> str:
    """What a saved notebook keeps; the style sheet of the live one hides it. Hidden here is the error that JupyterLab
    writes where a widget's kernel is gone, for what stands beside it says it better."""
    name = f"nbllm-{kind}-saved"
    return (
        f'<div class="{name}"><style>.jp-OutputArea:has(.{name}) .jp-OutputArea-output.jupyter-widgets:not(:has(*))'
        f"{{display:none}}</style>{html}</div>"
    )


def view_of(widget: Any, text: str) -> dict[str, Any]:
    """What a page shows a widget by; `text` where it cannot."""
    view = {"model_id": widget.model_id, "version_major": 2, "version_minor": 0}
    return {"application/vnd.jupyter.widget-view+json": view, "text/plain": text}


def take_cell(kind: str, let_go: Callable[[], None]) -> None:
    """The cell that runs now shows something new of this kind: what it showed before is let go of."""
    cell = cell_id()
    if cell is not None:
        before = _OF_CELL.get((kind, cell))
        if before is not None:
            before()
        _OF_CELL[kind, cell] = let_go


def close(widget: Any) -> None:
    """Let go of a widget and of what it holds."""
    for child in getattr(widget, "children", ()):
        close(child)
    widget.close()


def cell_id() -> str | None:
    """The id of the cell that runs now, where the front end tells it."""
    if "IPython" not in sys.modules:
        return None
    shell = sys.modules["IPython"].get_ipython()
    parent: Any = getattr(shell, "get_parent", dict)() if shell is not None else {}
    cell = parent.get("metadata", {}).get("cellId") if isinstance(parent, dict) else None
    return str(cell) if cell else None


def enable_colab() -> None:
    """Colab shows custom widgets only when it is told to."""
    colab = sys.modules.get("google.colab")
    if colab is not None:
        colab.output.enable_custom_widget_manager()
