"""{{name}}: a notebook variable in a line or a body. Only names are looked up; nothing is ever evaluated.

A value that is exactly {{name}} becomes the object; inside other text a string or a number is inserted. In a YAML body
it happens after parsing, on scalars alone, so a variable's content cannot change the structure.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from nbllm.config import parse_yaml
from nbllm.errors import ConfigError, did_you_mean

_BRACES = re.compile(r"\{\{([^{}]*)\}\}")
# YAML reads {{x}} as a map in a map, so it travels through the parser between two private-use characters.
_OPEN, _CLOSE = "\ue000", "\ue001"
_PROTECTED = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")


def expand(text: str, names: Mapping[str, Any] | None) -> Any:
    """The text with every {{name}} put in; the object itself where the text is nothing else."""
    return _put(text, names, _BRACES)


def expand_prompt(text: str, names: Mapping[str, Any] | None) -> str:
    """As `expand`, for free text: braces that hold no identifier are left as they are."""

    def insert(match: re.Match[str]) -> str:
        return _insert(match[1], names) if match[1].strip().isidentifier() else match[0]

    return _BRACES.sub(insert, text)


def parse_body(text: str, names: Mapping[str, Any] | None, where: str = "cell body") -> dict[str, Any]:
    """A YAML body with every {{name}} on its scalars put in. ConfigError for a name as a key."""
    protected = _BRACES.sub(lambda match: f"{_OPEN}{match[1]}{_CLOSE}", text)
    try:
        content = parse_yaml(protected, where)
    except ConfigError as error:
        raise ConfigError(_readable(error.message), _readable(error.advice)) from None
    return _walk(content, names, where)


def _walk(node: Any, names: Mapping[str, Any] | None, where: str) -> Any:
    if isinstance(node, dict):
        for key in node:
            if _PROTECTED.search(str(key)):
                raise ConfigError(f"{_readable(str(key))} stands for a key in the {where}.", "Use it for a value.")
        return {key: _walk(value, names, where) for key, value in node.items()}
    if isinstance(node, list):
        return [_walk(value, names, where) for value in node]
    return _put(node, names, _PROTECTED) if isinstance(node, str) else node


def _readable(text: str) -> str:
    return text.replace(_OPEN, "{{").replace(_CLOSE, "}}")


def _put(text: str, names: Mapping[str, Any] | None, pattern: re.Pattern[str]) -> Any:
    whole = pattern.fullmatch(text)
    if whole:
        return _plain(_look_up(whole[1], names))
    return pattern.sub(lambda match: _insert(match[1], names), text)


def _plain(value: Any) -> Any:
    """A path as text and a number of numpy, as pandas' sums are, as Python's; any other object as it is."""
    if isinstance(value, PurePath):
        return str(value)
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 else value


def _insert(name: str, names: Mapping[str, Any] | None) -> str:
    value = _look_up(name, names)
    if not isinstance(value, (str, numbers.Number, PurePath)):
        raise ConfigError(
            f"{{{{{name.strip()}}}}} is a {type(value).__name__} and stands inside other text.",
            "Only a string or a number can be put into text.",
        )
    return str(value)


def _look_up(inside: str, names: Mapping[str, Any] | None) -> Any:
    name = inside.strip()
    if not name.isidentifier():
        raise ConfigError(
            f"{{{{{name}}}}} is not the name of a variable.",
            "Give the value a name in a cell, as in x = ..., then {{x}}.",
        )
    known = names or {}
    if name not in known:
        visible = [key for key in known if not key.startswith("_")]
        near = did_you_mean(name, visible) if visible else ""
        advice = near if near.startswith("Did") else "Run the cell that defines it first."
        raise ConfigError(f"There is no variable '{name}' for {{{{{name}}}}}.", advice)
    return known[name]
