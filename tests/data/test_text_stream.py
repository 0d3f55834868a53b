"""A source as a stream: the text of `read_records`, left and taken up again anywhere, held out and trained on apart."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from nbllm.config import DataConfig, RunConfig, resolve
from nbllm.data.clean import CleanReport, clean
from nbllm.data.corpus import MARK
from nbllm.data.encode import cut, encoder
from nbllm.data.make_stream import open_stream
from nbllm.data.prepare import prepare
from nbllm.data.readers import PIECE
from nbllm.data.sources import check_source, read_records
from nbllm.data.text_stream import TextStream, TokenStream
from nbllm.data.token_file import TokenFile
from nbllm.errors import ConfigError, DataError
from nbllm.registry import CORPORA
from tests.data.conftest import CHINESE, ENGLISH, data

TEXTS = [f"{i} {CHINESE}{ENGLISH}" * (1 + i % 3) for i in range(40)]
ROWS = [{"text": text, "label": i} for i, text in enumerate(TEXTS)]
QUIET: Callable[[str, float | None], None] = lambda what, share: None  # noqa: E731


def make(base: Path, kind: str) -> str:
    """A source of that kind; its name."""
    folder = base / "set"
    folder.mkdir(exist_ok=True)
    if kind == "text":
        (base / "long.txt").write_text("\n".join(TEXTS) * 40, encoding="utf-8")
        return "long.txt"
    if kind == "one line":
        (base / "line.txt").write_text("苹果" * 9000, encoding="utf-8")
        return "line.txt"
    if kind == "jsonl":
        for part in range(3):
            lines = "".join(json.dumps(row) + "\n" for row in ROWS[part::3])
            (folder / f"{part}.jsonl").write_text(lines, encoding="utf-8")
        return "set"
    if kind == "packed":
        for i, text in enumerate(TEXTS):
            (folder / f"{i:02}.txt.gz").write_bytes(gzip.compress(text.encode()))
        return "set"
    if kind == "corpus":
        CORPORA.register("made_here")(lambda: iter([*TEXTS, "x\n" * PIECE]))  # the last comes in pieces
        return "made_here"
    datasets = pytest.importorskip("datasets")
    if kind == "hf saved":
        datasets.Dataset.from_list(ROWS).save_to_disk(folder, num_shards=3)
    else:
        for part in range(3):
            shard = datasets.Dataset.from_list(ROWS[part * 13 : part * 13 + 13])
            shard.to_parquet(folder / f"{part}.parquet", batch_size=5)
    return "hf:set"


def stream(base: Path, source: str, **settings: Any) -> TextStream:
    return TextStream(data(source, streaming=True, **settings), base)


def whole(config: DataConfig, base: Path) -> bytes:
    """The cleaned text as it is when it is read at once."""
    marked: list[str] = []
    for record in clean(read_records(config, base), config.clean, CleanReport()):
        marked += [record.text, "" if record.continues else "\udcff"]
    return "".join(marked).encode("utf-8", "surrogateescape")


KINDS = ["text", "one line", "jsonl", "packed", "corpus", "hf saved", "hf shards"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_block_is_a_place_to_go_on_from(base: Path, kind: str) -> None:
    source = make(base, kind)
    size = PIECE // 2 if kind == "corpus" else 2500
    blocks = list(stream(base, source).blocks(size=size, piece=1000))
    assert len(blocks) > 4
    assert b"".join(block.text for block in blocks) == whole(data(source, streaming=True), base)
    for i in range(0, len(blocks), 3):
        place = json.loads(json.dumps(blocks[i].place))  # as a checkpoint holds it
        assert [b.text for b in stream(base, source).blocks(place, size, 1000)] == [b.text for b in blocks[i:]], place


def test_a_place_is_also_the_start_of_other_blocks(base: Path) -> None:
    """The held-out text is cut finely; training goes on from its end in large blocks."""
    source = make(base, "jsonl")
    text = whole(data(source), base)
    fine = list(stream(base, source).blocks(size=1, piece=50))
    for i in (1, 2, 30, len(fine) - 1):
        rest = b"".join(b.text for b in stream(base, source).blocks(fine[i].place))
        assert b"".join(b.text for b in fine[:i]) + rest == text
    assert {MARK} < {b.text for b in fine}, "the end of a document is a block of its own there"


def test_what_is_dropped_and_mended_is_the_same(base: Path) -> None:
    source = make(base, "jsonl")
    settings = {"clean": {"min_length": 150, "normalise": True}}
    read = stream(base, source, **settings)
    blocks = list(read.blocks(size=1500, piece=700))
    assert read.report.removed["too short"] > 0
    assert b"".join(b.text for b in blocks) == whole(data(source, **settings), base)
    assert [b.text for b in stream(base, source, **settings).blocks(blocks[5].place, 1500, 700)] == [
        b.text for b in blocks[5:]
    ]


@pytest.mark.parametrize("kind", ["text", "jsonl", "hf shards"])
@pytest.mark.parametrize("limit", [0.0007, 0.005])
def test_a_limit_holds_also_when_it_goes_on(base: Path, kind: str, limit: float) -> None:
    source = make(base, kind)
    settings = {"limit_mb": limit, "clean": {"strip": False}}
    blocks = list(stream(base, source, **settings).blocks(size=300, piece=300))
    text = b"".join(block.text for block in blocks)
    assert text == whole(data(source, streaming=True, **settings), base)
    assert len(text.replace(MARK, b"")) <= limit * 1e6
    for block in blocks[1::2]:
        rest = stream(base, source, **settings).blocks(block.place, 300, 300)
        assert text.endswith(b"".join(b.text for b in rest))
        assert next(stream(base, source, **settings).blocks(block.place, 300, 300)).text == block.text


@pytest.mark.parametrize("text", [b"", b"a\nbc\n\ndefghijklm\n" * 9, "苹果\n和绿茶".encode() * 20])
def test_cut_is_the_same_from_any_piece_on(text: bytes) -> None:
    found = list(cut(text, 11))
    assert b"".join(found) == text
    assert all(piece.decode() and len(piece) <= 11 for piece in found)
    for i in range(len(found)):
        assert list(cut(b"".join(found[i:]), 11)) == found[i:]


def byte_ids(block: bytes) -> np.ndarray:
    return np.frombuffer(block, dtype=np.uint8)


@pytest.mark.parametrize("kind", ["text", "jsonl", "hf shards"])
def test_tokens_go_on_from_any_token_and_start_over(base: Path, kind: str) -> None:
    source = make(base, kind)
    text = whole(data(source, streaming=True), base)
    start = [b.place for b in stream(base, source).blocks(size=1, piece=100)][3]
    train = b"".join(b.text for b in stream(base, source).blocks(start))
    tokens = TokenStream(stream(base, source), byte_ids, start)
    rng = np.random.default_rng(0)
    expected = np.frombuffer(train * 3, dtype=np.uint8)
    at = epoch = 0
    while at < len(train) * 2:
        place = json.loads(json.dumps(tokens.place))
        epoch = place["epoch"]
        assert epoch == at // len(train)
        count, used = rng.integers(1, 3 * len(train) // 10, 2)
        again = TokenStream(stream(base, source), byte_ids, start, place)
        taken = tokens.take(int(count), int(used))
        assert np.array_equal(taken, expected[at : at + count])
        assert np.array_equal(again.take(int(count), int(used)), taken)
        assert again.place == tokens.place
        at += int(used)
    assert epoch == 1
    assert text.endswith(train)


def test_a_source_that_has_nothing_left_is_said_and_not_waited_for(base: Path) -> None:
    source = make(base, "text")
    last = list(stream(base, source).blocks())[-1].place
    tokens = TokenStream(stream(base, source), lambda block: np.zeros(0, np.uint8), last)
    with pytest.raises(DataError, match="nothing is left to learn from"):
        tokens.take(1, 1)


# ---- before the first step


def config(source: str, kind: str = "char", context: int = 16, **settings: Any) -> RunConfig:
    layer = {
        "data": {"source": source, "streaming": True, **settings},
        "tokenizer": {"kind": kind, "vocab_size": 400},
        "train": {"context": context, "evaluate_tokens": 700},
    }
    return resolve([("test", layer)])


def run(settings: RunConfig, base: Path) -> tuple[dict[str, Any], Path]:
    folder = base.parent / "run"
    folder.mkdir(exist_ok=True)
    return prepare(settings, base, folder, base.parent / "cache", QUIET), folder


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe"])
@pytest.mark.parametrize("source_kind", ["text", "jsonl", "hf shards"])
def test_held_out_and_training_are_the_text_in_two(base: Path, kind: str, source_kind: str) -> None:
    settings = config(make(base, source_kind), kind)
    report, folder = run(settings, base)
    held = TokenFile.open(folder / "data" / "held_out.bin")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text, start = open_stream(folder / "data", settings, base, None)
    train = b"".join(block.text for block in text.blocks(start))
    complete = whole(settings.data, base)
    front = complete[: len(complete) - len(train)]
    assert complete == front + train
    assert len(front) > 0
    assert held.ids().tolist() == encoder(tokenizer)(front).tolist()
    assert held.bytes == len(front.replace(MARK, b""))
    assert held.characters == len(front.replace(MARK, b"").decode())
    assert report["held_out_tokens"] == held.tokens >= 17
    assert held.tokens >= 700 or len(front) >= 0.1 * len(complete)
    assert report["unknown_tokens"] == 0


def test_a_stream_leaves_nothing_but_the_held_out_text(base: Path) -> None:
    _, folder = run(config(make(base, "text")), base)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"tokenizer.json", "data/held_out.bin", "data/held_out.json", "data/stream.json"}
    assert not (base.parent / "cache").exists()


def test_whole_documents_are_held_out_where_asked(base: Path) -> None:
    settings = config(make(base, "jsonl"), split="document")
    _, folder = run(settings, base)
    _, start = open_stream(folder / "data", settings, base, None)
    assert start["bytes"] == 0
    assert TokenFile.open(folder / "data" / "held_out.bin").documents == start["source"][1]
    with pytest.raises(DataError, match="too short to be streamed"):
        run(config(make(base, "text"), split="document"), base)  # one document


def test_the_vocabulary_is_learned_on_the_first_megabytes(base: Path) -> None:
    (base / "a.txt").write_text("abc\n" * 1000 + "xyz\n" * 1000)
    settings = config("a.txt")
    settings.tokenizer.sample_mb = 0.002
    report, folder = run(settings, base)
    assert report["sample"] == {"bytes": 2000}
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab().keys() == {"<unk>", "<eos>", *"abc\n"}


def test_too_little_text_is_one_line(base: Path) -> None:
    (base / "short.txt").write_text("a few words")
    with pytest.raises(DataError, match=r"too short to be streamed.*one window takes 17"):
        run(config("short.txt"), base)
    (base / "rows.jsonl").write_text('{"text": "ab"}\n' * 50)
    with pytest.raises(DataError, match=r"nothing is left to learn from .50 too short"):
        run(config("rows.jsonl", clean={"min_length": 5}), base)


def test_another_text_is_not_gone_on_with(base: Path) -> None:
    settings = config(make(base, "jsonl"))
    _, folder = run(settings, base)
    (base / "set" / "3.jsonl").write_text(json.dumps(ROWS[0]))
    with pytest.raises(DataError, match="not what it was when the run began"):
        open_stream(folder / "data", settings, base, None)
    (folder / "data" / "stream.json").write_text("{}")
    with pytest.raises(DataError, match=r"stream.json is damaged.*--replace"):
        open_stream(folder / "data", settings, base, None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train.epochs": 2, "train.steps": None}, "no epochs. Give steps, tokens or minutes"),
        ({"data.use": 0.5}, "Give data.limit_mb"),
        ({"data.clean.near_duplicates": True}, "Leave out near_duplicates"),
        ({"objective": "classification", "data.text_column": "text"}, "classification learns from rows"),
        ({"model": "bert", "objective.next_sentence": True}, "mlm learns from sentences"),
        ({"model": "vae"}, "elbo learns from sentences"),
    ],
)
def test_what_needs_the_whole_text_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve([("test", {"data.streaming": True, **settings})])


# ---- data sets of Hugging Face


def test_a_folder_of_shards_is_looked_at_and_its_faults_are_one_line(base: Path) -> None:
    source = make(base, "hf shards")
    info = check_source(data(source, streaming=True), base)
    assert (info.kind, info.columns, info.text_column) == ("huggingface", ("text", "label"), "text")
    with pytest.raises(DataError, match="Did you mean 'label'"):
        check_source(data(source, streaming=True, text_column="labell"), base)
    with pytest.raises(DataError, match=r"cannot be read.*dataset_split"):
        check_source(data(source, streaming=True, dataset_split="test"), base)
    (base / "set" / "1.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match=r"broke off: .*--resume"):
        list(stream(base, source).blocks())


def test_of_a_streamed_file_only_the_start_is_read_before_training(base: Path) -> None:
    """Nothing reads a file of any size to its end just to know its encoding; a fault is said where it is met."""
    (base / "long.txt").write_bytes(b"a line of text\n" * 600_000 + "苹果".encode("gb18030") + b"\n")
    _, folder = run(config("long.txt", "byte"), base)
    assert (folder / "data" / "stream.json").is_file()
    with pytest.raises(DataError, match=r"at offset 9,000,00\d.*encoding"):
        list(stream(base, "long.txt").blocks())
    assert check_source(data("long.txt", streaming=True), base).size == 9_000_005
