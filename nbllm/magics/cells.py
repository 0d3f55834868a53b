"""A %%llm_train cell as text: read for the form, and carried out as if it were run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nbllm.config import asked, resolve
from nbllm.dashboards.tiers import tier
from nbllm.errors import ConfigError
from nbllm.magics.commands import COMMANDS
from nbllm.magics.expand import expand, parse_body
from nbllm.magics.layers import config_layers
from nbllm.magics.parse import Parsed, parse
from nbllm.magics.requests import run_name, series_arguments

_FIRST = re.compile(r"\s*(?:[\w.,\s\[\]'\"]+=\s*)?%{1,2}llm_(train|config)(?:[ \t]+(.*))?")
_SOURCES = ("data", "source", "data.source")
_KEPT = ("seeds", "runner", "wait", "replace")
_OPEN, _CLOSE = "\ue000", "\ue001"  # a variable that is not put in yet
_NAMED = re.compile(f"{_OPEN}(\\w+){_CLOSE}")


def read(text: str, names: Mapping[str, Any] | None = None) -> tuple[str | None, dict[str, Any], dict[str, Any]]:
    """The name, the settings by dotted key, and the flags that a cell asks for; its text may also be YAML alone.

    {{name}} stays as it stands where it is the data, and is put in elsewhere. ConfigError for what is no such cell.
    """
    line, body = _parted(text)
    parsed = parse(COMMANDS["train"], line, UNKNOWN)
    if parsed.help or parsed.flags.get("resume"):
        raise ConfigError("A cell that goes on with a run has no settings.", "Load one that begins a run.")
    flags = {key: parsed.flags[key] for key in _KEPT if key in parsed.flags}
    return run_name(parsed), settled(parsed, body, names), flags


def settled(parsed: Parsed, body: str, names: Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings of a line that was parsed and of a body, by dotted key, with the file of --config below them."""
    layers: list[tuple[str, dict[str, Any]]] = []
    if "config" in parsed.flags:
        layers += config_layers(Parsed(flags={"config": parsed.flags["config"]}), "", {})[0]
    if body.strip():
        layers.append(("cell body", parse_body(body, UNKNOWN)))
    layers.append(("line", dict(parsed.settings)))
    return asked([(where, _put_in(layer, names)) for where, layer in layers])


def begin_cell(text: str, names: Mapping[str, Any]) -> Any:
    """Do what the cell would do when it is run: a Run, or Repeats where it asks for several seeds."""
    line, body = _parted(text)
    return begin(parse(COMMANDS["train"], line, names), body, names, line)


def begin(parsed: Parsed, body: str, names: Mapping[str, Any], line: str) -> Any:
    """What %llm_train does before it shows anything."""
    from nbllm import api

    name, flags = run_name(parsed), parsed.flags
    layers, data_object = config_layers(parsed, body, names)
    resolve(layers)  # a wrong key or value is said before anything else is looked at, as is a wrong $NBLLM_DISPLAY
    tier()
    if "seeds" in flags:
        settings = series_arguments("train", line, flags, data_object)
        return api.repeat_layers(name, layers, flags["seeds"], **settings)
    return api.train_layers(
        name,
        layers,
        data_object=data_object,
        runner=flags.get("runner", "process"),
        resume=bool(flags.get("resume")),
        replace=bool(flags.get("replace")),
        command=f"%llm_train {line}".strip(),
    )


def _parted(text: str) -> tuple[str, str]:
    """The line behind the name of the magic, and what stands below it."""
    first, _, below = text.lstrip("\n").partition("\n")
    match = _FIRST.fullmatch(first)
    if match:
        return (match[2] or "").strip(), below
    if "%" in first.split("=")[-1].lstrip()[:2]:
        raise ConfigError("This is another magic's cell.", "Paste a %%llm_train cell, or its settings in YAML.")
    return "", text


class _Unknown(Mapping[str, Any]):
    """Variables of which nothing is known but their names: each stands for itself, marked."""

    def __getitem__(self, name: str) -> str:
        return f"{_OPEN}{name}{_CLOSE}"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1

    def __contains__(self, name: object) -> bool:
        return True


UNKNOWN = _Unknown()


def _put_in(layer: Mapping[str, Any], names: Mapping[str, Any] | None, path: str = "") -> dict[str, Any]:
    """The layer with its variables: as {{name}} where the data is meant, by their values elsewhere."""
    found: dict[str, Any] = {}
    for key, value in layer.items():
        here = f"{path}{key}"
        if isinstance(value, Mapping):
            found[key] = _put_in(value, names, f"{here}.")
        elif isinstance(value, str) and _NAMED.search(value):
            braced = _NAMED.sub(r"{{\1}}", value)
            found[key] = braced if here in _SOURCES else expand(braced, names)
        else:
            found[key] = value
    return found
