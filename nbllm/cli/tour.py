"""The notebooks from a terminal: run the first to a page (demo), copy them all (tour), open them (lab)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from nbllm.errors import ConfigError, NbllmError
from nbllm.magics.command import Command
from nbllm.magics.parse import Parsed

FIRST = "01-first-model.ipynb"
FOLDER = "nbllm-tour"  # where the notebooks go if nothing is said
_LEFT = {"runs", ".ipynb_checkpoints", "__pycache__"}  # what working in the folder leaves there


def demo(command: Command, parsed: Parsed) -> None:
    """Execute the first notebook in a real kernel and leave its page."""
    folder = Path(parsed.flags.get("output", "output"))
    from nbllm.runners.notebook import execute

    page = execute(notebooks() / FIRST, folder)
    print(f"The executed notebook: {page}\nOpen the same notebook live: make lab (in the checkout), or: nbllm lab")


def tour(command: Command, parsed: Parsed) -> None:
    """Copy the notebooks to a folder of the user's, and say what was done."""
    folder = Path(parsed.names[0] if parsed.names else FOLDER)
    print(_copied(folder, *copy_tour(folder)))
    print(f"Open them: nbllm lab {folder}")


def lab(command: Command, parsed: Parsed) -> int:
    """Open JupyterLab on a folder, or on the notebooks: those of a checkout, else the user's own copies."""
    if parsed.names:
        folder = Path(parsed.names[0])
        if not folder.is_dir():
            raise ConfigError(f"There is no folder {folder}.", "Write nbllm lab [FOLDER].")
    else:
        folder = notebooks()
        if folder.name != "notebooks":  # inside the installed package: not a place to write in
            folder = Path(FOLDER)
            print(_copied(folder, *copy_tour(folder)), flush=True)
    first = folder / FIRST
    call = [sys.executable, "-m", "jupyterlab", str(first if first.is_file() else folder)]
    if parsed.flags.get("no_browser"):
        call.append("--no-browser")
    if "port" in parsed.flags:
        call.append(f"--port={parsed.flags['port']}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        call.append("--allow-root")
    return subprocess.call(call)


def notebooks() -> Path:
    """The notebooks: of the checkout, or those that came with the package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package.parent / "notebooks", package / "_notebooks"):
        if (folder / FIRST).is_file():
            return folder
    raise NbllmError(
        "The notebooks did not come with this nbllm.", "Install it anew: pip install --force-reinstall nbllm"
    )


def copy_tour(folder: Path) -> tuple[list[str], list[str]]:
    """Copy the notebooks, and what lies beside them, as files of the user's own; nothing is ever written over.

    Returns the names that were copied, and the names that were there already and differ from ours: the user's work, or
    an older nbllm's. Raises ConfigError where the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file.", "Write nbllm tour [FOLDER].")
    source = notebooks()
    copied, kept = [], []
    for file in sorted(source.rglob("*")):
        name = file.relative_to(source)
        if not file.is_file() or _LEFT & set(name.parts):
            continue
        target = folder / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            copied.append(name.as_posix())
        elif not target.is_file() or target.read_bytes() != file.read_bytes():
            kept.append(name.as_posix())
    return copied, kept


def _copied(folder: Path, copied: list[str], kept: list[str]) -> str:
    lines = [f"Copied {len(copied)} files to {folder}." if copied else f"The notebooks are in {folder} already."]
    if kept:
        lines.append(f"Left as they are, for they differ: {', '.join(kept)}.")
    return "\n".join(lines)
