"""A cleaned corpus in one temporary file, so that it is read once, sampled evenly and cut without being held in memory.

UTF-8 with the byte 0xFF between documents: a byte that UTF-8 never uses, so no text can be taken for a boundary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nbllm.data.readers import Record

MARK = b"\xff"
BLOCK = 1 << 20  # bytes handled at a time
SAMPLE_BLOCK = 1 << 16


@dataclass
class Part:
    """A stretch of a corpus file: the training text or the held-out text."""

    path: Path
    start: int = 0
    end: int = 0  # bytes, marks included
    text_bytes: int = 0  # of the text alone
    characters: int = 0
    documents: int = 0

    def blocks(self) -> Iterator[bytes]:
        """Blocks of about a megabyte, cut at line ends or between documents, else between characters."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            left, held = self.end - self.start, b""
            while left:
                chunk = file.read(min(BLOCK, left))
                left -= len(chunk)
                held += chunk
                if left:
                    cut = max(held.rfind(b"\n"), held.rfind(MARK)) + 1 or _character_end(held)
                    yield held[:cut]
                    held = held[cut:]
            if held:
                yield held

    def sample(self, size: int) -> Iterator[str]:
        """About `size` bytes of text, taken evenly; all of it where it is not larger. Documents are parted."""
        if self.end - self.start <= size:
            for block in self.blocks():
                yield from documents_of(block)
            return
        count = max(1, size // SAMPLE_BLOCK)
        with self.path.open("rb") as file:
            for i in range(count):
                file.seek(self.start + (self.end - self.start - SAMPLE_BLOCK) * i // max(1, count - 1))
                yield from documents_of(file.read(min(SAMPLE_BLOCK, size)))


def documents_of(block: bytes) -> list[str]:
    """The texts in a block, a document or a part of one each; half characters at the ends fall away."""
    return [text for part in block.split(MARK) if (text := part.decode("utf-8", errors="ignore"))]


def write_corpus(
    records: Iterable[Record],
    folder: Path,
    held_out: float,
    by_document: bool,
) -> tuple[Part, Part]:
    """Write the records and cut them: (training, held out), which never share a character.

    by_document: every k-th document is held out, spread evenly. Otherwise the tail is: the last `held_out` of the
    characters, so the held-out text is the same whatever the tokenizer.
    """
    train, held = Part(folder / "corpus.train"), Part(folder / "corpus.held_out")
    number = 0
    with train.path.open("wb") as train_file, held.path.open("wb") as held_file:
        started = True
        for record in records:
            to_held = by_document and int((number + 1) * held_out) > int(number * held_out)
            part, file = (held, held_file) if to_held else (train, train_file)
            if started and part.documents:
                file.write(MARK)
                part.end += 1
            encoded = record.text.encode("utf-8", errors="replace")
            file.write(encoded)
            part.end += len(encoded)
            part.text_bytes += len(encoded)
            part.characters += len(record.text)
            part.documents += started
            started = not record.continues
            number += started
    if not by_document:
        train, held = _cut_tail(train, held_out)
    return train, held


def _cut_tail(whole: Part, held_out: float) -> tuple[Part, Part]:
    """The first part up to the character where the tail starts, and the tail, in the same file."""
    keep = int(whole.characters * (1 - held_out))
    place, characters, documents = 0, 0, int(whole.documents > 0)
    for block in whole.blocks():
        codes = np.frombuffer(block, dtype=np.uint8)
        marks = codes == 0xFF
        leads = ((codes & 0xC0) != 0x80) & ~marks
        count = int(leads.sum())
        if characters + count > keep:
            cut = int(np.flatnonzero(leads)[keep - characters])
            documents += int(marks[:cut].sum())
            text_bytes = place + cut - (documents - 1)
            start, first_whole = place + cut, whole.documents - documents
            train = Part(whole.path, 0, start, text_bytes, keep, documents)
            rest = whole.characters - keep
            held = Part(whole.path, start, whole.end, whole.text_bytes - text_bytes, rest, first_whole + 1)
            return train, held
        characters += count
        documents += int(marks.sum())
        place += len(block)
    return whole, Part(whole.path, whole.end, whole.end)


def _character_end(block: bytes) -> int:
    """Where the last whole character of a block ends."""
    cut = len(block)
    while cut and (block[cut - 1] & 0xC0) == 0x80:
        cut -= 1
    return cut - 1 if cut > 1 else len(block)
