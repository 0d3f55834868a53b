"""The leaves of the tree, as flags, completions and help see them."""

from __future__ import annotations

import types
import typing
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from nbllm.config import own_presets
from nbllm.config.presets import PRESETS
from nbllm.config.schema import RunConfig
from nbllm.registry import CALLBACKS, LOGGERS, METRICS, MODELS, OBJECTIVES, TOKENIZERS, Registry

# What a plain value for a section stands for.
SHORTHAND = {
    "data": "source", "tokenizer": "kind", "model": "kind", "objective": "kind", "sample": "prompt", "probe": "text",
}  # fmt: skip

# Flags that are not called by their field: `from` is no name in Python.
SPELLED = {"init_from": "from"}

# Sections whose fields always carry their name, so that `dropout` alone is the model's.
QUALIFIED = ("lora",)

# Fields whose values are names in a table.
TABLES: dict[str, Registry[Any]] = {"model.kind": MODELS, "objective.kind": OBJECTIVES, "tokenizer.kind": TOKENIZERS}

# Fields whose values are lists of such names.
LISTS: dict[str, Registry[Any]] = {"train.metrics": METRICS, "train.callbacks": CALLBACKS, "train.loggers": LOGGERS}


@dataclass(frozen=True)
class Option:
    """One leaf of the tree, as flags, completions and help see it."""

    path: str
    flag: str
    help: str
    default: Any
    kind: Literal["bool", "int", "float", "text", "map", "list"]
    choices: tuple[str, ...] = ()

    def describe(self) -> str:
        """Its help with the choices and the default, on one line."""
        choices = f" ({' | '.join(self.choices)})" if self.choices else ""
        default = "" if self.default in (None, "", {}, []) else f" [{self.default}]"
        if self.kind == "bool":
            default = " [on]" if self.default else ""
        return f"{self.help}{choices}{default}"


def options() -> list[Option]:
    """Every leaf of the configuration. A field name that stands once needs no section in its flag."""
    short = short_names()
    table = []
    for path, info in leaves():
        name = path.rpartition(".")[2]
        section = path.partition(".")[0]
        if path in SPELLED:
            flag = SPELLED[path]
        elif path == f"{section}.{SHORTHAND.get(section)}":
            flag = section
        elif short.get(name) == path and name not in SHORTHAND:
            flag = name
        else:
            flag = path.replace(".", "-")
        kind, choices = _kind(info.annotation)
        if path in TABLES or path in LISTS:
            choices = tuple((TABLES | LISTS)[path])
        elif path == "preset":
            choices = (*PRESETS, *own_presets.names())
        default = info.get_default(call_default_factory=True)
        table.append(Option(path, "--" + flag.replace("_", "-"), info.description or "", default, kind, choices))
    return table


@cache
def short_names() -> Mapping[str, str]:
    """Field names that stand in one section alone, to their dotted path."""
    paths = [path for path, _ in leaves() if path.partition(".")[0] not in QUALIFIED]
    names = [path.rpartition(".")[2] for path in paths]
    count = Counter(names)
    return {name: path for name, path in zip(names, paths, strict=True) if count[name] == 1}


@cache
def leaves() -> tuple[tuple[str, Any], ...]:
    """Every leaf of the configuration: its dotted path and pydantic's FieldInfo."""
    return tuple(_below(RunConfig, ""))


def _below(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, info in section.model_fields.items():
        path = f"{prefix}{name}"
        if path == "format":
            continue
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _below(info.annotation, path + ".")
        else:
            yield path, info


def _kind(annotation: Any) -> tuple[Any, tuple[str, ...]]:
    """The kind of a leaf's values, and its choices where it has few."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [a for a in typing.get_args(annotation) if a is not type(None)]
        annotation = kinds[0] if len(kinds) == 1 else str  # a number or a word is typed as text
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) is Literal:
        return "text", tuple(str(a) for a in typing.get_args(annotation))
    if typing.get_origin(annotation) is dict:
        return "map", ()
    if typing.get_origin(annotation) is list:
        return "list", ()
    return {bool: "bool", int: "int", float: "float"}.get(annotation, "text"), ()
