"""The studio's widgets: a bar with the tabs and the run that is chosen, and a box a tab, filled when it is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from nbllm.dashboards import studio_panels
from nbllm.dashboards.front import Front
from nbllm.dashboards.shown import close
from nbllm.errors import NbllmError, RunError
from nbllm.store.folder import list_runs

if TYPE_CHECKING:
    from nbllm.handles.model import Model
    from nbllm.handles.run import Run


class Bar(Front):
    """The tabs, and the choice of a run. `busy` says what is being opened, `fault` what did not go."""

    _js = "studio.js"
    _sheet = "studio.css"

    tabs: traitlets.List[Any] = traitlets.List().tag(sync=True)
    tab = traitlets.Unicode("configure").tag(sync=True)
    runs: traitlets.List[Any] = traitlets.List().tag(sync=True)
    run = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Unicode().tag(sync=True)
    fault = traitlets.Unicode().tag(sync=True)


class Studio:
    """Bar and panels; `box` is all of it. `tab` and `run` of the bar say what is seen."""

    def __init__(self, run: str | None = None):
        runs = _runs()
        first = run or (runs[0][0] if runs else "")
        tabs = [[key, title] for key, (title, _, _) in studio_panels.TABS.items()]
        self.bar = Bar(tabs=tabs, runs=runs, run=first, tab="watch" if run else "configure")
        self.panels = {key: ipywidgets.VBox([]) for key in studio_panels.TABS}
        self._of: dict[str, str] = {}  # the run that each filled panel shows
        self._model: tuple[Any, Model] | None = None
        stage = ipywidgets.VBox(list(self.panels.values()))
        stage.add_class("nbllm-studio-stage")
        self.box = ipywidgets.VBox([self.bar, stage])
        self.box.add_class("nbllm-studio")
        self._show()
        self.bar.observe(self._show, ["tab", "run"])
        self.bar.on_msg(self._hear)

    def chosen(self) -> Run:
        """The run that is chosen. RunError where none is there."""
        from nbllm.handles.train import attach

        if not self.bar.run:
            raise RunError("There is no run yet.", "Configure one, and train it.")
        return attach(self.bar.run)

    def model(self) -> Model:
        """The model of the chosen run, from its newest checkpoint; opened once."""
        from nbllm.store.folder import RunFolder

        run = self.chosen()
        stamp = (run.name, tuple(RunFolder(run.folder).checkpoint_steps()[-1:]))
        if self._model is None or self._model[0] != stamp:
            self.bar.busy = f"opening {run.name} …"
            try:
                self._model = (stamp, run.load())
            finally:
                self.bar.busy = ""
        return self._model[1]

    def started(self, made: Any) -> None:
        """A run was begun: it is chosen, and watched."""
        self.bar.runs = _runs()
        names = [name for name, _ in self.bar.runs]
        name = str(getattr(made, "name", ""))
        with self.bar.hold_trait_notifications():
            self.bar.run = name if name in names else names[0]
            self.bar.tab = "watch"

    def close(self) -> None:
        """Take all of it out of the page; runs go on."""
        close(self.box)

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and content.get("kind") == "runs":
            self.bar.runs = _runs()

    def _show(self, _change: Any = None) -> None:
        """Fill the panel of the tab, where it is empty or shows another run, and let it alone be seen."""
        tab = self.bar.tab
        if tab not in studio_panels.TABS:
            return
        title, make, of_run = studio_panels.TABS[tab]
        for key, panel in self.panels.items():
            panel.layout.display = "" if key == tab else "none"
        panel, wanted = self.panels[tab], self.bar.run if of_run else "*"
        if tab == "compare":
            wanted = " ".join(name for name, _ in self.bar.runs)
        self.bar.fault, self.bar.busy = "", f"opening {title.lower()} …"  # also of one that is open: the page waits
        try:
            if not panel.children or self._of.get(tab) != wanted:
                studio_panels.put(panel, make(self))
                self._of[tab] = wanted
        except NbllmError as error:
            studio_panels.put(panel, [])
            self.bar.fault = str(error)
        finally:
            self.bar.busy = ""


def _runs() -> list[list[str]]:
    """Every run, the newest first: its name, and that with its state."""
    return [[run.name, f"{run.name} ({run.status().state})"] for run in reversed(list_runs())]
