"""What `data.source` names, a quick look at it, and its records.

    check_source(data, base)   what is there, in the kernel, quickly; a DataError with the nearest name otherwise
    read_records(data, base)   its documents, streamed in bounded memory
    parts(data, base)          the same, a file at a time
    identity(data, base)       what the cache of tokens knows a source by

A source is, in this order: `hf:...`, a web address, the name of a built-in corpus, a file, a folder, a glob.
"""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from nbllm.config import DataConfig
from nbllm.data import members as files
from nbllm.data import readers, remote
from nbllm.data.encodings import is_binary
from nbllm.data.members import FORMATS, TEXT_LIKE
from nbllm.data.readers import Record, columns_of, pieces, read_member, text_column
from nbllm.errors import DataError, did_you_mean
from nbllm.registry import CORPORA, TABLES

MAX_FILES = 100_000
TABLE_FORMATS = ("csv", "jsonl", "parquet")


@dataclass(frozen=True)
class SourceInfo:
    """A quick look at a source."""

    source: str
    kind: str  # file, archive, folder, glob, https, corpus, huggingface
    format: str  # text, html, notebook, jsonl, json, csv, parquet
    files: int
    size: int | None  # bytes, packed where packed; None where only reading tells
    columns: tuple[str, ...] = ()
    text_column: str | None = None


def check_source(data: DataConfig, base: Path, cache: Path | None = None) -> SourceInfo:
    """Does the source exist, how large is it, what columns has it? Reads no more than the first lines.

    Relative paths start at `base`. Raises DataError: no such file (with near names), empty, nothing readable in a
    folder, a binary file, a wrong column, a download not agreed to.
    """
    if data.source.startswith("hf:"):
        return _check_dataset(data, base)
    if remote.is_address(data.source) and not remote.cached_file(data.source, cache).is_file():
        if not data.allow_download:
            remote.ask_first(data.source, cache)
        name = remote.cached_file(data.source, cache).name
        return SourceInfo(data.source, "https", files.format_of(name, data.format), 1, None)
    if data.source in CORPORA:
        return SourceInfo(data.source, "corpus", "text", 1, None)
    if data.source in TABLES:
        columns = tuple(next(iter(TABLES.get(data.source)())))
        column = text_column(data.text_column, columns, columns, data.source)
        return SourceInfo(data.source, "table", "table", 1, None, columns, column)
    kind, paths = find_files(data, base, cache)
    size = 0
    for path in paths:
        size += path.stat().st_size
        if path.suffix.lower() == ".zip":
            files.expanded_size(path)
    if size == 0:
        raise DataError(f"{data.source} is empty.", "Give a file with some text in it.")
    first = next(p for p in paths if p.stat().st_size)
    member = next(files.members(first, data.format))
    if member.format != "parquet" and data.encoding is None:
        with member.open() as stream:
            if is_binary(stream.read(4096)):
                raise DataError(f"{member.name} is a binary file, not text.", "Give a text file or a table.")
    names, textual = columns_of(member, data)
    named = text_column(data.text_column, names, textual, member.name) if names else None
    return SourceInfo(data.source, kind, member.format, len(paths), size, tuple(names), named)


def read_records(data: DataConfig, base: Path, cache: Path | None = None) -> Iterator[Record]:
    """The documents of a source in a fixed order. A long one comes in pieces (see `Record`); stops at `limit_mb`."""
    records = (record for part in parts(data, base, cache) for record in part())
    yield from records if data.limit_mb is None else limited(records, int(data.limit_mb * 1e6))


def limited(records: Iterator[Record], left: int) -> Iterator[Record]:
    """The records up to `left` bytes of text."""
    for record in records:
        encoded = record.text.encode("utf-8")
        if len(encoded) >= left:
            yield Record(encoded[:left].decode("utf-8", errors="ignore"))
            return
        left -= len(encoded)
        yield record


def parts(data: DataConfig, base: Path, cache: Path | None = None) -> Iterator[Callable[[], Iterator[Record]]]:
    """A call for each file that reads its documents, in a fixed order; a corpus or a data set is one part."""
    if data.source.startswith("hf:"):
        yield partial(remote.read_dataset, data, base)
    elif data.source in CORPORA:
        yield lambda: (record for text in CORPORA.get(data.source)() for record in pieces(text))
    elif data.source in TABLES:
        column = check_source(data, base, cache).text_column
        yield lambda: (record for row in TABLES.get(data.source)() for record in pieces(row[column]))
    else:
        for path in find_files(data, base, cache)[1]:
            for member in files.members(path, data.format):
                yield partial(read_member, member, data)


def identity(data: DataConfig, base: Path, cache: Path | None = None) -> list[Any]:
    """What makes two sources the same text: the content of the files, or the name and version of what makes it.

    Content rather than time stamps, so that a copied or touched file is still the same corpus.
    """
    if data.source.startswith("hf:"):
        return ["huggingface", data.source, data.dataset_split, remote.dataset(data, base)._fingerprint]
    for table in (CORPORA, TABLES):
        if data.source in table:
            module = sys.modules[table.get(data.source).__module__]
            if not table.is_builtin(data.source):
                return ["registered corpus", data.source, os.urandom(16).hex()]  # code of a cell: never taken as known
            return ["corpus", data.source, module.VERSION, platform.python_version(), metadata.version("babel")]
    _, paths = find_files(data, base, cache)
    return ["files", *([path.name, path.stat().st_size, _digest(path)] for path in paths)]


def encoding_of(data: DataConfig, base: Path, cache: Path | None = None) -> str | None:
    """Encoding of the source's first text file; None for what is not a file of text."""
    if data.source.startswith("hf:") or data.source in CORPORA or data.source in TABLES:
        return None
    member = next(files.members(find_files(data, base, cache)[1][0], data.format))
    if member.format == "parquet":
        return None
    return data.encoding or readers.encoding_of(member, data)


def find_files(data: DataConfig, base: Path, cache: Path | None = None) -> tuple[str, list[Path]]:
    """The kind of a source and its files, sorted by path. Fetches an address that was agreed to."""
    source = data.source
    if remote.is_address(source):
        if not data.allow_download and not remote.cached_file(source, cache).is_file():
            remote.ask_first(source, cache)
        return "https", [remote.fetch(source, cache)]
    path = base / Path(source).expanduser()
    if path.is_file():
        if not os.access(path, os.R_OK):
            raise DataError(f"{source} may not be read by this user.", "Change its permissions, or copy it.")
        return ("archive" if files.is_archive(path) else "file"), [path]
    if path.is_dir():
        return "folder", _readable(data, path, sorted(_walk(path), key=lambda p: p.as_posix()))
    if glob.has_magic(source):
        found = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if os.path.isfile(p))
        if not found:
            raise DataError(f"No file fits {source}.", _near(path, base))
        return "glob", found
    raise DataError(f"There is no file '{source}'.", _near(path, base))


def _check_dataset(data: DataConfig, base: Path) -> SourceInfo:
    """A saved data set is looked at; one by name only when it is asked to be read, in the worker."""
    folder = remote.dataset_folder(data.source, base)
    if folder is None and data.allow_download:
        return SourceInfo(data.source, "huggingface", "table", 1, None)
    found = remote.streamed(data, base) if data.streaming else remote.dataset(data, base)
    columns, column = remote.dataset_columns(found, data)
    return SourceInfo(data.source, "huggingface", "table", 1, found.info.dataset_size, columns, column)


def _walk(folder: Path) -> Iterator[Path]:
    """Files under a folder; hidden ones, caches and run folders are passed over, links to folders not followed."""
    count = 0
    for place, folders, names in os.walk(folder):
        if "status.json" in names and "metrics.jsonl" in names:
            folders.clear()
            continue
        folders[:] = [f for f in folders if not f.startswith((".", "__")) and f != "node_modules"]
        for name in names:
            if not name.startswith("."):
                count += 1
                if count > MAX_FILES:
                    raise DataError(f"{folder} holds over {MAX_FILES:,} files.", "Give a smaller folder or a glob.")
                yield Path(place) / name


def _readable(data: DataConfig, folder: Path, paths: list[Path]) -> list[Path]:
    """The files of a folder to read: those of the format asked for, else text where there is any, else tables."""
    kinds = {p: FORMATS.get(Path(p.stem if p.suffix == ".gz" else p.name).suffix.lower()) for p in paths}
    if data.format == "text":
        found = [p for p in paths if kinds[p] in TEXT_LIKE]
    elif data.format != "auto":
        found = [p for p in paths if kinds[p] == data.format]
    else:
        found = [p for p in paths if kinds[p] in TEXT_LIKE] or [p for p in paths if kinds[p] in TABLE_FORMATS]
    if not found:
        seen = sorted({p.suffix for p in paths if p.suffix})[:12]
        raise DataError(
            f"{data.source} holds no file that can be read{f' (only {chr(44).join(seen)})' if seen else ''}.",
            "Text files end in .txt, .md, .py, .html, .ipynb..., tables in .jsonl, .csv, .tsv or .parquet.",
        )
    return found


def _near(path: Path, base: Path) -> str:
    """Advice for a name that does not exist: near names in its folder, or of a built-in corpus."""
    folder = path.parent
    if not folder.is_dir():
        return f"There is no folder {folder} either."
    names = [p.name for p, _ in zip(sorted(folder.iterdir()), range(2000), strict=False) if not p.name.startswith(".")]
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    if near:
        return "Did you mean " + " or ".join(f"'{_shown(folder / n, base)}'" for n in near) + "?"
    corpus = did_you_mean(path.name, [*CORPORA, *TABLES])
    if corpus.startswith("Did you mean"):
        return corpus
    some = ", ".join(names[:8])
    return f"The folder {_shown(folder, base)} holds: {some or 'nothing'}. Built-in: {', '.join([*CORPORA, *TABLES])}."


def _shown(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
