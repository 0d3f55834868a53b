"""A row of questions with buttons, and what came of them: what the studio's tabs have above the panels that exist.

Its file, once there is one, can be saved to the computer where the page is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import traitlets

from nbllm.dashboards.front import Front
from nbllm.dashboards.worker_thread import fault_of

Act = Callable[[str, Mapping[str, Any]], str]


class Ask(Front):
    """`fields` are {name, label, kind, choices, help}, of kind text, long, number, choice or many; `actions` a key and
    a label each. `act(key, values)` is called in the kernel and gives back a line to be said."""

    _js = "studio-ask.js"
    _sheet = "studio.css"

    label = traitlets.Unicode().tag(sync=True)
    fields: traitlets.List[Any] = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    actions: traitlets.List[Any] = traitlets.List().tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)
    fault = traitlets.Unicode().tag(sync=True)
    file = traitlets.Unicode().tag(sync=True)

    def __init__(self, label: str, fields: list[dict[str, Any]], actions: list[tuple[str, str]], act: Act):
        self._act = act
        self._path: Path | None = None
        values = {field["name"]: field.pop("value", "") for field in fields}
        super().__init__(label=label, fields=fields, values=values, actions=[list(each) for each in actions])
        self.on_msg(self._hear)

    def offer(self, path: Path) -> None:
        """A file that the page may fetch."""
        self._path, self.file = path, path.name

    def ask(self, key: str) -> None:
        """Do what a button says, as the page does."""
        self.busy, self.fault, self.said = True, "", ""
        try:
            self.said = self._act(key, self.values)
        except Exception as error:  # a model of any origin may fail in any way, and the page must hear of it
            self.fault = fault_of(error)
        finally:
            self.busy = False

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "fetch" and self._path is not None and self._path.is_file():
            self.send({"kind": "file", "name": self._path.name}, [self._path.read_bytes()])
        elif kind == "ask" and content.get("key") in [key for key, _ in self.actions]:
            values = content.get("values")
            if isinstance(values, dict):
                self.values = {**self.values, **values}
            self.ask(str(content["key"]))
