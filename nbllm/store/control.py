"""control/: one file a command, from any process to the worker.

Commands: pause, resume, stop, checkpoint, set (lr=..., steps=...). A command is a flat dict: `command`, its values.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from pathlib import Path
from typing import Any

from nbllm.store.files import read_json, write_json

COMMANDS = ("pause", "resume", "stop", "checkpoint", "set")
_count = itertools.count()


def send(folder: Path, command: str, **values: Any) -> Path:
    """Leave a command for the worker; returns its file, which the worker deletes when it takes it."""
    assert command in COMMANDS, command
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.time_ns():020d}-{os.getpid()}-{next(_count)}.json"
    write_json(path, {"command": command, **values}, durable=False)
    return path


def waits(folder: Path, command: str) -> bool:
    """Whether such a command is still to be taken."""
    for path in folder.glob("[0-9]*.json"):
        content = read_json(path)
        if isinstance(content, dict) and content.get("command") == command:
            return True
    return False


def _is_amount(value: Any) -> bool:
    """Whether a value can be set: a positive, finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def take(folder: Path) -> list[dict[str, Any]]:
    """All waiting commands in the order they were given; each is gone afterwards. Unreadable files are dropped."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith("."))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        path = folder / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = None
        path.unlink(missing_ok=True)
        if isinstance(content, dict) and content.get("command") in COMMANDS:
            found.append({key: value for key, value in content.items() if key == "command" or _is_amount(value)})
    return found
