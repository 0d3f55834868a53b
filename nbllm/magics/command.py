"""What a command takes: its values, flags and help.

A `takes` string says which values a flag or a command takes, and is shown in the help as it stands:
"NAME" one, "OLD NEW" two, "NAME..." one or more, "FILE [NAME]" one or two, "" none (a switch).
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import Literal

from nbllm.config import Option, options


@dataclass(frozen=True)
class Flag:
    """A flag of a command that is not a leaf of the configuration."""

    name: str
    takes: str
    help: str
    kind: Literal["bool", "int", "float", "text"] = "text"
    choices: tuple[str, ...] = ()
    repeat: bool = False

    @property
    def key(self) -> str:
        """Its name as Python writes it: `--max-tokens` is `max_tokens`."""
        return self.name.lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class Command:
    """A command of the notebook or the terminal. The leaves of its `sections` of the configuration are flags of it."""

    name: str
    takes: str
    summary: str
    examples: tuple[str, ...]
    flags: tuple[Flag, ...] = ()
    sections: tuple[str, ...] = ()
    cell: str = ""  # what the body of the cell form is; no cell form where empty
    notes: str = ""
    prefix: str = "%llm_"

    @property
    def call(self) -> str:
        """How it is called: `%llm_train` in a cell, `nbllm train` in a terminal."""
        return f"{self.prefix}{self.name}"

    def leaves(self) -> list[Option]:
        """The leaves of the configuration that are flags of this command."""
        own = {flag.name for flag in self.flags}
        return [leaf for leaf in options() if leaf.path.partition(".")[0] in self.sections and leaf.flag not in own]

    def flag(self, name: str) -> Flag | None:
        """Its own flag of that name."""
        return next((flag for flag in self.flags if flag.name == name), None)


def limits(takes: str) -> tuple[int, int | None]:
    """Fewest and most values that a `takes` string allows; None for no limit."""
    words = takes.split()
    fewest = sum(not word.startswith("[") for word in words)
    endless = any("..." in word for word in words)
    return fewest, None if endless else len(words)


def value_names(takes: str) -> list[str]:
    """The bare names of the values: "NAME TAG..." is [NAME, TAG]."""
    return [re.sub(r"[\[\].]", "", word) for word in takes.split()]


_WIDE, _NAMES = 100, 26  # characters: a line of the help, and the names in front of it
HELP = Flag("--help", "", "show this text", "bool")


def help_text(command: Command) -> str:
    """The help of a command, with its examples and every flag; also the magic's docstring."""
    flags = " [--flag VALUE ...]" if command.sections or command.flags else ""
    lines = [command.summary, "", f"    {command.call} {command.takes}".rstrip() + flags]
    if command.cell:
        lines += [f"    %{command.call} {command.takes}{flags}", f"    ({command.cell})"]
    if command.notes:
        lines += ["", command.notes]
    lines += ["", "Examples:", ""]
    for example in command.examples:
        lines += [f"    {line}" for line in example.splitlines()]
    rows = [(f"{flag.name} {flag.takes}".rstrip(), _describe(flag)) for flag in (*command.flags, HELP)]
    lines += ["", "Flags:", "", *_table(rows)]
    for title, leaves in _groups(command).items():
        lines += ["", f"{title}:", "", *_table([(_usage(leaf), leaf.describe()) for leaf in leaves])]
    return "\n".join(lines) + "\n"


def _describe(flag: Flag) -> str:
    return f"{flag.help} ({' | '.join(flag.choices)})" if flag.choices else flag.help


def _usage(leaf: Option) -> str:
    if leaf.kind == "bool":
        return f"{leaf.flag}, --no-{leaf.flag.removeprefix('--')}"
    return f"{leaf.flag} { ({'int': 'N', 'float': 'X', 'map': '{...}'}.get(leaf.kind, 'TEXT')) }"


def _groups(command: Command) -> dict[str, list[Option]]:
    """The settings of a command by their section; those that are a section by themselves stand together."""
    alone: list[Option] = []
    groups: dict[str, list[Option]] = {"what to begin with": alone}
    for leaf in command.leaves():
        section, dot, _ = leaf.path.partition(".")
        if section in command.sections:
            (groups.setdefault(section, []) if dot else alone).append(leaf)
    return {title: leaves for title, leaves in groups.items() if leaves}


def _table(rows: list[tuple[str, str]]) -> list[str]:
    """What is said of each, wrapped behind its name; a name that is too long for that has a line of its own."""
    width = min(_NAMES, max(len(left) for left, _ in rows))
    lines = []
    for left, right in rows:
        first, *more = textwrap.wrap(right, _WIDE - width - 6, break_on_hyphens=False) or [""]
        lines += (
            [f"    {left:<{width}}  {first}"] if len(left) <= width else [f"    {left}", f"{'':{width + 6}}{first}"]
        )
        lines += [f"{'':{width + 6}}{line}" for line in more]
    return lines
