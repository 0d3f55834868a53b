"""From a source to token files: the same text, cut without overlap, tokenized once."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from nbllm.config import RunConfig, resolve
from nbllm.data import corpus
from nbllm.data import make_tokens as module
from nbllm.data.builtin import zh_phrases
from nbllm.data.corpus import Part, write_corpus
from nbllm.data.prepare import prepare
from nbllm.data.preview import preview
from nbllm.data.readers import Record
from nbllm.data.token_file import TokenFile
from nbllm.errors import DataError
from tests.data.conftest import CHINESE, ENGLISH

TEXT = "".join(f"{i}: {CHINESE}{ENGLISH}" for i in range(60)).rstrip()


def config(source: str, kind: str = "char", context: int = 16, tokenizer: Any = (), **settings: Any) -> RunConfig:
    layer = {
        "data": {"source": source, **settings},
        "tokenizer": {"kind": kind, "vocab_size": 600, **dict(tokenizer)},
        "train": {"context": context},
    }
    return resolve([("test", layer)])


@dataclass(frozen=True)
class Prepared:
    """A run folder that `prepare` has filled, and its report."""

    folder: Path
    report: dict[str, Any]

    @property
    def tokenizer_path(self) -> Path:
        return self.folder / "tokenizer.json"

    @property
    def train(self) -> TokenFile:
        return TokenFile.open(self.folder / "data" / "train.bin")

    @property
    def held_out(self) -> TokenFile:
        return TokenFile.open(self.folder / "data" / "held_out.bin")


def run(config: RunConfig, base: Path, name: str = "run", cache: Path | None = None) -> Prepared:
    folder = base.parent / name
    folder.mkdir(exist_ok=True)
    return Prepared(folder, prepare(config, base, folder, cache, lambda what, share: None))


def texts(prepared: Prepared) -> tuple[str, str]:
    tokenizer = Tokenizer.from_file(str(prepared.tokenizer_path))
    return tuple(tokenizer.decode(f.ids().tolist()) for f in (prepared.train, prepared.held_out))  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe"])
@pytest.mark.parametrize("held_out", [0.1, 0.37])
def test_tail_is_the_end_of_the_text_whatever_the_tokenizer(base: Path, kind: str, held_out: float) -> None:
    (base / "a.txt").write_text(TEXT, encoding="utf-8")
    prepared = run(config("a.txt", kind, held_out=held_out), base)
    cut = int(len(TEXT) * (1 - held_out))
    assert texts(prepared) == (TEXT[:cut], TEXT[cut:])
    report = prepared.report
    assert prepared.held_out.bytes == len(TEXT[cut:].encode())
    assert prepared.train.bytes + prepared.held_out.bytes == report["bytes"] == len(TEXT.encode())
    assert report["characters"] == len(TEXT)
    assert report["documents"] == 1
    assert report["tokens"] == prepared.train.tokens + prepared.held_out.tokens
    assert report["bytes_per_token"] == pytest.approx(prepared.held_out.bytes / prepared.held_out.tokens)
    assert (report["encoding"], report["cached"], report["unknown_tokens"]) == ("utf-8", False, 0)
    assert Tokenizer.from_file(str(prepared.tokenizer_path)).get_vocab_size() == report["vocab_size"]
    assert sorted(p.name for p in (base.parent / "run" / "data").iterdir()) == [
        "held_out.bin", "held_out.json", "report.json", "train.bin", "train.json",
    ]  # fmt: skip


def split_documents(prepared: Prepared) -> tuple[list[str], list[str]]:
    tokenizer = Tokenizer.from_file(str(prepared.tokenizer_path))
    end = tokenizer.token_to_id("<eos>")
    found = []
    for file in (prepared.train, prepared.held_out):
        ids = file.ids()
        parts = np.split(ids, np.flatnonzero(ids == end))
        found.append([tokenizer.decode(part.tolist()) for part in parts])
        assert len(parts) == file.documents
    return found[0], found[1]


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe"])
@pytest.mark.parametrize("split", ["tail", "document"])
def test_documents_are_joined_by_eos_and_never_in_both_parts(base: Path, kind: str, split: str) -> None:
    documents = [f"文{i} number {i} <eos>" + "好" * (i % 7) for i in range(100)]
    (base / "a.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
    train, held = split_documents(run(config("a.jsonl", kind, split=split, held_out=0.2), base))
    if split == "document":
        assert held == documents[4::5]
        assert train == [d for i, d in enumerate(documents) if i % 5 != 4]
    else:
        assert [*train[:-1], train[-1] + held[0], *held[1:]] == documents


def test_tail_falls_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "BLOCK", 7)
    documents = ["a你😀", "é", "bcd\ne", "文文"]
    joined = "\0".join(documents)
    for tenth in range(1, 10):
        records = [Record(d) for d in documents]
        train, held = write_corpus(records, tmp_path, tenth / 10, by_document=False)
        parts = [b"".join(p.blocks()).replace(b"\xff", b"\0").decode() for p in (train, held)]
        assert "".join(parts) == joined
        assert train.characters == int(11 * (1 - tenth / 10)) == len(parts[0].replace("\0", ""))
        assert held.characters == len(parts[1].replace("\0", ""))
        for part, text in zip((train, held), parts, strict=True):
            assert part.text_bytes == len(text.replace("\0", "").encode())
            assert part.documents == (text.count("\0") + 1 if part.end > part.start else 0)


def test_same_corpus_is_tokenized_once(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "tokens"
    (base / "a.txt").write_text(TEXT, encoding="utf-8")
    first = run(config("a.txt"), base, "one", cache)
    made: list[str] = []
    original = module.encode_part

    def watched(*arguments: Any) -> Any:
        made.append(str(arguments[2]))
        return original(*arguments)

    monkeypatch.setattr(module, "encode_part", watched)
    again = run(config("a.txt", context=8), base, "two", cache)
    assert made == []
    assert (first.report["cached"], again.report["cached"]) == (False, True)
    assert texts(again) == texts(first)
    assert os.path.samefile(first.train.path, again.train.path)
    for changed in (
        config("a.txt", held_out=0.2),
        config("a.txt", "byte"),
        config("a.txt", clean={"normalise": True}),
        config("a.txt", cache=False),
    ):
        made.clear()
        assert not run(changed, base, "three", cache).report["cached"]
        assert len(made) == 2
    (base / "a.txt").write_text(TEXT + " more", encoding="utf-8")
    assert not run(config("a.txt"), base, "four", cache).report["cached"]
    assert texts(first)[0] == TEXT[: int(len(TEXT) * 0.9)]  # a run keeps its own tokens


def test_damaged_cache_is_made_again(base: Path, tmp_path: Path) -> None:
    (base / "a.txt").write_text(TEXT, encoding="utf-8")
    first = run(config("a.txt"), base, "one", tmp_path / "tokens")
    entry = tmp_path / "tokens" / "tokens" / first.report["fingerprint"]
    (entry / "train.bin").unlink()
    (entry / "train.bin").write_bytes(b"cut")
    assert not run(config("a.txt"), base, "two", tmp_path / "tokens").report["cached"]
    assert run(config("a.txt"), base, "three", tmp_path / "tokens").report["cached"]


def test_stopped_work_leaves_nothing(base: Path, tmp_path: Path) -> None:
    (base / "a.txt").write_text(TEXT, encoding="utf-8")

    def stop(what: str, share: float | None) -> None:
        if what == "tokenizing":
            raise KeyboardInterrupt

    folder = tmp_path / "run"
    folder.mkdir()
    for cache in (None, tmp_path / "tokens"):
        with pytest.raises(KeyboardInterrupt):
            prepare(config("a.txt"), base, folder, cache, stop)
        assert [p for p in tmp_path.rglob("*") if p.is_file() and p.parent != base] == []


def test_progress_is_told(base: Path, tmp_path: Path) -> None:
    (base / "a.txt").write_text(TEXT * 200, encoding="utf-8")
    told: list[tuple[str, float | None]] = []
    prepare(config("a.txt"), base, tmp_path, None, lambda what, share: told.append((what, share)))
    shares = {what: [s for w, s in told if w == what and s is not None] for what, _ in told}
    assert list(shares) == ["reading", "learning the vocabulary", "tokenizing"]
    assert shares["tokenizing"] == sorted(shares["tokenizing"])
    assert shares["tokenizing"][-1] == pytest.approx(1.0)
    assert len(shares["reading"]) >= 1
    assert all(0 <= s <= 1 for part in shares.values() for s in part)


def test_vocabulary_is_learned_on_a_stated_even_sample(base: Path, tmp_path: Path) -> None:
    lines = [f"{chr(0x4E00 + i // 100)} line {i}\n" for i in range(200_000)]
    part, held = write_corpus([Record("".join(lines))], tmp_path, 0.5, by_document=False)
    sample = list(part.sample(500_000))
    assert 400_000 < sum(len(t.encode()) for t in sample) <= 500_000
    seen = sorted({c for text in sample for c in text if ord(c) > 0x4000})
    assert ord(seen[0]) - 0x4E00 < 30
    assert ord(seen[-1]) - 0x4E00 > 970
    assert "".join(held.sample(10**9)).startswith(lines[150_000][:3]) or held.characters
    (base / "a.txt").write_text("".join(lines), encoding="utf-8")
    report = run(config("a.txt", tokenizer={"sample_mb": 0.2}), base).report
    assert report["sample"] == {"bytes": 200_000, "of": report["bytes"]}
    assert report["unknown_tokens"] > 0


def test_saved_tokenizer_is_used(base: Path) -> None:
    (base / "a.txt").write_text(TEXT, encoding="utf-8")
    first = run(config("a.txt", "bpe"), base, "one")
    (base / "saved.json").write_bytes(first.tokenizer_path.read_bytes())
    second = run(config("a.txt", "saved.json"), base, "two")
    np.testing.assert_array_equal(first.train.ids(), second.train.ids())


FAULTS = [
    ("short.txt", {}, r"too short: \d+ tokens to train on and \d+ held out, and one window takes 17 of each"),
    ("blank.txt", {}, "nothing is left to learn from .1 empty"),
    ("a.txt", {"split": "document"}, "split: tail"),
    ("a.txt", {"clean": {"min_length": 10**6}}, "1 too short"),
    ("a.txt", {"clean": {"language": "latin"}, "limit_mb": 0.00001}, "not mainly latin"),
    ("none.txt", {}, "There is no file"),
]


@pytest.mark.parametrize(("source", "settings", "message"), FAULTS)
def test_faults(base: Path, source: str, settings: dict[str, Any], message: str) -> None:
    (base / "short.txt").write_text("too short for it")
    (base / "blank.txt").write_text("  \n\n ")
    (base / "a.txt").write_text(TEXT, encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        run(config(source, **settings), base)
    assert "\n" not in str(caught.value)


def test_missing_tokenizer_file(base: Path) -> None:
    (base / "a.txt").write_text(TEXT, encoding="utf-8")
    with pytest.raises(DataError, match="no tokenizer file"):
        run(config("a.txt", "nothing.json"), base)


def test_blocks_are_cut_between_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "BLOCK", 10)
    path = tmp_path / "x"
    text = "你好世界😀" * 9
    path.write_bytes(text.encode())
    blocks = list(Part(path, 0, len(text.encode())).blocks())
    assert len(blocks) > 5
    assert "".join(b.decode() for b in blocks) == text


def test_preview(base: Path) -> None:
    source = list(zh_phrases())[:50]
    (base / "a.jsonl").write_text("".join(json.dumps(t) + "\n" for t in [*source, ""]))
    settings = config("a.jsonl", "word", tokenizer={"vocab_size": 4000})
    found = preview(settings.data, settings.tokenizer, base)
    assert (found.records, found.characters, found.complete) == (50, sum(map(len, source)), True)
    assert found.longest == max(map(len, source))
    assert 0.4 < found.tokens_per_character < 1
    assert found.tokens == pytest.approx(found.tokens_per_character * found.characters)
    assert [found.samples[0], len(found.samples)] == [source[0], 5]
    assert "".join(found.sample_tokens[0]) == source[0]
    assert found.sample_boundaries[0][-1] == len(source[0])
    frame = found.to_frame()
    assert frame.loc["records", "value"] == 50
    assert frame.loc["read", "value"] == "all"
