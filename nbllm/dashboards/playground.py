"""The playground: choose a task, a model and a text, and see what it answers, what moved it, and how well it does.

nbllm.playground("sentiment")           or nbllm.tasks.get("sentiment").playground()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from nbllm.dashboards.live import cell_id, enable_colab
from nbllm.dashboards.tiers import Tier, tier

if TYPE_CHECKING:
    from nbllm.dashboards.playground_widget import Widget

_FIRST = "sentiment"
# What a saved notebook keeps; it is hidden where the live one stands (playground.css), and JupyterLab's own error of a
# widget without its kernel is hidden beside it.
_SAVED = (
    '<div class="nbllm-playground-saved"><style>.jp-OutputArea:has(.nbllm-playground-saved) '
    ".jp-OutputArea-output.jupyter-widgets:not(:has(*)){display:none}</style>"
    '<p style="margin:4px 0;opacity:.75">The playground lives as long as its kernel. Run the cell again to open it.</p>'
    "</div>"
)


class Playground:
    """What `playground` gives: shown by the last line of a cell, or by `show`."""

    # What each cell shows, so that running a cell again lets go of its last playground.
    _of_cell: ClassVar[dict[str, Widget]] = {}

    def __init__(self, task: str):
        tier()  # a wrong $NBLLM_DISPLAY is said before anything is shown
        self.task = task

    def __repr__(self) -> str:
        return f"<Playground of {self.task}>"

    def __str__(self) -> str:
        return instead(self.task)

    def _ipython_display_(self) -> None:
        self.show()

    def widget(self) -> Widget:
        """The widget by itself, to be put into a layout of your own."""
        from nbllm.dashboards.playground_widget import Widget

        return Widget(self.task)

    def show(self, as_tier: Tier | None = None) -> None:
        """Display it under the cell that runs now; where no page with widgets is known, one line says what to type."""
        from IPython.display import display

        if (as_tier or tier()) != "widget":
            print(instead(self.task))
            return
        enable_colab()
        widget = self.widget()
        cell = cell_id()
        if cell is not None:
            if (before := self._of_cell.get(cell)) is not None:
                before.close()
            self._of_cell[cell] = widget
        view = {"model_id": widget.model_id, "version_major": 2, "version_minor": 0}
        display({"application/vnd.jupyter.widget-view+json": view, "text/plain": repr(self)}, raw=True)
        display({"text/html": _SAVED, "text/plain": ""}, raw=True)


def playground(task: Any = None) -> Playground:
    """One dashboard for all tasks: a text of yours or an example, a model or two side by side, what moved the answer,
    and scores on a file. `task` is what it begins with: a task or its name. ConfigError for a name that is none."""
    from nbllm import tasks

    name = str(getattr(task, "name", task or _FIRST))
    return Playground(tasks.get(name).name)


def instead(task: str) -> str:
    """What to call where no page shows widgets, in a line."""
    from nbllm import tasks

    example = tasks.get(task).examples[0]
    shown = " ".join(f'"{part}"' for part in (example if isinstance(example, tuple | list) else (example,)))
    return f"The playground needs a page with widgets. Type instead: %llm_task {task} {shown}, or --evaluate."
