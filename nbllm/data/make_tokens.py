"""A corpus to token files: read, cleaned, split, its vocabulary learned, cut into tokens, each in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from nbllm.config import RunConfig
from nbllm.data import sources, tokenizers
from nbllm.data.canaries import plant
from nbllm.data.clean import CleanReport, clean
from nbllm.data.corpus import Part, write_corpus
from nbllm.data.encode import encode_part
from nbllm.data.readers import Record
from nbllm.data.recipe import Progress, Recipe
from nbllm.errors import DataError


def make_tokens(
    config: RunConfig,
    base: Path,
    cache: Path | None,
    entry: Path,
    fingerprint: str,
    progress: Progress,
    recipe: Recipe,
) -> None:
    """A corpus to token files, left in `entry`."""
    entry.mkdir()
    data = config.data
    report = CleanReport()
    records = clean(watched(config, base, cache, progress), data.clean, report)
    train, held = write_corpus(records, entry, data.held_out, data.split == "document")
    _refuse_empty(config, report, train, held)
    if data.canaries:
        train = plant(train, entry, data, config.train.seed, report)
    progress("learning the vocabulary", None)
    tokenizer, sample = learn(config, (train, held), recipe.special)
    tokenizer.save(str(entry / "tokenizer.json"))
    whole = (train.end - train.start) + (held.end - held.start)
    progress("tokenizing", 0.0)
    train_file, unknown = encode_part(
        train, tokenizer, entry / "train.bin", fingerprint, lambda done: progress("tokenizing", done / whole)
    )
    before = train.end - train.start
    held_file, unknown_held = encode_part(
        held,
        tokenizer,
        entry / "held_out.bin",
        fingerprint,
        lambda done: progress("tokenizing", (before + done) / whole),
    )
    for path in {train.path, held.path, entry / "corpus.train", entry / "corpus.held_out"}:
        path.unlink(missing_ok=True)
    tokens, characters = train_file.tokens + held_file.tokens, train.characters + held.characters
    summary = {
        "source": data.source,
        "encoding": sources.encoding_of(data, base, cache),
        "documents": report.documents,
        "characters": characters,
        "bytes": train.text_bytes + held.text_bytes,
        "tokens": tokens,
        "train_tokens": train_file.tokens,
        "held_out_tokens": held_file.tokens,
        "unknown_tokens": unknown + unknown_held,
        "tokens_per_char": tokens / characters,
        "bytes_per_token": held_file.bytes / max(1, held_file.tokens),
        "removed": dict(report.removed),
        "clean": report.as_dict(),
        "sample": sample,
        "vocab_size": tokenizer.get_vocab_size(),
        "fingerprint": fingerprint,
    }
    (entry / "report.json").write_text(json.dumps(summary, ensure_ascii=False), encoding="utf-8")


def learn(
    config: RunConfig, parts: tuple[Part, ...], special: tuple[str, ...] = ()
) -> tuple[Tokenizer, dict[str, int]]:
    """The tokenizer, and how much of the corpus it was learned on: {"bytes": ..., "of": ...}."""
    whole = sum(part.end - part.start for part in parts)
    limit = int(config.tokenizer.sample_mb * 1e6)
    share = min(1.0, limit / whole)

    def sample() -> Iterator[str]:
        for part in parts:
            size = part.end - part.start
            yield from part.sample(size if share == 1.0 else int(size * share))

    return tokenizers.train(config.tokenizer, sample(), special), {"bytes": min(limit, whole), "of": whole}


def watched(config: RunConfig, base: Path, cache: Path | None, progress: Progress) -> Iterator[Record]:
    """The records, telling how much of the source is read (characters against bytes: good enough for a bar)."""
    info = sources.check_source(config.data, base, cache)
    size = info.size if info.kind in ("file", "folder", "glob") and info.format != "parquet" else None
    if config.data.limit_mb is not None:
        size = min(size or 2**62, int(config.data.limit_mb * 1e6))
    read = told = 0
    for record in sources.read_records(config.data, base, cache):
        read += len(record.text) if record.text.isascii() else len(record.text.encode("utf-8", errors="replace"))
        if read - told >= 1 << 20:
            told = read
            progress("reading", min(1.0, read / size) if size else None)
        yield record


def _refuse_empty(config: RunConfig, report: CleanReport, train: Part, held: Part) -> None:
    if report.documents == 0:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.removed.items())
        raise DataError(
            f"Of {config.data.source}, nothing is left to learn from ({reasons or 'no text'}).",
            "Loosen data.clean, or give a source with some text.",
        )
    if config.data.split == "document" and (train.documents == 0 or held.documents == 0):
        raise DataError(
            f"split: document needs enough documents to hold some out, and there {_are(report.documents)}.",
            "Use split: tail, or a larger held_out.",
        )


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count:,}"
