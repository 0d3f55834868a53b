"""%config NbLLM: what a notebook sets once. It stands between the settings files and the cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from traitlets import Bool, CaselessStrEnum, Dict, Unicode, observe
from traitlets.config import SingletonConfigurable


class NbLLM(SingletonConfigurable):
    """Settings of nbllm for this kernel.

    `runs` and `display` are handed on as environment variables, so that workers and scripts started here agree.
    """

    runs = Unicode("", help="folder of all runs; ./runs where empty").tag(config=True)
    display = CaselessStrEnum(
        ["auto", "widget", "html", "text"], default_value="auto", help="how dashboards are shown"
    ).tag(config=True)
    standby = Bool(True, help="keep a warm worker ready, so that a run starts at once").tag(config=True)
    size = Unicode("", help="size of a model where no cell says one: tiny, mini, small or base").tag(config=True)
    model = Unicode("", help="kind of model where no cell says one, as in lstm").tag(config=True)
    defaults = Dict(help="any other setting by its dotted name, as in {'train.lr': 1e-3}").tag(config=True)

    def __init__(self, **kwargs: Any):
        self._before: dict[str, str] = {}
        super().__init__(**kwargs)

    def layers(self) -> list[tuple[str, dict[str, Any]]]:
        """What is set here, as a layer of the configuration."""
        layer = dict(self.defaults)
        if self.size:
            layer["size"] = self.size
        if self.model:
            layer["model.kind"] = self.model
        return [("%config", layer)] if layer else []

    def undo(self) -> None:
        """Give the environment variables back the values they had before they were set here."""
        for variable, value in self._before.items():
            _set(variable, value)

    @observe("runs")
    def _set_runs(self, change: dict[str, Any]) -> None:
        self._export("NBLLM_RUNS", str(Path(change["new"]).expanduser().absolute()) if change["new"] else "")

    @observe("display")
    def _set_display(self, change: dict[str, Any]) -> None:
        self._export("NBLLM_DISPLAY", "" if change["new"] == "auto" else change["new"])

    @observe("standby")
    def _set_standby(self, change: dict[str, Any]) -> None:
        from nbllm.runners import standby

        if change["new"]:
            standby.start()
        else:
            standby.stop()

    def _export(self, variable: str, value: str) -> None:
        """Set an environment variable; empty gives back what was there before."""
        before = self._before.setdefault(variable, os.environ.get(variable, ""))
        _set(variable, value or before)


def _set(variable: str, value: str) -> None:
    if value:
        os.environ[variable] = value
    else:
        os.environ.pop(variable, None)
