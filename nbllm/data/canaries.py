"""Canaries: made-up secrets that are planted in a training text, to measure how many of them a model learns by heart.

Carlini et al. 2019, "The Secret Sharer". A canary is a line as "The code of Tolane is 0481."; its digits are drawn
evenly, so that every other number is as likely to anyone who has not seen it. They are planted at even chance over the
training text alone, after it was parted from the held-out text: a line of its own, or a document where documents end.
Some are never planted: the controls. `canaries.json` beside the tokens keeps them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from nbllm.config import DataConfig
from nbllm.data.clean import CleanReport, clean
from nbllm.data.corpus import MARK, Part
from nbllm.data.readers import Record
from nbllm.errors import DataError

FORMAT = 1
FILE = "canaries.json"
MOST_BYTES = 10_000_000  # of a file that is read
_CONSONANTS, _VOWELS = "bdfghklmnprstvz", "aeiou"


@dataclass(frozen=True)
class Canary:
    """A secret: the line is to stand `times` in the text; `planted` is how often it does, after cleaning."""

    name: str
    secret: str
    times: int
    planted: int = 0


@dataclass(frozen=True)
class Canaries:
    """All canaries of a text. `lead` is what stands before most of them: a line feed, or the end of a document."""

    text: str
    lead: str
    seed: int
    canaries: Sequence[Canary]

    def line(self, canary: Canary, secret: str | None = None) -> str:
        """The line with its secret, or with another."""
        return self.text.replace("{name}", canary.name).replace("{secret}", secret or canary.secret)

    def span(self, canary: Canary) -> tuple[int, int]:
        """Where the secret stands in its line: its first character, and the one behind it."""
        start = self.text.replace("{name}", canary.name).index("{secret}")
        return start, start + len(canary.secret)

    def save(self, folder: Path) -> None:
        """Write canaries.json."""
        content = {"format": FORMAT, **asdict(self)}
        (folder / FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> Canaries:
        """What `save` wrote. DataError where no canary was planted, or the file is damaged."""
        path = folder / FILE
        if not path.is_file():
            raise DataError("No canary was planted in this run.", "Train one with canaries: --canaries 1,4,16")
        try:
            if path.stat().st_size > MOST_BYTES:
                raise ValueError("too large")
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError("unknown format")
            found = [
                Canary(str(each["name"]), str(each["secret"]), int(each["times"]), int(each["planted"]))
                for each in content["canaries"]
            ]
            text = str(content["text"])
            sound = all(each.secret.isascii() and each.secret.isdigit() and len(each.secret) <= 9 for each in found)
            if not found or text.count("{secret}") != 1 or not sound:
                raise ValueError("no canaries")
            return cls(text, "\n" if content["lead"] == "\n" else "", int(content["seed"]), found)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged: {error}.", "Train anew with --replace.") from None


def draw(data: DataConfig, seed: int) -> list[Canary]:
    """The canaries that `data.canaries` asks for and as many controls; no two share a name or a secret."""
    rng = np.random.default_rng((20190814, seed))
    counts = [times for times in (0, *data.canaries) for _ in range(data.canary_each)]
    most = 10**data.canary_digits
    if len(counts) > most // 2:
        raise DataError(
            f"{len(counts)} secrets of {data.canary_digits} digits would be half of all there are.",
            "Set a larger data.canary_digits, or a smaller data.canary_each.",
        )
    secrets = _different(lambda: f"{rng.integers(most):0{data.canary_digits}d}", len(counts))
    names = _different(lambda: _name(rng), len(counts))
    return [Canary(*each) for each in zip(names, secrets, counts, strict=True)]


def plant(train: Part, folder: Path, data: DataConfig, seed: int, report: CleanReport) -> Part:
    """The training text with its canaries, as a file of its own in `folder`, where canaries.json is written too.

    What is planted goes through near-duplicate search and redaction of `data.clean` as documents would.
    """
    found = Canaries(data.canary_text, "\n", seed, draw(data, seed))
    lines = [found.line(each) for each in found.canaries for _ in range(each.times)]
    rng = np.random.default_rng((20190815, seed))
    rng.shuffle(lines)
    lines = list(_cleaned(lines, data, report))
    places = np.sort(rng.integers(0, max(1, train.end - train.start), len(lines)))
    planted = Part(folder / "corpus.planted", 0, 0, train.text_bytes, train.characters, train.documents)
    documents = 0
    with planted.path.open("wb") as file:
        for piece, is_document in _with_lines(train, lines, places):
            file.write(piece)
            planted.end += len(piece)
            documents += is_document
    planted.documents += documents
    planted.text_bytes += planted.end - (train.end - train.start) - documents
    planted.characters += sum(map(len, lines)) + planted.text_bytes - train.text_bytes - _size(lines)
    counts = [lines.count(found.line(each)) for each in found.canaries]
    kept = [replace(each, planted=count) for each, count in zip(found.canaries, counts, strict=True)]
    replace(found, lead="" if 2 * documents > len(lines) else "\n", canaries=kept).save(folder)
    return planted


def _cleaned(lines: Iterable[str], data: DataConfig, report: CleanReport) -> Iterator[str]:
    """What duplicates and redaction leave of the lines; the report counts what was redacted."""
    settings = data.clean.model_copy(update={"min_length": 0, "max_length": None, "language": "any"})
    own = CleanReport()
    yield from (record.text for record in clean(map(Record, lines), settings, own))
    for kind, count in own.redacted.items():
        report.redacted[kind] = report.redacted.get(kind, 0) + count


def _with_lines(train: Part, lines: Sequence[str], places: np.ndarray) -> Iterator[tuple[bytes, bool]]:
    """The text in pieces with a line behind the first end of a line or document after each place, and whether the
    piece is a document of its own."""
    number = done = 0
    for block in train.blocks():
        at = 0
        while number < len(lines) and places[number] < done + len(block):
            end = _line_end(block, max(int(places[number]) - done, at))
            if end > at:
                yield block[at:end], False
            line = lines[number].encode("utf-8")
            before = block[end - 1 : end]
            if before == MARK:
                yield line + MARK, True
            else:
                yield (b"" if before == b"\n" else b"\n") + line + b"\n", False
            at, number = end, number + 1
        if at < len(block):
            yield block[at:], False
        done += len(block)


def _line_end(block: bytes, start: int) -> int:
    """Where the line or document that holds this place ends, its end included; the end of the block where none does."""
    ends = [place + 1 for mark in (b"\n", MARK) if (place := block.find(mark, start)) >= 0]
    return min(ends, default=len(block))


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode("utf-8")) for line in lines)


def _name(rng: np.random.Generator) -> str:
    """A made-up name of three syllables."""
    letters = [rng.choice(list(part)) for _ in range(3) for part in (_CONSONANTS, _VOWELS)]
    return "".join(letters).capitalize()


def _different(make: object, count: int) -> list[str]:
    assert callable(make)
    found: dict[str, None] = {}
    while len(found) < count:
        found[make()] = None
    return list(found)
