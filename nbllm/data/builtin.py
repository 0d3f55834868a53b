"""Corpora that every machine has: no download, no file of our own. Each function gives its documents in a fixed order.

    python-docs        the language reference that `help()` shows (`pydoc_data.topics`)
    python-stdlib      source code of the standard library, without its tests
    python-docstrings  its documentation strings
    zh-phrases         Chinese sentences (see `nbllm.data.chinese`)

A slim Python may lack the first or the second: the docstrings of the modules that can be imported take their place.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

VERSION = 1  # raised when a corpus here changes, so that tokens kept of the old one are not used
_ENOUGH = 20  # fewer source files than this: the standard library is not there as source
_SKIPPED = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "__pycache__",
    "lib2to3",
    "pydoc_data",
    "turtledemo",
}


def python_docs() -> Iterator[str]:
    """The topics of Python's language reference, by name."""
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        yield from python_docstrings()
        return
    for name in sorted(topics):
        yield topics[name]


def python_stdlib() -> Iterator[str]:
    """The source files of the standard library, by path."""
    found = False
    for path in source_files():
        found = True
        yield path.read_text(encoding="utf-8", errors="replace")
    if not found:
        yield from _imported_docstrings()


def python_docstrings() -> Iterator[str]:
    """Each distinct docstring of the standard library, file by file, a heading with its name above it."""
    found = False
    seen: set[str] = set()
    for path in source_files():
        for name, text in docstrings_of(path):
            if len(text) > 20 and text not in seen:
                seen.add(text)
                found = True
                yield f"{name}\n\n{text}"
    if not found:
        yield from _imported_docstrings()


def zh_phrases() -> Iterator[str]:
    """Chinese paragraphs from CLDR names and a grammar of our own."""
    from nbllm.data.chinese import paragraphs

    yield from paragraphs()


def source_files() -> list[Path]:
    """The standard library's .py files, sorted; empty where it has no sources."""
    root = Path(sysconfig.get_path("stdlib"))
    found = [p for p in root.rglob("*.py") if not _SKIPPED.intersection(p.relative_to(root).parts[:-1])]
    return sorted(found, key=lambda p: p.relative_to(root).as_posix()) if len(found) >= _ENOUGH else []


def docstrings_of(path: Path) -> Iterator[tuple[str, str]]:
    """Each docstring of a source file, of itself and of its classes and functions, with the name that it is about; none
    of a file that is broken on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in the library's own strings
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", path.stem), text


def _imported_docstrings() -> Iterator[str]:
    """Docstrings of modules that are loaded anyway, and of what they define."""
    seen: set[str] = set()
    for name in sorted(set(sys.stdlib_module_names) & set(sys.modules)):
        module = sys.modules[name]
        things = [module, *(getattr(module, key, None) for key in sorted(vars(module)) if not key.startswith("_"))]
        for thing in things:
            text = inspect.getdoc(thing) if callable(thing) or inspect.ismodule(thing) else None
            if text and text not in seen:
                seen.add(text)
                yield f"{getattr(thing, '__name__', name)}\n\n{text}"
