"""Code of the standard library, cut by top-level module: some modules are learned from, others only asked about.

    python-code         corpus: the source files of the modules that are not for the test
    python-explained    corpus: their functions without docstring, each with what its docstring says first
    python-completions  table: `prompt`, `completion`: the rest of a line, or the body of a function
    function-summaries  table: `prompt` (a function and MARK), `completion` (the first line of its docstring)

A prompt that ends in a line break asks for a body; one that ends within a line asks for the rest of that line.
"""

from __future__ import annotations

import ast
import random
import re
import sysconfig
import textwrap
import warnings
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from nbllm.data.builtin import source_files
from nbllm.data.sides import side_of
from nbllm.errors import DataError

VERSION = 1  # raised when what is made here changes, so that what is kept of the old one is not used
TEST = 12  # of 100 top-level modules
SKIPPED = "encodings"  # tables of characters, each much like the next
MARK = "# In words:"
BEFORE = 1200  # characters of a prompt
LINES, BODIES, SUMMARIES = 12, 6, 60  # rows of a file at most
LONGEST_BODY, LONGEST_CODE = 400, 900  # characters

Function = ast.FunctionDef | ast.AsyncFunctionDef
_SIMPLE = (ast.Assign, ast.AugAssign, ast.Return, ast.Raise, ast.Expr, ast.Assert, ast.Delete)
_DEF = re.compile(r"^[ \t]*(?:async |def |class )", re.MULTILINE)  # in a docstring: not to be taken for the function's
_PIECE = re.compile(r"\s*(?:\w+|[^\w\s]+)")


def python_code() -> Iterator[str]:
    """The source of every module that is not for the test."""
    yield from (text for name, text, _ in modules() if side(name) == "train")


def python_explained() -> Iterator[str]:
    """A function without its docstring, MARK, and what the docstring says first; modules of the test left out."""
    for name, text, tree in modules():
        if side(name) == "train":
            for code, said in explained(text, tree):
                yield f"{code}{MARK} {said}\n"


def python_completions() -> Iterator[dict[str, str]]:
    """`prompt`, `completion` and `split`; the same rows on the same Python."""
    for name, text, tree in modules():
        for prompt, completion in rows_of_tree(text, tree):
            yield {"prompt": prompt, "completion": completion, "split": side(name)}


def function_summaries() -> Iterator[dict[str, str]]:
    """`prompt`, `completion` and `split`."""
    for name, text, tree in modules():
        for code, said in list(explained(text, tree))[:SUMMARIES]:
            yield {"prompt": code + MARK, "completion": f" {said}", "split": side(name)}


def modules() -> Iterator[tuple[str, str, ast.Module]]:
    """The top-level module of each source file, its text and its tree. DataError where Python has no sources."""
    root, found = Path(sysconfig.get_path("stdlib")), False
    for path in source_files():
        name = path.relative_to(root).parts[0].removesuffix(".py")
        if name == SKIPPED:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in the library's own strings
            try:
                text = path.read_text(encoding="utf-8")
                tree = ast.parse(text)
            except (SyntaxError, ValueError):
                continue  # files that are broken on purpose
        found = True
        yield name, text, tree
    if not found:
        raise DataError("This Python has no sources of its standard library.", "Give code of your own: --data FOLDER.")


def rows_of_tree(text: str, tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Prompts and completions of one file: some lines, then some bodies."""
    draw = random.Random(zlib.crc32(text.encode()))
    lines, bodies = [], []
    for node in ast.walk(tree):
        if isinstance(node, Function):
            bodies += body_of(text, node)
            lines += lines_of(text, node, draw)
    for found, most in ((lines, LINES), (bodies, BODIES)):
        yield from draw.sample(found, min(most, len(found)))


def rows_of_text(text: str) -> list[tuple[str, str]]:
    """The same of any text: of Python its functions, of another language (or a part of a file) its lines alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return list(rows_of_tree(text, ast.parse(text)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    draw, found, at = random.Random(zlib.crc32(text.encode())), [], 0
    for line in text.splitlines(keepends=True):
        if 12 <= len(line.strip()) <= 90:
            found += _cut(text, at, line.rstrip("\r\n"), draw)
        at += len(line)
    return draw.sample(found, min(LINES, len(found)))


def side(module: str) -> str:
    """test or train, always the same for a top-level module."""
    return side_of(module, TEST)


def body_of(text: str, node: Function) -> list[tuple[str, str]]:
    """A function cut behind its docstring, where its body is neither empty nor long."""
    body = _without_docstring(node)
    if not body or body[0].lineno == node.lineno or _end(node.body[0]) == node.lineno:
        return []
    start, end = _offset(text, body[0].lineno), _offset(text, _end(node) + 1)
    if body is not node.body:
        start = _offset(text, _end(node.body[0]) + 1)  # comments before the first statement belong to the body
    first = _offset(text, node.lineno)
    if start - first > BEFORE or not 20 <= end - start <= LONGEST_BODY or _DEF.search(text, first + 4, start):
        return []
    return [(_before(text, start), text[start:end].rstrip() + "\n")]


def lines_of(text: str, node: Function, draw: random.Random) -> list[tuple[str, str]]:
    """Simple statements of a function that fill a line, each cut somewhere in its first half."""
    found = []
    for statement in _without_docstring(node):
        start, end = _offset(text, statement.lineno), _offset(text, statement.lineno + 1)
        line = text[start:end].rstrip("\n")
        whole = isinstance(statement, _SIMPLE) and _end(statement) == statement.lineno
        if not whole or not 12 <= len(line.strip()) <= 90 or "#" in line or ";" in line:
            continue
        found += _cut(text, start, line, draw)
    return found


def _cut(text: str, start: int, line: str, draw: random.Random) -> list[tuple[str, str]]:
    """A line that begins there, cut behind a word or sign of its first half."""
    pieces = list(_PIECE.finditer(line))
    cut = pieces[draw.randrange(max(1, len(pieces) // 2))].end()
    return [(_before(text, start + cut), line[cut:])] if line[cut:].strip() else []


def explained(text: str, tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Functions that have a docstring and are short: the code without it, and its first line."""
    for node in ast.walk(tree):
        if not isinstance(node, Function):
            continue
        said = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
        body = _without_docstring(node)
        if not 15 <= len(said) <= 120 or not body or body[0].lineno <= _end(node.body[0]):
            continue
        start, end = _offset(text, node.lineno), _offset(text, _end(node) + 1)
        quoted = _offset(text, node.body[0].lineno), _offset(text, _end(node.body[0]) + 1)
        code = textwrap.dedent(text[start : quoted[0]] + text[quoted[1] : end]).strip() + "\n"
        if len(code) <= LONGEST_CODE:
            yield code, said


def without_docstring(source: str) -> str:
    """The source of one function as `python-explained` shows it. SyntaxError where it is none."""
    text = textwrap.dedent(source)
    node = next((each for each in ast.walk(ast.parse(text)) if isinstance(each, Function)), None)
    if node is None:
        raise SyntaxError("no function")
    start, end = _offset(text, node.lineno), _offset(text, _end(node) + 1)
    if ast.get_docstring(node) is not None and len(node.body) > 1:
        first, behind = _offset(text, node.body[0].lineno), _offset(text, _end(node.body[0]) + 1)
        return text[start:first] + text[behind:end].rstrip() + "\n"
    return text[start:end].rstrip() + "\n"


def _without_docstring(node: Function) -> list[ast.stmt]:
    return node.body[1:] if ast.get_docstring(node) is not None else node.body


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _offset(text: str, line: int) -> int:
    """Where a line begins, counted from 1; the end of the text for the line after the last."""
    starts = _starts(text)
    return starts[line - 1] if line <= len(starts) else len(text)


@lru_cache(maxsize=1)
def _starts(text: str) -> list[int]:
    return [0, *(found.end() for found in re.finditer("\n", text))]


def _before(text: str, end: int) -> str:
    """At most BEFORE characters before a place, whole lines."""
    if end <= BEFORE:
        return text[:end]
    return text[text.find("\n", end - BEFORE - 1) + 1 : end]
