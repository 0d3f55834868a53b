"""Pieces: what a run's configuration names and the package does not bring, because a notebook's cell has registered it.

They go to the worker once, over its standard input, as {table: {name: object}} by cloudpickle, and never to disk; the
text of each is kept in the run folder's `cells/`, for reading only.
"""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Collection, Iterator
from typing import Any

from nbllm.config import RunConfig
from nbllm.errors import ModelError, NbllmError, RunError, one_line
from nbllm.registry import CALLBACKS, METRICS, MODELS, OBJECTIVES, Registry
from nbllm.store.files import write_text
from nbllm.store.folder import RunFolder

CELLS = "cells"
TABLES: dict[str, Registry[Any]] = {table.noun: table for table in (MODELS, OBJECTIVES, METRICS, CALLBACKS)}


def named(config: RunConfig) -> Iterator[tuple[Registry[Any], str]]:
    """The tables and the names in them that a configuration asks for."""
    yield MODELS, config.model.kind
    yield OBJECTIVES, config.objective.kind
    for name in config.train.metrics:
        yield METRICS, name
    for name in config.train.callbacks:
        yield CALLBACKS, name


def own(config: RunConfig) -> dict[str, dict[str, Any]]:
    """{table: {name: object}} of what is named and was registered here, not built in."""
    found: dict[str, dict[str, Any]] = {}
    for table, name in named(config):
        if name in table and not table.is_builtin(name):
            found.setdefault(table.noun, {})[name] = table.get(name)
    return found


def pack(config: RunConfig) -> bytes:
    """The run's own pieces as they are sent, b"" where it has none. RunError for one that cannot be sent."""
    pieces = own(config)
    if not pieces:
        return b""
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(pieces))
    except Exception as error:  # whatever a cell's globals raise when they are pickled
        names = ", ".join(f"{noun} '{name}'" for noun, things in pieces.items() for name in things)
        raise RunError(
            f"This cannot be sent to the worker: {names} ({one_line(error)}).",
            "Make inside it what it needs, or train with runner='inline'.",
        ) from None


def register(payload: bytes) -> None:
    """Enter what `pack` made. It comes over our own pipe from the process that made us, never from a file.

    RunError where it cannot be opened.
    """
    if not payload:
        return
    import cloudpickle

    try:
        pieces = cloudpickle.loads(payload)
    except Exception as error:
        raise RunError(
            f"The worker cannot open what the notebook registered: {one_line(f'{type(error).__name__}: {error}')}.",
            "Define it, and what it uses, in the notebook, or in a module of the notebook's folder.",
        ) from error
    for noun, things in pieces.items():
        for name, thing in things.items():
            TABLES[noun].register(name)(thing)


def keep_text(folder: RunFolder, config: RunConfig) -> None:
    """Write the text of the run's own pieces into its folder."""
    for noun, things in own(config).items():
        for name, thing in things.items():
            path = folder.path / CELLS / f"{noun}_{name}.py"
            path.parent.mkdir(exist_ok=True)
            write_text(path, _text(thing))


def require(folder: RunFolder, config: RunConfig, nouns: Collection[str] = TABLES.keys()) -> None:
    """An error that names the cell to run, where a piece of the run is not known here: to go on all are needed."""
    for table, name in named(config):
        if table.noun not in nouns:
            continue
        text = folder.path / CELLS / f"{table.noun}_{name}.py"
        known = name in table and not (text.is_file() and table.is_builtin(name))
        if not known:
            fault: type[NbllmError] = ModelError if table is MODELS else RunError
            where = f" Its text is in {text}" if text.is_file() else ""
            raise fault(
                f"The {table.noun} '{name}' of run '{folder.name}' is not registered here.",
                f'Run the cell with @nbllm.{table.noun}s.register("{name}") first.{where}',
            )


def _text(thing: Any) -> str:
    """The text of a function or class from a cell; where it cannot be had, a line that says so."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return _class_text(thing) or f"# The text of {thing!r} could not be read.\n"


def _class_text(thing: Any) -> str:
    """The text of a class in the cell that its methods come from: `inspect` does not find classes of a notebook."""
    for method in filter(inspect.isfunction, vars(thing).values() if inspect.isclass(thing) else ()):
        lines = linecache.getlines(method.__code__.co_filename)
        try:
            nodes = list(ast.walk(ast.parse("".join(lines))))
        except SyntaxError:
            continue
        for node in nodes:
            if isinstance(node, ast.ClassDef) and node.name == thing.__name__:
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                return "".join(lines[first - 1 : node.end_lineno])
    return ""
