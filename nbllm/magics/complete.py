"""What Tab offers in the lines and bodies of the magics: flags, choices, runs, corpora, paths, settings, variables."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbllm.config import GOALS, SHORTHAND, Option, RunConfig, options
from nbllm.errors import ConfigError
from nbllm.handles.task_words import WORDS
from nbllm.magics.command import HELP, Command, limits, value_names
from nbllm.magics.commands import COMMANDS
from nbllm.magics.parse import Word, words
from nbllm.registry import CORPORA, TABLES
from nbllm.store.folder import list_runs

_LINE = re.compile(r"^\s*(?:[\w.,\s\[\]'\"]+=\s*)?%%?llm_(\w+)\s(.*)$", re.DOTALL)
_CELL = re.compile(r"^\s*%%llm_(\w+)")
_OPEN_QUOTE = re.compile(r"(?:^|[\s=])([\"'])([^\"']*)$")
_PLAIN = re.compile(r"\S*$")
_DEVICES = ("auto", "cpu", "cuda", "mps")
_RUNS = ("init_from", "objective.teacher")  # settings that name a run
_SHELLS_OWN = {"In", "Out", "get_ipython", "exit", "quit", "open"}  # variables that nobody has set


@dataclass(frozen=True)
class Offer:
    """Completions for the `fragment` before the cursor."""

    fragment: str
    texts: list[str]


def offer(above: Sequence[str], before: str, names: Mapping[str, Any]) -> Offer | None:
    """Completions at a place, or None where it is not ours.

    `above` are the lines of the cell before the current one, `before` the part of that one before the cursor.
    """
    line = _LINE.match(before)
    if line:
        command = COMMANDS.get(line[1])
        return _in_line(command, line[2], names) if command else None
    cell = _CELL.match("\n".join(above))
    if cell and cell[1] in COMMANDS and COMMANDS[cell[1]].cell == COMMANDS["train"].cell:
        return _in_body(_section_above(above, before) + before.lstrip())
    return None


def _section_above(above: Sequence[str], before: str) -> str:
    """`model: {` for an indented line below `model:`, so that it is completed as what stands in braces."""
    if not before[:1].isspace():
        return ""
    outer = next((line for line in reversed(above) if line.strip() and not line[0].isspace()), "")
    section = re.fullmatch(r"(\w+):\s*(?:#.*)?", outer)
    return f"{section[1]}: {{" if section else ""


def _in_line(command: Command, rest: str, names: Mapping[str, Any]) -> Offer | None:
    quote = _OPEN_QUOTE.search(rest)
    fragment = quote[2] if quote else _PLAIN.search(rest)[0]  # type: ignore[index]
    head = rest[: len(rest) - len(fragment) - (1 if quote else 0)]
    if not quote and (assigned := re.match(r"([\w.-]+)=(.*)", fragment)):
        return _matching(_setting_values(command, assigned[1], assigned[2]), assigned[2])
    if quote and head.endswith("="):
        key = _PLAIN.search(head)[0].rstrip("=")  # type: ignore[index]
        return _matching(_setting_values(command, key, fragment), fragment)
    if fragment.startswith("{{"):
        own = (name for name in names if not name.startswith("_") and name not in _SHELLS_OWN)
        return _matching(("{{" + name + "}}" for name in own), fragment)
    try:
        earlier = words(head)
    except ConfigError:
        return None
    if fragment.startswith("-"):
        return _matching(_flags(command, dotted="." in fragment), fragment)
    values = _after_flag(command, earlier, fragment)
    if values is None:
        values = [*_names(command, earlier, fragment), *_assignments(command, fragment)]
    return _matching(values, fragment)


def _matching(texts: Iterable[str], fragment: str) -> Offer:
    return Offer(fragment, [text for text in dict.fromkeys(texts) if text.startswith(fragment) and text != fragment])


def _flags(command: Command, dotted: bool) -> list[str]:
    own = [flag.name for flag in (*command.flags, HELP)]
    leaves = command.leaves()
    if dotted:
        return [f"--{leaf.path}" for leaf in leaves]
    off = [f"--no-{leaf.flag[2:]}" for leaf in leaves if leaf.kind == "bool"]
    return [*own, *(leaf.flag for leaf in leaves), *off]


def _after_flag(command: Command, earlier: list[Word], fragment: str) -> list[str] | None:
    """Values for the last flag where it still wants one; None where it does not."""
    at = next((i for i in range(len(earlier) - 1, -1, -1) if earlier[i].is_flag), None)
    if at is None or "=" in earlier[at].text:
        return None
    name = earlier[at].text.replace("_", "-")
    given = len(earlier) - at - 1
    own = command.flag(name)
    if own:
        most = limits(own.takes)[1]
        if most is not None and given >= most:
            return None
        return list(own.choices) or _of_kind(value_names(own.takes), given, fragment)
    leaf = _leaf(command, name.removeprefix("--"))
    if leaf is None or leaf.kind == "bool" or given >= 1:
        return None
    return _values(leaf, fragment)


def _leaf(command: Command, name: str) -> Option | None:
    flag = "--" + name.replace("_", "-").replace(".", "-")
    return next((o for o in command.leaves() if name in (o.path, o.path.replace("_", "-")) or flag == o.flag), None)


def _setting_values(command: Command, key: str, fragment: str) -> list[str]:
    leaf = _leaf(command, key.lstrip("-"))
    if leaf:
        return _values(leaf, fragment)
    own = command.flag(f"--{key.lstrip('-')}".replace("_", "-"))
    return list(own.choices) or _of_kind(value_names(own.takes), 0, fragment) if own else []


def _values(leaf: Option, fragment: str) -> list[str]:
    if leaf.path == "data.source":
        return [*CORPORA, *TABLES, *_paths(fragment)]
    if leaf.path in _RUNS:
        return [*_runs(), *_paths(fragment)] if fragment else _runs()
    if leaf.path == "tokenizer.kind":
        return [*leaf.choices, *(path for path in _paths(fragment) if path.endswith((".json", "/")))]
    if leaf.path == "train.device":
        return list(_DEVICES)
    if leaf.kind == "list":
        before = fragment[: fragment.rfind(",") + 1]
        return [before + name for name in leaf.choices if name not in before.split(",")]
    return ["true", "false"] if leaf.kind == "bool" else list(leaf.choices)


def _names(command: Command, earlier: list[Word], fragment: str) -> list[str]:
    given = sum(not word.is_flag and "=" not in word.text for word in earlier)
    if command.sections and any(word.is_flag for word in earlier):
        given = 0 if not earlier or earlier[0].is_flag else 1
    return _of_kind(value_names(command.takes), given, fragment)


def _of_kind(kinds: list[str], given: int, fragment: str) -> list[str]:
    """Values for the place after `given` others, by the name that stands there in `takes`."""
    if not kinds:
        return []
    kind = kinds[min(given, len(kinds) - 1)] if given < len(kinds) or kinds[-1] == "NAME" else ""
    if kind in ("NAME", "RUN", "OLD"):
        return _runs() + (["last"] if fragment else [])
    if kind == "SOURCE":
        return [*CORPORA, *TABLES, *_paths(fragment)]
    if kind == "TASK":
        return sorted({*GOALS, *WORDS})
    return _paths(fragment) if kind in ("FILE", "FOLDER") else []


def _runs() -> list[str]:
    """Names of the runs, newest first."""
    return [run.name for run in reversed(list_runs())]


def _assignments(command: Command, fragment: str) -> list[str]:
    """`model.layers=` and the like, once a letter is there."""
    if not fragment:
        return []
    own = [f"{flag.key}=" for flag in command.flags if flag.kind in ("int", "float") and not command.sections]
    return own + [f"{leaf.path}=" for leaf in command.leaves()]


def _in_body(before: str) -> Offer:
    """Keys and choices in the YAML of a cell."""
    value = re.search(r"(?:^|[\s{,])([\w.]+):\s+(?:\[(?:[^\]]*[,\s])?)?([^\s{},\[]*)$", before)
    if value:
        leaf = _body_leaf(before, value[1])
        return _matching(_values(leaf, value[2]) if leaf else [], value[2])
    fragment = re.search(r"[\w.]*$", before)[0]  # type: ignore[index]
    section = re.search(r"(\w+):\s*\{[^}]*$", before)
    if section and section[1] in RunConfig.model_fields:
        inside = [o.path.split(".")[1] for o in options() if o.path.startswith(section[1] + ".")]
        return _matching((f"{name}: " for name in inside), fragment)
    sections = [name for name in RunConfig.model_fields if name != "format"]
    leaves = [o.path.rpartition(".")[2] for o in options()]
    return _matching((f"{name}: " for name in [*sections, *(leaves if fragment else [])]), fragment)


def _body_leaf(before: str, key: str) -> Option | None:
    section = re.search(r"(\w+):\s*\{[^}]*$", before)
    path = f"{section[1]}.{key}" if section else key
    if key in SHORTHAND and not section:
        path = f"{key}.{SHORTHAND[key]}"
    found = [o for o in options() if o.path == path or (not section and o.path.rpartition(".")[2] == key)]
    return found[0] if found else None


def _paths(fragment: str) -> list[str]:
    """Files and folders that begin so; folders end in a slash."""
    start = os.path.expanduser(fragment)
    found = []
    for path in sorted(glob.glob(glob.escape(start) + "*"))[:200]:
        shown = fragment + path[len(start) :]
        found.append(shown.replace(os.sep, "/") + ("/" if os.path.isdir(path) else ""))
    return found
