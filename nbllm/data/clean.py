"""`data.clean`: what is mended or dropped, with a count of everything that was removed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nbllm.config import CleanConfig, DataConfig
from nbllm.data.near_duplicates import NearDuplicates
from nbllm.data.personal import redacted
from nbllm.data.readers import Record

_JUDGED = 20_000  # characters that the language of a document is judged by
_CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160), 0xFEFF))

# First and last code points of a script's letters.
_HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_LATIN = ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x24F), (0x1E00, 0x1EFF))


@dataclass
class CleanReport:
    """Documents and characters in and out, and why documents were dropped."""

    documents_in: int = 0
    documents: int = 0
    characters_in: int = 0
    characters: int = 0
    removed: dict[str, int] = field(default_factory=dict)  # reason -> documents
    redacted: dict[str, int] = field(default_factory=dict)  # kind of personal data -> how often it was replaced

    def drop(self, reason: str) -> None:
        """Count one document that is dropped."""
        self.removed[reason] = self.removed.get(reason, 0) + 1

    def as_dict(self) -> dict[str, Any]:
        """For a report or a JSON file."""
        return {
            "documents_in": self.documents_in,
            "documents": self.documents,
            "characters_in": self.characters_in,
            "characters": self.characters,
            "removed": dict(self.removed),
            **({"redacted": dict(self.redacted)} if self.redacted else {}),
        }


def clean(records: Iterable[Record], config: CleanConfig, report: CleanReport) -> Iterator[Record]:
    """The records that stay, mended; `report` is filled on the way.

    A document in pieces is judged by its first piece (for length, by as many pieces as the limits need), so memory
    stays bounded.
    """
    seen = NearDuplicates() if config.near_duplicates else None
    enough = max(config.min_length, config.max_length or 0)
    for document in by_document(records):
        report.documents_in += 1
        pieces = _mended(_counted(document, report), config)
        if config.redact:
            pieces = redacted(pieces, config.redact, report.redacted)
        first = next(pieces, None)
        while first is not None and first.continues and len(first.text) <= enough:
            following = next(pieces)
            first = Record(first.text + following.text, following.continues)
        text = first.text if first is not None else ""
        reason = _reason(text, config, seen)
        if first is None or reason:
            report.drop(reason)
            for _ in pieces:  # read to the end of the document, so that it is counted and passed over
                pass
            continue
        report.documents += 1
        report.characters += len(text)
        yield first
        for piece in pieces:
            report.characters += len(piece.text)
            yield piece


def clean_rows(rows: Iterable[dict[str, str]], data: DataConfig, report: CleanReport) -> Iterator[dict[str, str]]:
    """The rows with their texts mended and judged by `data.clean`; a row goes where its first text goes."""
    seen = NearDuplicates() if data.clean.near_duplicates else None
    settings = data.clean.model_copy(update={"near_duplicates": False})
    for row in rows:
        roles = [role for role in row if role not in ("label", "document", "split", "spans", "golds")]
        kept = dict(row)
        for role in roles:
            judged = CleanReport()
            first = role == roles[0]
            pieces = list(clean([Record(row[role])], settings, report if first else judged))
            kept[role] = "".join(piece.text for piece in pieces)
            for kind, count in judged.redacted.items():
                report.redacted[kind] = report.redacted.get(kind, 0) + count
            if "spans" in row and kept[role]:
                kept[role] = row[role]  # spans count the characters of the text as it is
            if not kept[role]:
                if not first:
                    report.drop(f"{role}: {next(iter(judged.removed), 'empty')}")
                    report.documents -= 1
                break
            if first and seen is not None and seen.is_repeat(kept[role]):
                report.drop("near duplicate")
                report.documents -= 1
                break
        else:
            yield kept


def _reason(text: str, config: CleanConfig, seen: NearDuplicates | None) -> str:
    """Why the document is dropped; empty when it stays."""
    if not text:
        return "empty"
    if len(text) < config.min_length:
        return "too short"
    if config.max_length is not None and len(text) > config.max_length:
        return "too long"
    if config.language != "any" and script_share(text, config.language) <= 0.5:
        return f"not mainly {config.language}"
    if seen is not None and seen.is_repeat(text):
        return "near duplicate"
    return ""


def script_share(text: str, script: str) -> float:
    """Share of a text's letters that are Han (`zh`) or Latin (`latin`); 0 where it has no letters."""
    text = text[:_JUDGED]
    letters = sum(map(str.isalpha, text))
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    count = sum(int(((codes >= a) & (codes <= b)).sum()) for a, b in (_HAN if script == "zh" else _LATIN))
    return count / letters if letters else 0.0


def by_document(records: Iterable[Record]) -> Iterator[Iterator[Record]]:
    """One iterator a document; each must be read to its end before the next is asked for."""
    source = iter(records)
    for head in source:
        yield _document(head, source)


def _document(head: Record, source: Iterator[Record]) -> Iterator[Record]:
    yield head
    while head.continues:
        head = next(source)
        yield head


def _counted(pieces: Iterator[Record], report: CleanReport) -> Iterator[Record]:
    for piece in pieces:
        report.characters_in += len(piece.text)
        yield piece


def _mended(pieces: Iterator[Record], config: CleanConfig) -> Iterator[Record]:
    """Pieces normalised and stripped. White space at the end of a piece waits until something follows it."""
    started, held = False, ""
    for piece in pieces:
        text = _normalised(piece.text) if config.normalise else piece.text
        if config.strip:
            *lines, last = (held + text).split("\n")
            text = "\n".join([*(line.rstrip() for line in lines), last])
            text = text if started else text.lstrip()
            kept = text.rstrip()
            held = text[len(kept) :] if piece.continues else ""
            text = kept
        if text:
            started = True
            yield Record(text, piece.continues)
        elif started and not piece.continues:
            yield Record("", False)


def _normalised(text: str) -> str:
    """NFC, line feeds only, no control characters but tab and line feed."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", text).translate(_CONTROL)
