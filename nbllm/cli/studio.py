"""The terminal's side of the form and the studio: the estimates and the cell in words, and the presets."""

from __future__ import annotations

from nbllm.cli.shown import in_terminal
from nbllm.errors import ConfigError
from nbllm.magics.command import Command
from nbllm.magics.parse import Parsed


def config(command: Command, parsed: Parsed) -> None:
    """What the settings would take, and the cell that trains them; or what is done with presets."""
    from nbllm.dashboards import form
    from nbllm.handles.readable import plain
    from nbllm.magics.studio import opened

    if parsed.flags.get("write"):
        raise ConfigError("--write needs a notebook.", "Type: nbllm config NAME --model lstm")
    if parsed.flags.get("presets"):
        print(plain(form.listed()))
    elif "forget" in parsed.flags:
        form.delete_preset(str(parsed.flags["forget"]))
    elif "keep" in parsed.flags:
        print(opened(parsed, "", {}).save_preset(str(parsed.flags["keep"])))
    else:
        print(in_terminal(str(opened(parsed, "", {}))))


def studio(command: Command, parsed: Parsed) -> None:
    """What the studio would show, in words."""
    from nbllm import api

    print(in_terminal(str(api.studio(*parsed.names))))
