"""A look at a source before training on it: figures, samples, and where a tokenizer would cut. Data only, no HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import DataConfig, TokenizerConfig
from nbllm.data import sources, tokenizers
from nbllm.data.clean import CleanReport, clean
from nbllm.data.readers import Record

if TYPE_CHECKING:
    import pandas

READ = 8_000_000  # characters looked at
SAMPLES = 5
SHOWN = 400  # characters of a sample


@dataclass(frozen=True)
class Preview:
    """What the start of a source looks like. `complete` says whether that was all of it."""

    source: str
    kind: str
    size: int | None  # bytes on disk
    complete: bool
    records: int
    characters: int
    tokens: int
    tokens_per_character: float
    vocabulary: int
    longest: int  # characters of the longest record
    samples: list[str]
    sample_tokens: list[list[str]]  # each sample's tokens, labelled for people
    sample_boundaries: list[list[int]]  # where each token ends in its sample, in characters
    clean: dict[str, Any]

    def to_frame(self) -> pandas.DataFrame:
        """The figures: one row each, indexed by name."""
        import pandas

        figures = {
            "source": self.source,
            "kind": self.kind,
            "bytes": self.size,
            "records": self.records,
            "characters": self.characters,
            "tokens": self.tokens,
            "tokens per character": round(self.tokens_per_character, 4),
            "vocabulary": self.vocabulary,
            "longest record": self.longest,
            "removed": _listed(self.clean["removed"]) or "nothing",
            **({"redacted": redacted} if (redacted := _listed(self.clean.get("redacted", {}))) else {}),
            "read": "all" if self.complete else f"the first {self.characters:,} characters",
        }
        return pandas.DataFrame({"value": list(figures.values())}, index=pandas.Index(figures, name="figure"))


def preview(data: DataConfig, tokenizer: TokenizerConfig, base: Path, cache: Path | None = None) -> Preview:
    """Read at most 8 million characters of the source, clean them, learn the tokenizer on them, and measure."""
    info = sources.check_source(data, base, cache)
    report = CleanReport()
    reader = _Reader(sources.read_records(data, base, cache))
    documents = list(_whole(clean(reader, data.clean, report)))
    if tokenizer.kind.endswith(".json"):
        path = base / Path(tokenizer.kind).expanduser()
        tokenizer = tokenizer.model_copy(update={"kind": str(path)})
    learned = tokenizers.train(tokenizer, iter(documents))
    tokens = sum(_count(learned, text) for text in documents)
    characters = sum(map(len, documents))
    step = max(1, len(documents) // SAMPLES)
    samples = [text[:SHOWN] for text in islice(documents, 0, None, step)][:SAMPLES]
    encodings = [learned.encode(text, add_special_tokens=False) for text in samples]
    return Preview(
        source=data.source,
        kind=info.kind,
        size=info.size,
        complete=reader.complete,
        records=len(documents),
        characters=characters,
        tokens=tokens,
        tokens_per_character=tokens / characters if characters else 0.0,
        vocabulary=learned.get_vocab_size(),
        longest=max(map(len, documents), default=0),
        samples=samples,
        sample_tokens=[tokenizers.token_strings(learned, encoding.ids) for encoding in encodings],
        sample_boundaries=[[end for _, end in encoding.offsets] for encoding in encodings],
        clean=report.as_dict(),
    )


class _Reader:
    """Records up to READ characters; remembers whether they were all."""

    def __init__(self, records: Iterator[Record]):
        self._records = records
        self.complete = True

    def __iter__(self) -> Iterator[Record]:
        left = READ
        for record in self._records:
            if len(record.text) >= left:
                self.complete = False
                yield Record(record.text[:left])
                return
            left -= len(record.text)
            yield record


def _whole(records: Iterator[Record]) -> Iterator[str]:
    """Documents put together from their pieces; READ bounds them."""
    parts: list[str] = []
    for record in records:
        parts.append(record.text)
        if not record.continues:
            yield "".join(parts)
            parts = []


def _count(tokenizer: Any, text: str) -> int:
    pieces = [text[i : i + 65536] for i in range(0, len(text), 65536)]
    return sum(len(e) for e in tokenizer.encode_batch_fast(pieces, add_special_tokens=False))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
