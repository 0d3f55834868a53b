"""The attention explorer: a widget whose weights lie in the page, so that it answers while the kernel is busy or gone.

    maps.explore()                       all heads of a text
    maps.explore(beside=other)           two models, or two texts, side by side
    nbllm.attach("run").explore()        the maps kept while training, with a slider over the steps
    nbllm.attach("run").explore("text")  another text, by the run's checkpoints

What does not fit into the page (EAGER, of explorer_widget) is fetched from the kernel when it is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.dashboards import explorer_sources as ground
from nbllm.dashboards import explorer_still
from nbllm.dashboards.explorer_sources import Given, Source
from nbllm.dashboards.shown import Shown

if TYPE_CHECKING:
    from nbllm.dashboards.explorer_widget import Widget
    from nbllm.handles.run import Run


class Explorer(Shown):
    """What `explore` gives: shown by the last line of a cell, or by `show`. `sources` are what can be chosen in it."""

    _kind = "explorer"

    def __init__(self, sources: list[Source], title: str, **view: Any):
        super().__init__()
        self.sources = ground.named_apart(sources)
        self.title = title
        self._view = view

    def __repr__(self) -> str:
        return f"<Explorer of {self.sources[0].first!r}>"

    def __str__(self) -> str:
        return explorer_still.text(self)

    def widget(self) -> Widget:
        from nbllm.dashboards.explorer_widget import Widget

        return Widget(self.sources, self.title, **self._view)

    def _page(self) -> str:
        return explorer_still.page(self)


def explore(maps: Given, beside: Given | None = None, title: str = "Attention") -> Explorer:
    """An explorer of maps, or of several by name; `beside` stands beside them."""
    sources = ground.of_maps(maps)
    if beside is None:
        return Explorer(sources, title)
    others = ground.of_maps(beside)
    if [source.name for source in sources] == [source.name for source in others]:
        for word, group in (("first", sources), ("second", others)):
            for source in group:
                source.name = word if len(group) == 1 else f"{source.name}, {word}"
    return Explorer([*sources, *others], title, how="side", b=[len(sources), None])


def explore_run(run: Run, text: str | None = None, beside: Run | None = None, **asked: Any) -> Explorer:
    """An explorer over the steps of a run: of what it kept while training, or of a text by its checkpoints."""
    source = ground.of_run(run, text, **asked)
    title = f"Attention of {run.name}"
    if beside is None:
        return Explorer([source], title)
    other = ground.of_run(beside, text, **asked)
    return Explorer([source, other], f"{title} and {beside.name}", how="side", b=[1, None])
