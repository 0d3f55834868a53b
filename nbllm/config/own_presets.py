"""Presets of the user's own: YAML files of settings, one a preset, whose name `--preset` takes as it takes ours.

They lie in `presets/` beside the user's settings file, or under $NBLLM_HOME where that is set.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import platformdirs

from nbllm.config.presets import PRESETS
from nbllm.config.text import parse_yaml
from nbllm.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9_][\w-]{0,59}")


def folder() -> Path:
    """Where they lie; it need not be there yet."""
    home = os.environ.get("NBLLM_HOME")
    root = Path(home).expanduser().absolute() if home else Path(platformdirs.user_config_dir("nbllm", appauthor=False))
    return root / "presets"


def names() -> list[str]:
    """The names of all of them, sorted."""
    try:
        files = [Path(entry) for entry in os.listdir(folder())]
    except OSError:
        return []
    return sorted(file.stem for file in files if file.suffix == ".yaml" and _NAME.fullmatch(file.stem))


def path(name: str) -> Path:
    """The file of that name. ConfigError for a name that cannot be one, or that is a built-in preset's."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"'{name}' cannot name a preset.", "Use letters, digits, - and _, as in my-lstm.")
    if name in PRESETS:
        raise ConfigError(f"'{name}' is a preset of nbllm's own.", "Use another name.")
    return folder() / f"{name}.yaml"


def read(name: str) -> dict[str, Any]:
    """Its settings, as a cell's body has them. ConfigError where the file is no YAML."""
    file = path(name)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The preset '{name}' cannot be read: {type(error).__name__}.", f"See {file}.") from None
    return parse_yaml(text, f"preset {name}")
