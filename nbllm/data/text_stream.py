"""The text of a source as an endless stream of tokens that can be left and taken up again at any token.

    TextStream(data, base).blocks(place)    one pass over the cleaned text, from a place on, a block at a time
    TokenStream(text, encode, start)        its tokens without an end: after the last document `start` comes again

Nothing is written, and no more than a few blocks are in memory. A place is small and plain, so that JSON holds it:

    source   where the document begins: [file, document] of files, the library's state of a data set; None: the start
    read     bytes of text before the document, where `limit_mb` counts them
    bytes    bytes of the cleaned document before the place, its end counted as one
    skip     tokens of the block that begins there which are used up
    epoch    passes before this one

To come back to a place inside a file, that file is read again from its start, which is quick beside tokenizing it; the
files before it are passed over.
"""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nbllm.config import DataConfig
from nbllm.data import remote, sources
from nbllm.data.clean import CleanReport, by_document, clean
from nbllm.data.corpus import MARK
from nbllm.data.encode import PIECE, cut
from nbllm.data.readers import Record, pieces
from nbllm.errors import DataError
from nbllm.registry import CORPORA

Place = dict[str, Any]
START: Place = {"source": None, "read": 0, "bytes": 0}
BLOCK = 1 << 18  # bytes that are tokenized together


@dataclass(frozen=True)
class Block:
    """Some text, UTF-8 with a mark at the end of each document, and the place where it begins."""

    place: Place
    text: bytes


class TextStream:
    """The cleaned text of a source. `report` counts what the last pass dropped; `revision` pins a hub's data set."""

    def __init__(self, data: DataConfig, base: Path, cache: Path | None = None, revision: str | None = None):
        self.data, self.base, self.cache, self.revision = data, base, cache, revision
        self.report = CleanReport()

    def blocks(self, place: Place = START, size: int = BLOCK, piece: int = PIECE) -> Iterator[Block]:
        """One pass from the place on, in blocks of about `size` bytes, put together of pieces of at most `piece`; the
        same blocks again from the place of any of them."""
        self.report = CleanReport()
        start, skip = place, place["bytes"]
        held: list[bytes] = []
        total = 0
        for here, document in self._documents(place):
            used = skip
            for part in self._parts(document, skip, piece):
                if total >= size:
                    yield Block(start, b"".join(held))
                    start, held, total = {**here, "bytes": used}, [], 0
                held.append(part)
                total += len(part)
                used += len(part)
            skip = 0
        if held:
            yield Block(start, b"".join(held))

    def identity(self) -> list[Any]:
        """What tells this text from another, without reading it: names and sizes of its files, or a version."""
        data = self.data
        if data.source.startswith("hf:"):
            folder = remote.dataset_folder(data.source, self.base)
            paths = [] if folder is None else sorted(path for path in folder.rglob("*") if path.is_file())
            files = [[path.name, path.stat().st_size] for path in paths if not path.name.startswith(".")]
            return ["huggingface", data.source, data.dataset_config, data.dataset_split, self.revision, files]
        if data.source in CORPORA:
            return ["corpus", data.source, platform.python_version()]
        _, paths = sources.find_files(data, self.base, self.cache)
        return ["files", data.source, [[path.name, path.stat().st_size] for path in paths]]

    def _parts(self, document: Iterator[Record], skip: int, piece: int) -> Iterator[bytes]:
        """The cleaned document from its byte `skip` on, and the mark of its end; nothing of one that is dropped."""
        stays = False
        for record in clean(document, self.data.clean, self.report):
            stays = True
            text = record.text.encode("utf-8", errors="replace")
            yield from cut(text[skip:], piece)
            skip = max(0, skip - len(text))
        if stays and not skip:
            yield MARK

    def _documents(self, place: Place) -> Iterator[tuple[Place, Iterator[Record]]]:
        """The raw documents up to `limit_mb`, each with its place."""
        limit, read = self.data.limit_mb, place["read"]
        for source, document in self._all_documents(place["source"]):
            here = {"source": source, "read": read, "bytes": 0}
            if limit is None:
                yield here, document
                continue
            left = int(limit * 1e6) - read
            if left < 4:  # bytes of the longest character: less may be left of a text that was cut there
                return
            counted = _Counted(sources.limited(document, left))
            yield here, counted
            read += counted.bytes

    def _all_documents(self, source: Any) -> Iterator[tuple[Any, Iterator[Record]]]:
        if self.data.source.startswith("hf:"):
            for before, text in remote.read_streamed(self.data, self.base, source, self.revision):
                yield before, pieces(text)
            return
        first_file, first_document = source or (0, 0)
        for file, part in enumerate(sources.parts(self.data, self.base, self.cache)):
            if file < first_file:
                continue
            for number, document in enumerate(by_document(part())):
                if file == first_file and number < first_document:
                    for _ in document:  # read to its end, and passed over
                        pass
                    continue
                yield [file, number], document


class _Counted(Iterator[Record]):
    """Records, and how many bytes of text they had so far."""

    def __init__(self, records: Iterator[Record]):
        self._records = records
        self.bytes = 0

    def __next__(self) -> Record:
        record = next(self._records)
        self.bytes += len(record.text.encode("utf-8", errors="replace"))
        return record


class TokenStream:
    """The tokens from `start` on, over and over; `place` goes on from another place than the start."""

    def __init__(
        self, text: TextStream, encode: Callable[[bytes], np.ndarray], start: Place, place: Place | None = None
    ):
        self._text, self._encode, self._start = text, encode, start
        self._empty = place is None  # whether this pass has given no token yet
        place = place or {**start, "skip": 0, "epoch": 0}
        self._epoch, self._skip = place["epoch"], place["skip"]
        self._blocks = text.blocks(place)
        self._held: deque[tuple[Place, np.ndarray]] = deque()  # a block's place, and those of its tokens that are left
        self._there = 0

    @property
    def place(self) -> Place:
        """Where the next token stands."""
        self._fill(1)
        return self._held[0][0]

    def take(self, count: int, used: int) -> np.ndarray:
        """(count,) the next tokens; of them, or with some that follow, `used` will not come again."""
        self._fill(max(count, used))
        found = np.concatenate([ids for _, ids in self._held])[:count]
        self._there -= used
        while used:
            place, ids = self._held.popleft()
            if used < len(ids):
                self._held.appendleft(({**place, "skip": place["skip"] + used}, ids[used:]))
                break
            used -= len(ids)
        return found

    def _fill(self, count: int) -> None:
        while self._there < count:
            block = next(self._blocks, None)
            if block is None:
                if self._empty:
                    raise DataError(f"Of {self._text.data.source}, nothing is left to learn from.", "Give more text.")
                self._epoch, self._empty = self._epoch + 1, True
                self._blocks = self._text.blocks(self._start)
                continue
            ids = self._encode(block.text)[self._skip :]
            if len(ids):
                self._held.append(({**block.place, "skip": self._skip, "epoch": self._epoch}, ids))
                self._there += len(ids)
                self._empty = False
            self._skip = 0
