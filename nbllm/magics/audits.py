"""What a command of responsible use asks of a run: shared by the magics and the command line."""

from __future__ import annotations

from typing import Any

from nbllm.errors import ConfigError
from nbllm.magics.command import Command
from nbllm.magics.parse import Parsed


def audit(command: Command, parsed: Parsed) -> Any:
    """The finding. The method of the model has the command's name, and its flags are the method's arguments."""
    from nbllm import api

    if command.name == "balance":
        return _balance(parsed)
    if command.name == "scan":
        return _scan(parsed)
    settings = dict(parsed.flags)
    run, *values = parsed.names
    model = api.load(str(run), step=settings.pop("step", None))
    if "prompt" in settings:
        settings["prompts"] = [str(prompt) for prompt in settings.pop("prompt")]
    if "text" in settings:
        settings["texts"] = [str(text) for text in settings.pop("text")]
    return getattr(model, command.name)(*values, **settings)


def _balance(parsed: Parsed) -> Any:
    """Of a run, or of data that is named."""
    from nbllm import api

    settings, flags = dict(parsed.settings), dict(parsed.flags)
    if parsed.names and settings:
        raise ConfigError("A run and data are given.", "Keep one of the two: RUN, or --data SOURCE.")
    if parsed.names:
        return api.attach(str(parsed.names[0])).balance(**flags)
    if "data.source" not in settings:
        raise ConfigError("Nothing is named to look at.", "Write a run, or --data SOURCE.")
    if flags.pop("bits", False):
        raise ConfigError("--bits needs a run.", "Write the run in place of --data.")
    return api.balance(settings.pop("data.source"), **flags, **settings)


def _scan(parsed: Parsed) -> Any:
    """Of a source, or of the text that a run learned from."""
    from nbllm import api
    from nbllm.magics.requests import preview_arguments

    kinds = parsed.flags.get("kinds")
    if "run" in parsed.flags:
        if parsed.names or parsed.settings:
            raise ConfigError("A run and data are given.", "Keep one of the two: SOURCE, or --run RUN.")
        return api.attach(str(parsed.flags["run"])).scan(kinds)
    source, settings = preview_arguments(parsed)
    return api.scan(source, kinds, **settings)
