"""The magics of the whole: %llm_config and %llm_studio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from nbllm.errors import ConfigError
from nbllm.magics.base import Asked, Base, magic
from nbllm.magics.cells import UNKNOWN, settled
from nbllm.magics.commands import COMMANDS
from nbllm.magics.parse import Parsed, parse
from nbllm.magics.requests import run_name

if TYPE_CHECKING:
    from nbllm.dashboards.form import Form

_ALONE = ("write", "presets", "forget")


@magics_class
class StudioMagics(Base):
    """%llm_config and %llm_studio."""

    @magic
    def llm_config(self, asked: Asked) -> Any:
        from nbllm.dashboards import form

        parsed, flags = parse(COMMANDS["config"], asked.line, UNKNOWN), asked.flags  # a table is named, and not taken
        said = bool(parsed.settings or parsed.names or asked.cell)
        for flag in _ALONE:
            if flag in flags and (said or len(flags) > 1):
                raise ConfigError(f"--{flag} stands alone.", f"Write %llm_config --{flag} and nothing else.")
        if "presets" in flags:
            return form.listed()
        if "forget" in flags:
            form.delete_preset(str(flags["forget"]))
            print(f"The preset {flags['forget']} is gone.")
            return None
        if "write" in flags:
            self.shell.set_next_input(_last().cell)
            print("The cell stands below.")
            return None
        if "keep" in flags:
            made = opened(parsed, asked.cell or "", asked.names) if said else _last()
            print(f"Kept as preset {flags['keep']}: {made.save_preset(str(flags['keep']))}")
            return None
        return opened(parsed, asked.cell or "", asked.names)

    @magic
    def llm_studio(self, asked: Asked) -> Any:
        from nbllm import api

        return api.studio(*asked.parsed.names)


def opened(parsed: Parsed, body: str, names: Mapping[str, Any]) -> Form:
    """The form that a line and a body ask for."""
    from nbllm import api

    values = settled(parsed, body, names)
    preset = values.pop("preset", None)
    return api.configure(run_name(parsed), preset=preset, config=values)


def _last() -> Form:
    from nbllm.dashboards.form import Form

    if Form.last is None:
        raise ConfigError("No form was opened in this kernel.", "Open one: %llm_config")
    return Form.last
