"""Whole-file writes that are never seen half done, and reads that live with a writer beside them."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

_RETRIES = 40  # of 25 ms: on Windows a rename fails while a reader has the file open


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace the file whole: written beside it, fsynced unless `durable` is off, renamed over it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp")
    try:
        with open(beside, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def replace(source: Path, target: Path) -> None:
    """Rename over `target`, waiting a little for readers that hold it open (Windows)."""
    for attempt in range(_RETRIES):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if attempt == _RETRIES - 1:
                raise
            time.sleep(0.025)


def write_json(path: Path, content: Any, *, durable: bool = True) -> None:
    """Replace the file by this JSON."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n", durable=durable)


def read_json(path: Path, default: Any = None) -> Any:
    """The JSON in the file; `default` where there is none or it does not parse."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """The same file under another name; a copy where it cannot be linked."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def folder_size(folder: Path) -> int:
    """Bytes of all files below, each file once; files that go away meanwhile count nothing."""
    total = 0
    seen = set()
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                info = os.lstat(os.path.join(where, name))
            except OSError:
                continue
            if (info.st_dev, info.st_ino) not in seen:
                seen.add((info.st_dev, info.st_ino))
                total += info.st_size
    return total


def sync_folder(folder: Path) -> None:
    """Make renames inside the folder durable, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
