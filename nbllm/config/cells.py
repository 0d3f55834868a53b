"""Settings as the text of a cell: what is named most often on its line, the rest as YAML below."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nbllm.config.options import options

# What stands on the line, in this order.
_LINE = (
    "data.source", "init_from", "preset", "model.kind", "size", "objective.kind",
    "train.steps", "train.tokens", "train.epochs", "train.minutes",
)  # fmt: skip
_WIDE = 96  # characters of a section on one line
_PLAIN_WORD = re.compile(r"[^\s\"'#={}\\-][^\s\"'#{}\\]*|\{\{\w+\}\}")
_PLAIN_YAML = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
_NOT_TEXT = ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
_STACKS = ("model.blocks", "model.encoder", "model.decoder")


def cell_text(name: str | None, values: Mapping[str, Any], flags: Mapping[str, Any] | None = None) -> str:
    """The %%llm_train cell of these settings, by dotted key. `flags` are those of the command, as {"seeds": 3}.

    A text {{name}} as the source of the data stays a variable of the notebook; braces in other texts are text.
    """
    words = ["%%llm_train", *([name] if name else [])]
    rest = dict(values)
    named = {option.path: option.flag for option in options()}
    for path in _LINE:
        if path in rest and (word := _word(rest[path])) is not None:
            words += [named[path], word]
            del rest[path]
    for flag, value in (flags or {}).items():
        if value is True:
            words.append(f"--{flag}")
        elif value not in (None, False, ""):
            words += [f"--{flag}", str(value)]
    return "\n".join([" ".join(words), *body_lines(rest)])


def body_lines(values: Mapping[str, Any]) -> list[str]:
    """The same as lines of YAML, a section each; a long one over several."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *sections, leaf = path.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[leaf] = _written(path, value)
    lines = []
    for key, value in tree.items():
        line = f"{key}: {_flow(value)}"
        if isinstance(value, str) or len(line) <= _WIDE:
            lines.append(line)
        else:
            lines += [f"{key}:", *(f"  {name}: {_flow(part)}" for name, part in value.items())]
    return lines


def _flow(node: Any) -> str:
    """A tree of texts that are written already, in braces."""
    if isinstance(node, str):
        return node
    return "{" + ", ".join(f"{name}: {_flow(part)}" for name, part in node.items()) + "}"


def _word(value: Any) -> str | None:
    """A value as a word of the line; None where it has to stand below."""
    if isinstance(value, bool) or value is None:
        return None
    text = _number(value) if isinstance(value, int | float) else str(value)
    return text if _PLAIN_WORD.fullmatch(text) and text.isprintable() else None


def _written(path: str, value: Any) -> str:
    if path in _STACKS and value:
        return stack_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    return yaml_text(value)


def _number(value: float) -> str:
    """A number of a setting, whose kind the setting knows: 3 for 3.0."""
    whole = isinstance(value, int) or (value.is_integer() and abs(value) < 1e6)
    return str(int(value)) if whole else repr(value)


def stack_text(mixers: list[str]) -> str:
    """A stack of mixers in its short form, as in 2*conv+attention."""
    groups: list[list[Any]] = []
    for mixer in mixers:
        if groups and groups[-1][1] == mixer:
            groups[-1][0] += 1
        else:
            groups.append([1, mixer])
    return "+".join(mixer if count == 1 else f"{count}*{mixer}" for count, mixer in groups)


def yaml_text(value: Any) -> str:
    """Any value in YAML's flow style, of one line: what the safe loader reads back as the same."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{yaml_text(str(key))}: {yaml_text(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(yaml_text(part) for part in value) + "]"
    if isinstance(value, float):
        digits, e, power = repr(value).partition("e")  # YAML 1.1 knows 1e-05 for a number only with a point
        return f"{digits}{'' if '.' in digits else '.0'}e{power}" if e else digits
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    text = str(value)
    if _PLAIN_YAML.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    seen = "".join(c if c.isprintable() else _escaped(c) for c in quoted)
    return seen.replace("{{", "{\\u007b")  # two braces would stand for a variable


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
