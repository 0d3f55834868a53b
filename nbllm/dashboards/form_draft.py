"""What stands in a form, apart from how it is shown: a name, settings, flags, and what they make."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

from nbllm.config import FAMILIES, GOALS, PRESETS, RunConfig, cells, forms, goal_of, own_presets, resolve
from nbllm.errors import ConfigError, did_you_mean
from nbllm.handles.forecast import Forecast, forecast
from nbllm.handles.presets import own_values
from nbllm.registry import CELLS, CORPORA, TABLES
from nbllm.runners import plan
from nbllm.store.folder import free_name, list_runs

_WHOLE = re.compile(r"^format: *1 *$", re.MULTILINE)  # every default is written out
_OWN_TEXT = ("data.source", "init_from", "sample.prompt", "probe.text")


class Draft:
    """A run that is being thought of. `values` are what is said, by dotted key, of the kinds that the settings have;
    `flags` those of %llm_train that are no settings: seeds, runner, wait, replace."""

    def __init__(
        self, name: str | None = None, values: Mapping[str, Any] | None = None, flags: Mapping[str, Any] | None = None
    ):
        self.name = name
        self.flags = dict(flags or {})
        self.values = dict(values or {})
        self.values = self.typed()

    @classmethod
    def of(cls, config: RunConfig, name: str | None = None) -> Draft:
        """The draft of a configuration: what size, family and preset do not say by themselves."""
        return cls(name, forms.shortest(config, plan.gathered))

    @classmethod
    def of_cell(cls, text: str, names: Mapping[str, Any] | None = None) -> Draft:
        """The draft of a cell's text, of settings in YAML, or of a run's config.yaml. ConfigError for what is none."""
        if _WHOLE.search(text) and not text.lstrip().startswith("%"):
            return cls.of(RunConfig.from_yaml(text, "the text"))
        return cls(*CELLS.get("read")(text, notebook_names() if names is None else names))

    @classmethod
    def of_run(cls, name: str) -> Draft:
        """The draft of a run's settings, to be trained under another name."""
        folder = next(run for run in list_runs() if run.name == name)
        draft = cls.of(RunConfig.from_yaml(folder.config.read_text(encoding="utf-8"), name), another_name(name))
        source = str(draft.values.get("data.source", ""))
        if source == plan.RECORDS:  # of the notebook: the run has kept them
            draft.values["data.source"] = str(folder.path / source)
        return draft

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Draft):
            return NotImplemented
        return (self.name, self.values, self.flags) == (other.name, other.values, other.flags)

    __hash__ = None  # type: ignore[assignment]

    @property
    def config(self) -> RunConfig:
        """The whole configuration. ConfigError where the settings do not go together."""
        return resolve(*plan.gathered([("form", self.values)]))

    @property
    def cell(self) -> str:
        """The cell that trains it."""
        return cells.cell_text(self.name, self.values, self.flags)

    @property
    def forecast(self) -> Forecast:
        """What it will take."""
        return forecast(self.config)

    def typed(self) -> dict[str, Any]:
        """The values as numbers, lists and truths, as their settings have them."""
        config = self.config
        return {path: forms.leaf(config, path) for path in self.values}

    def begin(self) -> Any:
        """Train it, as its cell would: a Run, or Repeats."""
        return CELLS.get("begin")(self.cell, notebook_names())

    def become(self, other: Draft) -> None:
        """Take another draft's name, values and flags."""
        self.name, self.values, self.flags = other.name, other.values, other.flags

    def take_preset(self, name: str) -> None:
        """Begin with a preset: one of ours is named, one of the user's own is spelled out. Data and texts stay."""
        kept = {path: value for path, value in self.values.items() if path in _OWN_TEXT}
        if name in PRESETS:
            values = {**kept, "preset": name}
        elif name in own_presets.names():
            values = {**kept, **own_values(name)}
        else:
            raise ConfigError(f"There is no preset '{name}'.", did_you_mean(name, [*PRESETS, *own_presets.names()]))
        self.values = Draft(self.name, values).values

    def change(self, values: Mapping[str, Any]) -> str:
        """Other values, as a person sets them: what no longer goes with a new family, objective or preset is let go.
        Gives back a line that says so, or nothing. ConfigError where they do not go together; they are kept all the
        same."""
        before, self.values = self.values, dict(values)
        said = self._agree(before)
        self.values = self.typed()
        return said

    def _agree(self, before: Mapping[str, Any]) -> str:
        """Drop what cannot stay beside what has just been changed."""
        changed = {key for key in {*before, *self.values} if before.get(key) != self.values.get(key)}
        gone: list[str] = []
        if "preset" in changed and (name := self.values.get("preset")) in PRESETS:
            gone += [key for key in self.values if key in PRESETS[str(name)] and key not in changed]
        kind = str(self.values.get("model.kind") or "transformer")
        of_preset = PRESETS.get(str(self.values.get("preset")), {}).get("model.kind")
        if "model.kind" in changed and "preset" not in changed and of_preset != kind:
            gone.append("preset")
        if changed & {"model.kind", "preset"}:
            made = kind if "model.kind" in changed else of_preset
            learns = self.values.get("objective.kind")
            if learns in GOALS and made in FAMILIES and made not in GOALS[learns].kinds:
                gone.append("objective.kind")
        if "objective.kind" in changed and "model.kind" not in changed:
            gone += self._family_for(str(self.values.get("objective.kind")), kind)
        gone += self._of_no_use()
        gone = [key for key in dict.fromkeys(gone) if self.values.pop(key, None) is not None]
        gone += self._other_data(changed)
        return f"Left to itself: {', '.join(forms.label(key) for key in gone)}." if gone else ""

    def _family_for(self, learns: str, kind: str) -> list[str]:
        """Another family where this one does not learn that."""
        if learns not in GOALS or kind in GOALS[learns].kinds or kind not in FAMILIES:
            return []
        made = [name for name, family in FAMILIES.items() if family.objective == learns]
        fitting = [name for name in FAMILIES if name in GOALS[learns].kinds and name != "huggingface"]
        self.values["model.kind"] = (made or fitting)[0]
        return ["preset"]

    def _of_no_use(self) -> list[str]:
        """Settings of the network that its family does not know."""
        kind = str(self.values.get("model.kind") or "transformer")
        known = FAMILIES[kind].fields if kind in FAMILIES else None
        return [key for key in self.values if known and key.startswith("model.") and key[6:] not in known]

    def _other_data(self, changed: set[str]) -> list[str]:
        """Built-in data of another form than the objective wants."""
        source = self.values.get("data.source")
        if not changed & {"objective.kind", "model.kind", "preset"} or (source not in CORPORA and source not in TABLES):
            return []
        try:
            wants_rows = goal_of(self.config.objective).data == "rows"
        except ConfigError:
            return []
        if wants_rows == (source in TABLES):
            return []
        del self.values["data.source"]
        return ["data.source"]


def over(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The values with others in their place; of budgets one stays."""
    if any(more.get(key) is not None for key in forms.BUDGET):
        values = {key: each for key, each in values.items() if key not in forms.BUDGET}
    return {**values, **more}


def another_name(name: str) -> str:
    """A free name after this one: words-2 after words."""
    stem, _, number = name.rpartition("-")
    return free_name(stem if stem and number.isdigit() else name)


def is_run(name: str) -> bool:
    """Whether a run of that name is there."""
    return any(run.name == name for run in list_runs())


def notebook_names() -> Mapping[str, Any]:
    """The variables of the notebook; none in a script."""
    if "IPython" not in sys.modules:
        return {}
    shell = sys.modules["IPython"].get_ipython()
    return {} if shell is None else dict(shell.user_ns)
