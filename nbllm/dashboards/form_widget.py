"""The form's widget: what is said and what it makes, all in traits. What is slow, training, is a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import traitlets

from nbllm.dashboards import form_told
from nbllm.dashboards.form_draft import Draft
from nbllm.dashboards.front import Front
from nbllm.errors import NbllmError
from nbllm.handles.presets import delete_preset, save_preset
from nbllm.plots.network import network_svg, words

if TYPE_CHECKING:
    from nbllm.handles.run import Run


class Widget(Front):
    """All that the page shows. `values` are what is said, by dotted key; `shown` what every setting is with it;
    `matter` the settings that are of use now. Of settings that do not go together `fault` tells, and the rest stays as
    it was."""

    _js = "form.js"
    _sheet = "form.css"

    schema: traitlets.List[Any] = traitlets.List().tag(sync=True)
    presets: traitlets.List[Any] = traitlets.List().tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    flags = traitlets.Dict().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)
    matter: traitlets.List[Any] = traitlets.List().tag(sync=True)
    estimates: traitlets.List[Any] = traitlets.List().tag(sync=True)
    network = traitlets.Unicode().tag(sync=True)
    words = traitlets.Unicode().tag(sync=True)
    cell = traitlets.Unicode().tag(sync=True)
    fault = traitlets.Dict().tag(sync=True)
    said = traitlets.Dict().tag(sync=True)
    view: traitlets.Dict[str, Any] = traitlets.Dict({"open": []}).tag(sync=True)

    def __init__(self, draft: Draft, on_start: Callable[[Any], None]):
        self.draft = draft
        self._on_start = on_start
        self._count = 0
        self._telling = False
        super().__init__(schema=form_told.schema(), presets=form_told.presets())
        self._tell()
        self.observe(self._changed, ["name", "values", "flags"])
        self.on_msg(self._hear)

    def start(self) -> Run | None:
        """Train what stands in the form. None where that did not go; `fault` says why."""
        return self._try(self._begin)

    def load(self, text: str) -> None:
        """Take what a cell or a YAML text says."""
        self._take(Draft.of_cell(text))
        self._say("loaded")

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """The page wishes to train, or to load or keep something."""
        if not isinstance(content, dict):
            return
        calls: dict[Any, Callable[[], Any]] = {
            "train": self._begin,
            "load": lambda: self.load(str(content.get("text", ""))),
            "preset": lambda: self._preset(str(content.get("name", ""))),
            "save": lambda: self._save(str(content.get("name", "")), bool(content.get("replace"))),
            "delete": lambda: self._delete(str(content.get("name", ""))),
            "presets": lambda: self.set_trait("presets", form_told.presets()),
        }
        if call := calls.get(content.get("kind")):
            self._try(call)

    def _try(self, call: Callable[[], Any]) -> Any:
        self.fault = {}
        try:
            return call()
        except NbllmError as error:
            self._blame(error)
        except OSError as error:
            self.fault = {"text": f"{error.strerror or type(error).__name__}: {error.filename or ''}", "path": ""}
        return None

    def _begin(self) -> Any:
        made = self.draft.begin()
        self._say(f"{getattr(made, 'name', '') or 'the runs'} started")
        self._on_start(made)
        return made

    def _preset(self, name: str) -> None:
        self.draft.take_preset(name)
        self._tell()
        self._say(f"preset {name} taken")

    def _save(self, name: str, replace: bool) -> None:
        save_preset(name.strip(), self.draft.values, replace=replace)
        self.presets = form_told.presets()
        self._say(f"kept as preset {name.strip()}: --preset {name.strip()} takes it")

    def _delete(self, name: str) -> None:
        delete_preset(name)
        self.presets = form_told.presets()
        self._say(f"preset {name} is gone")

    def _changed(self, change: Any) -> None:
        """The page, or a script, has set something."""
        known = form_told.safe(self.draft.values)
        if self._telling:
            return
        if self.values == known and (self.name or None, self.flags) == (self.draft.name, self.draft.flags):
            return
        self.draft.name = self.name.strip() or None
        self.draft.flags = dict(self.flags)
        self.fault = {}
        try:
            left = self.draft.change(self.values) if self.values != known else ""
        except NbllmError as error:
            self._blame(error)
            return
        self._tell()
        if left:
            self._say(left)

    def _take(self, draft: Draft) -> None:
        """Put another draft in the place of this one."""
        self.draft.become(draft)
        self._tell()

    def _tell(self) -> None:
        """Give the page all that follows from the draft."""
        draft = self.draft
        try:
            config = draft.config
            found = draft.forecast
        except NbllmError as error:
            self._blame(error)
            return
        self._telling = True
        with self.hold_sync():
            self.name, self.values, self.flags = draft.name or "", form_told.safe(draft.values), dict(draft.flags)
            self.shown = form_told.safe(form_told.shown(config))
            self.matter = sorted(form_told.forms.matter(config))
            self.estimates = form_told.estimates(found)
            self.network = network_svg(config, found.vocabulary)
            self.words = words(config, found.vocabulary)
            self.cell = draft.cell
        self._telling = False

    def _blame(self, error: NbllmError) -> None:
        """Say what is wrong, beside the field where it is about one."""
        text = str(error)
        path = text.partition(" ")[0].rstrip(":")
        self.fault = {"text": text, "path": path if path in self.shown else ""}

    def _say(self, text: str) -> None:
        """A line of what was done; numbered, so that the same line is told again."""
        self._count += 1
        self.said = {"text": text, "number": self._count}
