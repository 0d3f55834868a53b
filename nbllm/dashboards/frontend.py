"""The front end's files: plain ES modules in widgets/, made one module a widget as anywidget wants it.

`import { a } from "./b.js";` is replaced by the text of b.js, once; nothing else is understood or needed.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|let|function|class|async)", re.MULTILINE)


@cache
def folder() -> Path:
    """widgets/ of the checkout, or its copy inside an installed package."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_widgets"
    return shipped if shipped.is_dir() else package.parent / "widgets"


def module(name: str) -> str:
    """The file with the modules it imports written into it, deepest first. Read afresh, so that an edit shows."""
    done: list[str] = []
    parts: list[str] = []

    def visit(file: str) -> None:
        if file in done:
            return
        done.append(file)
        text = (folder() / file).read_text(encoding="utf-8")
        for inner in _IMPORT.findall(text):
            visit(inner)
        parts.append(_EXPORT.sub("", _IMPORT.sub("", text)))

    visit(name)
    return "\n".join(parts)


def style(name: str) -> str:
    """The text of a style sheet."""
    return (folder() / name).read_text(encoding="utf-8")
