"""From a configuration to the files that training reads: source, records, cleaned corpus, tokenizer, tokens.

    prepare(config, base, folder, cache, progress) -> Prepared
      folder/tokenizer.json
      folder/data/train.bin  train.json  held_out.bin  held_out.json

The same corpus with the same tokenizer is worked through once: the files lie in `cache/tokens/<fingerprint>/`, and a
run folder gets hard links (a copy where the file system has none), so it stands alone when the cache is emptied.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers as tokenizers_library
from tokenizers import Tokenizer

from nbllm.config import RunConfig
from nbllm.data import sources, tokenizers
from nbllm.data.clean import CleanReport, clean
from nbllm.data.corpus import Part, write_corpus
from nbllm.data.encode import encode_part
from nbllm.data.readers import Record
from nbllm.data.token_file import TokenFile
from nbllm.errors import DataError

VERSION = 1  # raised when the same settings would give other tokens
Progress = Callable[[str, float | None], None]
_FILES = ("train.bin", "train.json", "held_out.bin", "held_out.json")


@dataclass(frozen=True)
class Prepared:
    """What training needs to know of its data."""

    tokenizer_path: Path
    train: TokenFile
    held_out: TokenFile
    vocab_size: int
    report: dict[str, Any]


def prepare(config: RunConfig, base: Path, folder: Path, cache: Path | None, progress: Progress) -> Prepared:
    """Make (or find in the cache) the token files of a run.

    `base`: where relative paths start. `folder`: the run folder. `cache`: None for no cache. `progress(what, share)` is
    called often, with None where the share is unknown; an exception of its own stops the work and leaves nothing half
    made.
    Raises DataError and ConfigError as one line.
    """
    progress("reading", None)
    use_cache = config.data.cache and cache is not None
    config = _absolute_tokenizer(config, base)
    if config.tokenizer.kind.endswith(".json"):
        tokenizers.load(config.tokenizer.kind)  # a wrong path is said before the corpus is read
    sources.check_source(config.data, base, cache)
    fingerprint = _fingerprint(config, base, cache)
    target = folder / "data"
    target.mkdir(parents=True, exist_ok=True)
    if use_cache:
        assert cache is not None
        shelf = cache / "tokens"
        shelf.mkdir(parents=True, exist_ok=True)
        entry = shelf / fingerprint
        cached = _is_whole(entry)
        if not cached:
            shutil.rmtree(entry, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=shelf, prefix="making-", ignore_cleanup_errors=True) as work:
                _make(config, base, cache, Path(work) / "entry", fingerprint, progress)
                _move(Path(work) / "entry", entry)
        os.utime(entry)  # the time of the last use
        _place(entry, folder)
    else:
        cached = False
        with tempfile.TemporaryDirectory(dir=target, prefix="making-", ignore_cleanup_errors=True) as work:
            entry = Path(work) / "entry"
            _make(config, base, cache, entry, fingerprint, progress)
            _place(entry, folder)
    return _opened(config, folder, cached)


def _make(config: RunConfig, base: Path, cache: Path | None, entry: Path, fingerprint: str, progress: Progress) -> None:
    """Do the work and leave its files in `entry`."""
    entry.mkdir()
    data = config.data
    report = CleanReport()
    records = clean(_watched(config, base, cache, progress), data.clean, report)
    train, held = write_corpus(records, entry, data.held_out, data.split == "document")
    _refuse_empty(config, report, train, held)
    progress("learning the vocabulary", None)
    tokenizer, sample = learn(config, (train, held))
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


def learn(config: RunConfig, parts: tuple[Part, ...]) -> tuple[Tokenizer, dict[str, int]]:
    """The tokenizer, and how much of the corpus it was learned on: {"bytes": ..., "of": ...}."""
    whole = sum(part.end - part.start for part in parts)
    limit = int(config.tokenizer.sample_mb * 1e6)
    share = min(1.0, limit / whole)

    def sample() -> Iterator[str]:
        for part in parts:
            size = part.end - part.start
            yield from part.sample(size if share == 1.0 else int(size * share))

    return tokenizers.train(config.tokenizer, sample()), {"bytes": min(limit, whole), "of": whole}


def _watched(config: RunConfig, base: Path, cache: Path | None, progress: Progress) -> Iterator[Record]:
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


def _opened(config: RunConfig, folder: Path, cached: bool) -> Prepared:
    """The files of the run folder, refused when they do not hold one window each."""
    data = folder / "data"
    report = json.loads((data / "report.json").read_text(encoding="utf-8"))
    train, held = TokenFile.open(data / "train.bin"), TokenFile.open(data / "held_out.bin")
    need = config.train.context + 1
    smaller = min(train.tokens, held.tokens)
    if smaller < need:
        fits = f"train.context: {smaller - 1} or less" if smaller > 2 else "a smaller train.context"
        raise DataError(
            f"{config.data.source} is too short: {train.tokens:,} tokens to train on and {held.tokens:,} held out, "
            f"and one window takes {need:,} of each (context {config.train.context:,} and one).",
            f"Give more text, or set {fits}" + (", or a larger data.held_out." if held.tokens < need else "."),
        )
    return Prepared(folder / "tokenizer.json", train, held, report["vocab_size"], {**report, "cached": cached})


def _absolute_tokenizer(config: RunConfig, base: Path) -> RunConfig:
    if not config.tokenizer.kind.endswith(".json"):
        return config
    path = str((base / Path(config.tokenizer.kind).expanduser()).absolute())
    return config.model_copy(update={"tokenizer": config.tokenizer.model_copy(update={"kind": path})})


def _fingerprint(config: RunConfig, base: Path, cache: Path | None) -> str:
    """A name for the text and everything that turns it into tokens."""
    data = config.data.model_dump(mode="json", exclude={"source", "stride", "cache", "allow_download"})
    tokenizer = config.tokenizer.model_dump(mode="json")
    if config.tokenizer.kind.endswith(".json"):
        tokenizer = {"kind": hashlib.sha256(Path(config.tokenizer.kind).read_bytes()).hexdigest()}
    if config.tokenizer.kind == "word":
        tokenizer["segmenter"] = importlib.util.find_spec("jieba") is not None
    content = [
        VERSION,
        tokenizers_library.__version__,
        sources.identity(config.data, base, cache),
        data,
        tokenizer,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _is_whole(entry: Path) -> bool:
    """Whether an entry of the cache can be used: made to the end, and the sizes are right."""
    try:
        TokenFile.open(entry / "train.bin")
        TokenFile.open(entry / "held_out.bin")
        tokenizers.load(entry / "tokenizer.json")
    except DataError:
        return False
    return (entry / "report.json").is_file()


def _move(made: Path, entry: Path) -> None:
    """Put the entry on its shelf; another worker may have made the same one meanwhile, which is as good."""
    try:
        made.rename(entry)
    except OSError:
        if not _is_whole(entry):
            raise


def _place(entry: Path, folder: Path) -> None:
    """Bring the files of an entry into a run folder, in place of earlier ones."""
    for name in (*_FILES, "report.json"):
        _bring(entry / name, folder / "data" / name, name.endswith(".bin"))
    _bring(entry / "tokenizer.json", folder / "tokenizer.json", link=False)


def _bring(source: Path, target: Path, link: bool) -> None:
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    if not (link and _linked(source, part)):
        shutil.copyfile(source, part)
    os.replace(part, target)


def _linked(source: Path, target: Path) -> bool:
    """Whether a hard link could be made: not on every file system, and not across two."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True
