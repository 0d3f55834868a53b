"""%config NbLLM: what a notebook sets once. It stands between the settings files and the cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from traitlets import Bool, CaselessStrEnum, Dict, Unicode, observe
from traitlets.config import SingletonConfigurable

from nbllm.runners import plan


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

    def undo(self) -> None:
        """Give the environment variables back the values they had before they were set here; the defaults go."""
        plan.DEFAULTS.clear()
        for variable, value in self._before.items():
            _set(variable, value)

    @observe("size", "model", "defaults")
    def _set_defaults(self, change: dict[str, Any]) -> None:
        chosen = {"size": self.size, "model.kind": self.model}
        plan.DEFAULTS.clear()
        plan.DEFAULTS.update({**self.defaults, **{key: value for key, value in chosen.items() if value}})

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
