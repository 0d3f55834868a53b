"""From a parsed line and a body to the layers of a configuration, and to the notebook's data where they name some."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbllm.config import options, parse_yaml
from nbllm.errors import ConfigError, did_you_mean
from nbllm.magics.expand import parse_body
from nbllm.magics.parse import Parsed

Layer = tuple[str, dict[str, Any]]


def config_layers(parsed: Parsed, body: str, names: Mapping[str, Any]) -> tuple[list[Layer], Any]:
    """Layers, lowest first: the file of --config, the cell's body, the line. With them the data object, or None.

    A DataFrame, list or data set bound by {{name}} cannot stand in a configuration; it is taken out here.
    """
    layers: list[Layer] = []
    if "config" in parsed.flags:
        layers.append(_config_file(str(parsed.flags["config"])))
    if body.strip():
        layers.append(("cell body", parse_body(body, names)))
    if parsed.settings:
        layers.append(("line", dict(parsed.settings)))
    found = [(where, thing) for where, layer in layers if (thing := _take_data(layer)) is not None]
    if len(found) > 1 and found[0][1] is not found[1][1]:
        raise ConfigError(f"Data is given in the {found[0][0]} and in the {found[1][0]}.", "Keep one of the two.")
    for _, layer in layers:
        for key, value in layer.items():
            _refuse_objects(key, value)
    return layers, found[0][1] if found else None


def _config_file(name: str) -> Layer:
    path = Path(name).expanduser()
    if not path.is_file():
        near = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, near)
        raise ConfigError(f"There is no file {name}.", hint if hint.startswith("Did") else "Write --config FILE.yaml")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is not UTF-8 text (byte {error.start}).", "Save it as UTF-8.") from None
    return name, parse_yaml(text, name)


def _take_data(layer: dict[str, Any]) -> Any:
    """Remove an object that stands for the source of the data, and return it."""
    for key in ("data", "data.source", "source"):
        if _is_object(layer.get(key)) and not isinstance(layer[key], dict):
            return layer.pop(key)
    section = layer.get("data")
    if isinstance(section, dict) and _is_object(section.get("source")):
        return section.pop("source")
    return None


def _is_object(value: Any) -> bool:
    return value is not None and not isinstance(value, (str, bool, int, float))


def _lists() -> set[str]:
    """The settings that take a list."""
    return {option.path.rpartition(".")[2] for option in options() if option.kind == "list"}


def _refuse_objects(key: str, value: Any) -> None:
    """ConfigError where a table or a list stands for a setting."""
    if isinstance(value, dict):
        for name, part in value.items():
            _refuse_objects(f"{key}.{name}", part)
    elif _is_object(value) and not (isinstance(value, list) and key.rpartition(".")[2] in _lists()):
        raise ConfigError(f"{key} is a {type(value).__name__}.", "Only data takes one, as in --data {{df}}.")
