"""Files as streams of bytes, plain or inside .gz and .zip. Nothing is ever extracted to disk, and an archive that
expands beyond the bounds below is refused while it is read, whatever sizes its headers claim."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from nbllm.errors import DataError

MAX_EXPANDED = 16 << 30  # bytes that one archive may expand to
MAX_RATIO = 200  # times its own size, once it is past FREE_BYTES; text packs 3 to 20 times
FREE_BYTES = 32 << 20

# What a suffix is read as.
FORMATS = {
    **dict.fromkeys(
        (".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org", ".adoc", ".srt", ".log", ".py", ".r", ".jl",
         ".js", ".ts", ".c", ".h", ".cpp", ".hpp", ".java", ".go", ".rs", ".rb", ".sh", ".sql", ".css"),
        "text",
    ),
    ".html": "html", ".htm": "html", ".xhtml": "html", ".ipynb": "notebook",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet",
}  # fmt: skip
TEXT_LIKE = ("text", "html", "notebook")


@dataclass(frozen=True)
class Member:
    """One file to read: its name for messages, what it is read as, and a way to open it."""

    name: str
    format: str
    open: Callable[[], BinaryIO]
    path: Path | None = None  # where it lies, when it is a plain file


def is_archive(path: Path) -> bool:
    """Whether the file is opened before it is read."""
    return path.suffix.lower() in (".gz", ".zip")


def format_of(name: str, wanted: str) -> str:
    """What a file is read as: the format asked for, or that of its suffix, or text."""
    suffix = PurePosixPath(name).suffix.lower()
    return FORMATS.get(suffix, "text") if wanted == "auto" else wanted


def members(path: Path, wanted: str) -> Iterator[Member]:
    """The readable files in `path`: itself, or what a .gz or .zip holds."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        yield Member(path.name, format_of(path.stem, wanted), lambda: _bounded(gzip.GzipFile(path), path))
    elif suffix == ".zip":
        yield from _zip_members(path, wanted)
    else:
        yield Member(path.name, format_of(path.name, wanted), lambda: path.open("rb"), path)


def expanded_size(path: Path) -> int:
    """Bytes of text that a file holds, as far as its headers say; checked against the bounds for a .zip."""
    if path.suffix.lower() != ".zip":
        return path.stat().st_size
    size = sum(info.file_size for info in _zip_infos(path))
    _check(size, path)
    return size


def _zip_infos(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path.name} is no readable zip: {error}.", "Pack it again.") from None
    infos = [i for i in infos if not i.is_dir() and not PurePosixPath(i.filename).name.startswith(".")]
    infos = [i for i in infos if FORMATS.get(PurePosixPath(i.filename).suffix.lower(), "parquet") != "parquet"]
    if not infos:
        raise DataError(f"{path.name} holds no text file.", "Pack .txt, .md, .py, .jsonl or .csv files in it.")
    if any(i.flag_bits & 1 for i in infos):
        raise DataError(f"{path.name} is locked with a password.", "Unpack it and give the folder.")
    infos.sort(key=lambda i: i.filename)
    text = [i for i in infos if FORMATS[PurePosixPath(i.filename).suffix.lower()] in TEXT_LIKE]
    return text or infos


def _zip_members(path: Path, wanted: str) -> Iterator[Member]:
    expanded_size(path)
    budget = [0]  # bytes read from the whole archive, shared by its members
    for info in _zip_infos(path):

        def opener(info: zipfile.ZipInfo = info) -> BinaryIO:
            archive = zipfile.ZipFile(path)
            return _bounded(archive.open(info), path, archive, budget)

        yield Member(f"{path.name}/{info.filename}", format_of(info.filename, wanted), opener)


def _check(size: int, path: Path) -> None:
    packed = path.stat().st_size
    bound = min(MAX_EXPANDED, max(FREE_BYTES, MAX_RATIO * packed))
    if size > bound:
        raise DataError(
            f"{path.name} ({packed:,} bytes) expands beyond {bound:,} bytes.",
            "Unpack it yourself, if you trust it, and give the folder.",
        )


class _Bounded(io.RawIOBase):
    """An expanding stream that stops at the bounds."""

    def __init__(self, inner: BinaryIO, path: Path, owner: zipfile.ZipFile | None, count: list[int]):
        self._inner, self._path, self._owner, self._count = inner, path, owner, count

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._inner.read(len(buffer))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise DataError(f"{self._path.name} is damaged: {error}.", "Pack or fetch it again.") from None
        self._count[0] += len(data)
        _check(self._count[0], self._path)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            if self._owner is not None:
                self._owner.close()
        super().close()


def _bounded(
    inner: object, path: Path, owner: zipfile.ZipFile | None = None, count: list[int] | None = None
) -> BinaryIO:
    raw = _Bounded(cast(BinaryIO, inner), path, owner, [0] if count is None else count)
    return io.BufferedReader(raw, buffer_size=1 << 18)
