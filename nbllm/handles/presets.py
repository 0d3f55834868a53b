"""Presets of the user's own, written and taken away: a YAML file each, whose name `--preset` takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbllm.config import cells, own_presets
from nbllm.errors import ConfigError
from nbllm.store.files import write_text


def save_preset(name: str, values: Mapping[str, Any], *, replace: bool = False) -> Path:
    """Keep settings, by dotted key, under a name; gives back the file. What names a variable of a notebook is left out.

    ConfigError for a name that is taken, unless `replace` is set, or that cannot be one.
    """
    file = own_presets.path(name)
    if file.exists() and not replace:
        raise ConfigError(f"There is a preset '{name}' already.", "Use another name, or replace it: replace=True.")
    kept = {key: value for key, value in values.items() if not (isinstance(value, str) and value.startswith("{{"))}
    if kept.get("preset") in own_presets.names():
        kept = {**own_values(kept.pop("preset")), **kept}
    if not kept:
        raise ConfigError("Nothing is set that a preset could keep.", "Change a setting first, as the size.")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, "\n".join([f"# nbllm preset {name}", *cells.body_lines(kept), ""]))
    return file


def own_values(name: str) -> dict[str, Any]:
    """The settings of a preset of the user's own, by dotted key."""
    from nbllm.config import asked

    return asked([(f"preset {name}", own_presets.read(name))])


def delete_preset(name: str) -> None:
    """Take a preset of the user's own away. ConfigError where there is none of that name."""
    file = own_presets.path(name)
    if not file.exists():
        from nbllm.errors import did_you_mean

        raise ConfigError(f"There is no preset '{name}' of yours.", did_you_mean(name, own_presets.names()))
    file.unlink()
