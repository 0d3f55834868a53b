"""The dashboard of a run: an object that displays itself as well as the front end allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.dashboards.ends import at_ends
from nbllm.dashboards.feed import Feed
from nbllm.dashboards.follower import Follower
from nbllm.dashboards.shown import enable_colab, take_cell, view_of
from nbllm.dashboards.snapshot import Lines, Snapshot, text
from nbllm.dashboards.tiers import Tier, tier
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    from nbllm.handles.run import Run


def dashboard(run: Run) -> Dashboard:
    """A dashboard of the run; the last line of a cell, or `display`, shows it."""
    return Dashboard(run)


class Dashboard:
    """Everything shown of one run in one cell. `close` takes it down; the run itself goes on."""

    def __init__(self, run: Run):
        tier()  # a wrong $NBLLM_DISPLAY is said before anything is shown
        self.run = run
        self._follower = Follower.of(RunFolder(run.folder).path)
        self._views: list[Any] = []
        self._boxes: list[Any] = []

    def __repr__(self) -> str:
        return f"Dashboard({self.run.name!r})"

    def _ipython_display_(self) -> None:
        self.show()

    def show(self, as_tier: Tier | None = None) -> None:
        """Display it under the cell that runs now."""
        at_ends(Follower.settle_all)
        take_cell("dashboard", self.close)
        self._follower.look()
        chosen = as_tier or tier()
        watch = self._follower.watch
        if chosen == "text":
            view: Any = Lines()
            view.show(watch)
            self._add(view)
            return
        snapshot = Snapshot(alone=chosen == "html")
        if chosen == "widget":
            self._show_widgets(snapshot)
        with self._follower.lock:
            snapshot.show(watch)
        self._add(snapshot)

    def close(self) -> None:
        """Take the live view down. The saved picture stays."""
        for view in self._views:
            view.closed = True
            self._follower.remove(view)
        for box in self._boxes:
            for widget in (*box.children, box):
                widget.close()
        self._boxes = []
        self._views = []

    def widget(self) -> Any:
        """The live view by itself, to be put into a layout of your own; the notebook keeps no picture of it."""
        at_ends(Follower.settle_all)
        self._follower.look()
        box, panel, _ = self._box()
        self._add(panel)
        return box

    def _show_widgets(self, snapshot: Snapshot) -> None:
        from IPython.display import display

        box, panel, line = self._box()
        display(view_of(box, line), raw=True)
        self._add(panel)
        self._add(_Fallback(panel, snapshot))

    def _box(self) -> tuple[Any, Any, str]:
        """Panel and figure in a box, the panel, and a line of text."""
        import ipywidgets

        from nbllm.dashboards.figure import Figure
        from nbllm.dashboards.panel import Panel

        enable_colab()
        follower = self._follower
        panel = Panel(self.run, wake=follower.wake, fetch=lambda step: follower.watch.map(step))
        with follower.lock:
            panel.offer(follower.feed)
            line = text(follower.watch)
        box = ipywidgets.VBox([panel, Figure()])
        box.add_class("nbllm-dashboard")
        self._boxes.append(box)
        return box, panel, line

    def _add(self, view: Any) -> None:
        self._views.append(view)
        self._follower.add(view)


class _Fallback:
    """Watches for a page that shows widgets: while none gave a sign, the still picture moves in their place."""

    urgent = False

    def __init__(self, panel: Any, snapshot: Snapshot):
        self.closed = False
        self._panel = panel
        self._snapshot = snapshot

    def offer(self, feed: Feed) -> None:
        """Decide again."""
        self._snapshot.alone = self._panel.presence.deaf

    def settle(self, feed: Feed, last: bool) -> None:
        """Nothing: it decides with every look."""
