"""The playground: choose a task, a model and a text, and see what it answers, what moved it, and how well it does.

nbllm.playground("sentiment")           or nbllm.tasks.get("sentiment").playground()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.dashboards.shown import Shown, saved

if TYPE_CHECKING:
    from nbllm.dashboards.playground_widget import Widget

_FIRST = "sentiment"
_GONE = (
    '<p style="margin:4px 0;opacity:.75">The playground lives as long as its kernel. Run the cell again to open it.</p>'
)


class Playground(Shown):
    """What `playground` gives: shown by the last line of a cell, or by `show`."""

    _kind = "playground"
    _only_live = True

    def __init__(self, task: str):
        super().__init__()
        self.task = task

    def __repr__(self) -> str:
        return f"<Playground of {self.task}>"

    def __str__(self) -> str:
        return instead(self.task)

    def widget(self) -> Widget:
        from nbllm.dashboards.playground_widget import Widget

        return Widget(self.task)

    def _page(self) -> str:
        return saved("playground", _GONE)


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
