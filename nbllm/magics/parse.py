"""A line to names, flags and settings: `words` cuts it, `parse` reads the words by a command's table.

No shell rules: a quote opens only at the start of a word or after `=`, a backslash is a backslash (so `C:\\x` survives;
only `\\"` inside double quotes stands for the quote), `{{ name }}` stays in one piece, and ` # ...` ends the line.
Types of settings are checked by the configuration; only a command's own numbers are read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbllm.config import Option, parse_yaml
from nbllm.errors import ConfigError, did_you_mean
from nbllm.magics.command import HELP, Command, Flag, limits
from nbllm.magics.expand import expand
from nbllm.store.folder import runs_root

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)=(.*)", re.DOTALL)
_NUMBER = re.compile(r"-\.?\d")
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


@dataclass(frozen=True)
class Word:
    """A word of the line. A quoted word is never a flag or an assignment."""

    text: str
    quoted: bool = False

    @property
    def is_flag(self) -> bool:
        """Whether it begins as a flag does; negative numbers do not."""
        return not self.quoted and len(self.text) > 1 and self.text[0] == "-" and not _NUMBER.match(self.text)


@dataclass
class Parsed:
    """What a line says: `names` in order, the command's own `flags`, and `settings` by their dotted path."""

    names: list[Any] = field(default_factory=list)
    flags: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    help: bool = False


def words(line: str) -> list[Word]:
    """Cut a line. ConfigError where a quote is not closed."""
    found = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
        elif line[at] == "#" and (at + 1 == len(line) or line[at + 1].isspace()):
            break
        else:
            quoted = line[at] in "\"'"
            text, at = _word(line, at)
            found.append(Word(text, quoted))
    return found


def _word(line: str, at: int) -> tuple[str, int]:
    """The word that begins at `at`, and where it ends."""
    text = ""
    while at < len(line) and not line[at].isspace():
        if line[at] in "\"'" and (not text or text.endswith("=")):
            piece, at = _quoted(line, at)
            text += piece
        elif line.startswith("{{", at) and "}}" in line[at:]:
            end = line.index("}}", at) + 2
            text += line[at:end]
            at = end
        else:
            text += line[at]
            at += 1
    return text, at


def _quoted(line: str, at: int) -> tuple[str, int]:
    quote = line[at]
    text = ""
    position = at + 1
    while position < len(line):
        if quote == '"' and line.startswith('\\"', position) and '"' in line[position + 2 :]:
            text += '"'
            position += 2
        elif line[position] == quote:
            return text, position + 1
        else:
            text += line[position]
            position += 1
    raise ConfigError(f"The quote before {line[at + 1 : at + 21]!r} is not closed.", f"Write {quote} at its end.")


def parse(command: Command, line: str | Sequence[Word], names: Mapping[str, Any] | None = None) -> Parsed:
    """Read a line. `names` holds the variables for {{name}}. ConfigError with one line for every mistake."""
    found = Parsed()
    rest = list(words(line) if isinstance(line, str) else line)
    while rest:
        word = rest.pop(0)
        assignment = None if word.quoted else _ASSIGNMENT.fullmatch(word.text)
        if word.is_flag:
            _read_flag(command, word.text, rest, found, names)
        elif assignment and (command.sections or command.flag(f"--{assignment[1]}")):
            _assign(command, assignment[1], expand(assignment[2], names), found)
        else:
            found.names.append(_named(expand(word.text, names)))
    if not found.help:
        _check_names(command, found.names)
    return found


def _named(value: Any) -> Any:
    """A run of the notebook, as in %llm_generate {{run}}, by what finds it again; anything else as it is."""
    if isinstance(value, str):
        return value
    from nbllm.handles.run import Run

    if not isinstance(value, Run):
        return value
    return value.name if value.folder.parent == runs_root() else str(value.folder)


def _read_flag(command: Command, text: str, rest: list[Word], found: Parsed, names: Mapping[str, Any] | None) -> None:
    name, equals, given = text.partition("=")
    name = "--help" if name == "-h" else "--" + name.lstrip("-").replace("_", "-")
    inline = [Word(given, True)] if equals else None
    own = HELP if name == "--help" else command.flag(name)
    if own is HELP:
        found.help = True
        return
    if own:
        values = [expand(word.text, names) for word in _values(own.name, own.takes, inline, rest)]
        value = _own_value(own, values)
        if own.repeat:
            found.flags.setdefault(own.key, []).append(value)
        elif own.key in found.flags and found.flags[own.key] != value:
            raise ConfigError(f"{own.name} is given twice.", "Keep one of the two.")
        else:
            found.flags[own.key] = value
        return
    leaf, positive = _leaf(command, name, text)
    if leaf.kind == "bool" and not inline:
        value = positive
    else:
        value = expand(_values(name, "VALUE", inline, rest)[0].text, names)
        if not positive:
            raise ConfigError(f"{name} takes no value.", f"Write {leaf.flag}=VALUE or {name}.")
    _assign(command, leaf.path, value, found, leaf)


def _values(name: str, takes: str, inline: list[Word] | None, rest: list[Word]) -> list[Word]:
    """As many of the next words as the flag takes; they are removed from `rest`."""
    fewest, most = limits(takes)
    values = list(inline or [])
    if inline and most == 0:
        raise ConfigError(f"{name} takes no value.", f"Write {name} alone.")
    while rest and not rest[0].is_flag and (most is None or len(values) < most):
        values.append(rest.pop(0))
    if len(values) < fewest:
        raise ConfigError(f"{name} has no value." if not values else f"{name} needs more.", f"Write {name} {takes}.")
    return values


def _own_value(flag: Flag, values: list[Any]) -> Any:
    """The value of a command's own flag, read as its kind."""
    if flag.kind == "bool":
        return True
    if limits(flag.takes) != (1, 1):
        return values
    value = values[0]
    if flag.choices and value not in flag.choices:
        raise ConfigError(f"{flag.name} cannot be '{value}'.", did_you_mean(value, flag.choices))
    if flag.kind == "text":
        return value
    try:
        return int(value) if flag.kind == "int" else float(value)
    except (TypeError, ValueError):
        noun = "a whole number" if flag.kind == "int" else "a number"
        raise ConfigError(f"{flag.name} is {value!r}, not {noun}.", f"Write {flag.name} {flag.takes}.") from None


def _leaf(command: Command, name: str, typed: str) -> tuple[Option, bool]:
    """The setting of that flag, by its short or its dotted name, and whether it is the plain or the `--no-` form."""
    leaves = command.leaves()
    by_name = {leaf.flag: leaf for leaf in leaves} | {f"--{leaf.path}".replace("_", "-"): leaf for leaf in leaves}
    if name in by_name:
        return by_name[name], True
    positive = "--" + name.removeprefix("--no-")
    if name.startswith("--no-") and positive in by_name and by_name[positive].kind == "bool":
        return by_name[positive], False
    known = [*by_name, *(flag.name for flag in command.flags)]
    advice = did_you_mean(name, known) or f"See {command.call} --help."
    raise ConfigError(f"{command.call} has no flag {typed.partition('=')[0]}.", advice)


def _assign(command: Command, key: str, value: Any, found: Parsed, leaf: Option | None = None) -> None:
    """Enter a setting; a command's own flag may be written as an assignment too."""
    own = command.flag(f"--{key}".replace("_", "-"))
    if own and not leaf:
        found.flags[own.key] = _own_value(own, [value])
        return
    leaf = leaf or next(
        (leaf for leaf in command.leaves() if key in (leaf.path, leaf.flag[2:].replace("-", "_"))), None
    )
    path = leaf.path if leaf else key
    if leaf:
        value = _setting(leaf, value)
    if path in found.settings and found.settings[path] is not value and str(found.settings[path]) != str(value):
        raise ConfigError(f"{path} is given twice in the line.", "Keep one of the two.")
    found.settings[path] = value


def _setting(leaf: Option, value: Any) -> Any:
    """What YAML would make of the words for 'nothing', of switches and of maps; the rest is left as it was typed."""
    if not isinstance(value, str):
        return value
    folded = value.lower()
    if leaf.default is None and folded in ("none", "null"):
        return None
    if leaf.kind == "bool" and folded in _TRUE | _FALSE:
        return folded in _TRUE
    if leaf.kind == "map":
        return parse_yaml(value, leaf.flag)
    return value


def _check_names(command: Command, names: list[Any]) -> None:
    fewest, most = limits(command.takes)
    usage = f"Write {command.call} {command.takes}".rstrip() + "."
    if len(names) < fewest:
        raise ConfigError(f"{command.call} needs {fewest} {'name' if fewest == 1 else 'names'}.", usage)
    if most is not None and len(names) > most:
        extra = names[most]
        raise ConfigError(
            f"{command.call} has no use for {str(extra)!r}.", f"{usage} Put quotes around text with spaces."
        )


def from_arguments(arguments: Sequence[str]) -> Iterator[Word]:
    """The words of a command line that a shell has cut already."""
    return (Word(argument) for argument in arguments)
