"""Rows of a table, or the sentences of a corpus, to examples: read, cleaned, split, encoded once."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from nbllm.config import RunConfig
from nbllm.data import sources, tokenizers
from nbllm.data.clean import CleanReport, clean, clean_rows
from nbllm.data.entities import parse_spans
from nbllm.data.examples import ExampleWriter
from nbllm.data.make_tokens import watched
from nbllm.data.recipe import Progress, Recipe
from nbllm.data.rows import Row, Spool, read_rows
from nbllm.data.sentences import sentence_rows
from nbllm.errors import DataError

TOGETHER = 512  # rows encoded at once
LABELS = 10_000


def make_examples(
    config: RunConfig,
    base: Path,
    cache: Path | None,
    entry: Path,
    fingerprint: str,
    progress: Progress,
    recipe: Recipe,
) -> None:
    """Rows, or the sentences of a corpus, to examples, left in `entry`."""
    entry.mkdir()
    if recipe.columns:
        spool, cleaning, missing = spooled(config, recipe.columns, base, cache, entry / "rows.jsonl")
    else:
        cleaning, missing = CleanReport(), dict[str, int]()
        spool = Spool(entry / "rows.jsonl")
        for row in sentence_rows(clean(watched(config, base, cache, progress), config.data.clean, cleaning)):
            spool.append(row, row["document"])
        spool.split_tail(config.data.held_out, config.data.split == "document")
    removed = {**cleaning.removed, **{f"no {role}": count for role, count in missing.items()}}
    _refuse_few(config, spool, removed)
    progress("learning the vocabulary", None)
    tokenizer, target = _tokenizers(config, spool, recipe)
    tokenizer.save(str(entry / "tokenizer.json"))
    if target is not None:
        target.save(str(entry / "target_tokenizer.json"))
    several = config.objective.multi_label
    labels = tuple(config.objective.labels or _labels(spool, several))
    report = _encode(spool, entry, recipe, (tokenizer, target, labels), several, fingerprint, progress)
    report["test_rows"] = len(spool.tested)
    spool.path.unlink()
    summary = {
        "source": config.data.source,
        "encoding": None if recipe.columns else sources.encoding_of(config.data, base, cache),
        "documents": cleaning.documents,
        "removed": removed,
        "clean": cleaning.as_dict(),
        **report,
        "vocab_size": tokenizer.get_vocab_size(),
        "target_vocab_size": target.get_vocab_size() if target is not None else None,
        "labels": list(labels),
        "fingerprint": fingerprint,
    }
    (entry / "report.json").write_text(json.dumps(summary, ensure_ascii=False), encoding="utf-8")


def spooled(
    config: RunConfig, columns: Sequence[str], base: Path, cache: Path | None, path: Path
) -> tuple[Spool, CleanReport, dict[str, int]]:
    """The rows of a table read, cleaned and split, in a file at `path`; with what was cleaned and what was missing."""
    cleaning, missing = CleanReport(), dict[str, int]()
    spool = Spool(path)
    for row in clean_rows(read_rows(config.data, columns, base, cache, missing), config.data, cleaning):
        spool.append(row, row.get("label", ""))
    spool.split(config.data.held_out)
    return spool, cleaning, missing


def split_rows(
    config: RunConfig, columns: Sequence[str], base: Path, cache: Path | None
) -> tuple[list[Row], list[Row], list[Row]]:
    """The texts of a table, as training splits them: those to learn from, those held out, and those for a test."""
    with tempfile.TemporaryDirectory() as folder:
        spool, _, _ = spooled(config, columns, base, cache, Path(folder) / "rows.jsonl")
        return list(spool.rows(held=False)), list(spool.rows(held=True)), list(spool.test_rows())


def _refuse_few(config: RunConfig, spool: Spool, removed: dict[str, int]) -> None:
    if not spool.held or len(spool.held) + len(spool.tested) == spool.count:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in removed.items())
        raise DataError(
            f"{config.data.source} holds {spool.count:,} examples of use{f' ({reasons})' if reasons else ''}, and some "
            "are to be held out.",
            "Give more of them, or a larger data.held_out.",
        )


def _tokenizers(config: RunConfig, spool: Spool, recipe: Recipe) -> tuple[Tokenizer, Tokenizer | None]:
    """One vocabulary for all texts, or one for the target apart."""
    apart = config.tokenizer.separate and "target" in recipe.columns
    limit = int(config.tokenizer.sample_mb * 1e6)

    def texts(roles: Callable[[str], bool]) -> Iterator[str]:
        left = limit
        for row in spool.rows():
            for role, text in row.items():
                if role not in ("label", "document", "spans", "golds") and roles(role) and left > 0:
                    left -= len(text)
                    yield text

    first = tokenizers.train(config.tokenizer, texts(lambda role: not apart or role != "target"), recipe.special)
    second = tokenizers.train(config.tokenizer, texts(lambda role: role == "target"), recipe.special) if apart else None
    return first, second


def _labels(spool: Spool, several: bool) -> list[str]:
    """The labels that stand in the data, numbers by size, others by the alphabet; none where there is no label."""
    found: set[str] = set()
    for row in spool.rows():
        if "spans" in row:
            found.update(kind for _, _, kind in parse_spans(row["text"], row["spans"]))
        elif "label" in row:
            found.update(_names(row["label"], several))
        else:
            return []
        if len(found) > LABELS:
            raise DataError(
                f"The label column holds over {LABELS:,} different labels.", "Is it the right one? Set label_column."
            )
    try:
        return sorted(found, key=float)
    except ValueError:
        return sorted(found)


def _names(label: str, several: bool) -> list[str]:
    """The labels in a cell: one, or those that `|` parts."""
    return [name for name in map(str.strip, label.split("|")) if name] if several else [label]


def _encode(
    spool: Spool,
    entry: Path,
    recipe: Recipe,
    known: tuple[Tokenizer, Tokenizer | None, tuple[str, ...]],
    several: bool,
    fingerprint: str,
    progress: Progress,
) -> dict[str, Any]:
    """Write the examples of both sides; what was found on the way."""
    assert recipe.encoder is not None, "an objective that learns from rows says how they become examples"
    encoder = recipe.encoder(*known)
    done, label_counts, dropped = 0, Counter[str](), 0
    sides = {}
    for side, held in (("train", False), ("held_out", True)):
        writer = ExampleWriter(entry / side)
        tokens = size = 0
        for rows in _grouped(spool.rows(held)):
            for row, example in zip(rows, encoder.encode(rows), strict=True):
                if example is None:
                    dropped += 1
                    continue
                writer.append(example)
                told = row.get("target", row.get("text", ""))
                tokens += len(example.get("target", example.get("tokens", ()))) + 1
                size += len(told.encode("utf-8", "replace"))
                if not held and "label" in row:
                    label_counts.update(_names(row["label"], several))
            done += len(rows)
            progress("tokenizing", done / spool.count)
        if not writer.count:
            raise DataError("No example is left with any token in it.", "Give rows with text in all of their columns.")
        sides[side] = writer.close(tokens=tokens, bytes=size, fingerprint=fingerprint).about
    tokens = sides["train"]["tokens"] + sides["held_out"]["tokens"]
    return {
        "examples": sides["train"]["count"] + sides["held_out"]["count"],
        "train_examples": sides["train"]["count"],
        "held_out_examples": sides["held_out"]["count"],
        "tokens": tokens,
        "train_tokens": sides["train"]["tokens"],
        "held_out_tokens": sides["held_out"]["tokens"],
        "bytes": sides["train"]["bytes"] + sides["held_out"]["bytes"],
        "bytes_per_token": sides["held_out"]["bytes"] / max(1, sides["held_out"]["tokens"]),
        "cut_to_context": encoder.cut,
        "without_tokens": dropped,
        "label_counts": dict(label_counts.most_common()),
    }


def _grouped(rows: Iterator[Row]) -> Iterator[list[Row]]:
    held: list[Row] = []
    for row in rows:
        held.append(row)
        if len(held) == TOGETHER:
            yield held
            held = []
    if held:
        yield held
