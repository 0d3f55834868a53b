"""The terminal's front door: which command is meant, and one line for a mistake."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nbllm.cli.table import COMMANDS
from nbllm.errors import ConfigError, NbllmError, did_you_mean
from nbllm.magics.command import help_text
from nbllm.magics.errors import system_error
from nbllm.magics.parse import from_arguments, parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, 1 after a one-line error, 130 after an interrupt."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character must not end the command
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except NbllmError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Error: {system_error(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(_overview(), end="")
        return 0
    if words[0] in ("--version", "-V"):
        from nbllm import __version__

        print(f"nbllm {__version__}")
        return 0
    words = [words[0].replace("-", "_"), *words[1:]]
    if words[0] not in COMMANDS:
        hint = did_you_mean(words[0], COMMANDS)
        raise ConfigError(
            f"There is no command '{words[0]}'.", hint if hint.startswith("Did") else "Type: nbllm --help"
        )
    command, action = COMMANDS[words[0]]
    parsed = parse(command, list(from_arguments(words[1:])))
    if parsed.help:
        print(help_text(command), end="")
        return 0
    return action(command, parsed) or 0


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"    nbllm {name:<{width}}  {command.summary}" for name, (command, _) in COMMANDS.items()]
    return "\n".join(
        ["Train, watch and use small language models.", "", *lines, "", "nbllm COMMAND --help says more.", ""]
    )
