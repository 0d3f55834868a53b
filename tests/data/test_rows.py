"""Tables of every kind to rows: the columns of the roles, what is missing, what is cleaned, and what is held out."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nbllm.config import RunConfig, resolve
from nbllm.data import tokenizers
from nbllm.data.clean import CleanReport, clean_rows
from nbllm.data.examples import Examples
from nbllm.data.notebook_objects import write_rows
from nbllm.data.prepare import prepare
from nbllm.data.rows import Spool, check_rows, read_rows
from nbllm.errors import DataError
from nbllm.objectives.make import recipe
from tests.data.conftest import data

LABELLED = [("今天很好", "good"), ('a "quoted", word', "bad"), ("line one\nline two", "good"), ("tab\there", "bad")]
ROLES = ("text", "label")


def csv_text(rows: list[tuple[str, str]], comma: str, header: tuple[str, str] = ("text", "label")) -> str:
    quoted = [tuple('"' + cell.replace('"', '""') + '"' for cell in row) for row in [header, *rows]]
    return "".join(comma.join(row) + "\n" for row in quoted)


def as_parquet(path: Path, columns: dict[str, list[Any]]) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), path)


def read(source: str, base: Path, roles: tuple[str, ...] = ROLES, **settings: Any) -> tuple[list[Any], dict[str, int]]:
    missing: dict[str, int] = {}
    return list(read_rows(data(source, **settings), roles, base, None, missing)), missing


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "b.csv", "a.jsonl", "a.json", "a.parquet"])
def test_every_format_gives_the_same_rows(base: Path, name: str) -> None:
    objects = [{"label": label, "extra": 5, "text": text} for text, label in LABELLED]
    if name.endswith((".csv", ".tsv")):
        comma = {"a.csv": ",", "a.tsv": "\t", "b.csv": ";"}[name]
        (base / name).write_text(csv_text(LABELLED, comma), encoding="utf-8", newline="")
    elif name == "a.jsonl":
        (base / name).write_text("".join(json.dumps(row) + "\n" for row in objects))
    elif name == "a.json":
        (base / name).write_text(json.dumps(objects, ensure_ascii=False), encoding="utf-8")
    else:
        as_parquet(base / name, {key: [row[key] for row in objects] for key in objects[0]})
    rows, missing = read(name, base)
    assert rows == [{"text": text, "label": label} for text, label in LABELLED]
    assert missing == {}
    assert check_rows(data(name), ROLES, base) == {"text": "text", "label": "label"}


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("count", [19, 20, 21, 60])
def test_no_row_of_a_long_table_is_lost(base: Path, name: str, count: int) -> None:
    """The first lines are read twice: to find the delimiter, and as rows."""
    rows = [(f"text {i}", "x") for i in range(count)]
    (base / name).write_text(csv_text(rows, "\t" if name.endswith("tsv") else ","))
    assert [row["text"] for row in read(name, base)[0]] == [text for text, _ in rows]


def objects() -> dict[str, Any]:
    pandas = pytest.importorskip("pandas")
    dicts = [{"review": text, "sentiment": label} for text, label in LABELLED]
    return {
        "DataFrame": pandas.DataFrame(dicts),
        "strings": pandas.DataFrame(dicts).convert_dtypes(),
        "dicts": dicts,
        "tuples": [tuple(pair) for pair in LABELLED],
    }


@pytest.mark.parametrize("kind", ["DataFrame", "strings", "dicts", "tuples"])
def test_objects_of_a_notebook_give_the_same_rows(base: Path, kind: str) -> None:
    assert write_rows(objects()[kind], base / "records.jsonl", data("x"), ROLES) == len(LABELLED)
    assert read("records.jsonl", base)[0] == [{"text": text, "label": label} for text, label in LABELLED]


def test_a_data_set_says_what_the_numbers_of_its_labels_mean(base: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    thing = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, 1]}, features=features)
    write_rows(thing, base / "records.jsonl", data("x"), ROLES)
    assert [row["label"] for row in read("records.jsonl", base)[0]] == ["pos", "neg", "pos"]
    thing.save_to_disk(str(base / "saved"))
    assert [row["label"] for row in read("hf:saved", base)[0]] == ["pos", "neg", "pos"]


@pytest.mark.parametrize("first_is_missing", [False, True])
def test_what_is_missing_is_counted_by_its_role(base: Path, first_is_missing: bool) -> None:
    pandas = pytest.importorskip("pandas")
    rows = [("a", "x"), (None, "x"), ("b", None), ("", "y"), ("  ", "y"), ("c", "y"), (float("nan"), "x")]
    rows = rows[::-1] if first_is_missing else rows
    expected = sorted([("a", "x"), ("c", "y")])
    tables = {
        "frame": pandas.DataFrame(rows, columns=["text", "label"]),
        "dicts": [{"text": text, "label": label} for text, label in rows],
    }
    for name, table in tables.items():
        write_rows(table, base / f"{name}.jsonl", data("x"), ROLES)
        found, missing = read(f"{name}.jsonl", base)
        assert sorted((row["text"], row["label"]) for row in found) == expected, name
        assert missing == {"text": 4, "label": 1}, name
        assert check_rows(data(f"{name}.jsonl"), ROLES, base) == {"text": "text", "label": "label"}


def test_a_first_line_that_lacks_a_column_does_not_hide_it(base: Path) -> None:
    (base / "a.jsonl").write_text('{"text": "a"}\n{"text": "b", "label": "x"}\n{"label": "x"}\n')
    (base / "a.csv").write_text("text,label\nalone\nb,x\n")
    for name in ("a.jsonl", "a.csv"):
        rows, missing = read(name, base)
        assert rows == [{"text": "b", "label": "x"}]
        assert missing["label"] == 1
        assert check_rows(data(name), ROLES, base) == {"text": "text", "label": "label"}


def test_numbers_are_labels_and_texts(base: Path) -> None:
    rows = [(5, 1), ("b", 0.0), ("c", True), ("d", ["x", "y"])]
    (base / "a.jsonl").write_text("".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows))
    assert [(row["text"], row["label"]) for row in read("a.jsonl", base)[0]] == [
        ("5", "1"), ("b", "0"), ("c", "True"), ("d", "x|y"),
    ]  # fmt: skip
    (base / "b.jsonl").write_text('{"text": {"a": 1}, "label": 1}\n')
    with pytest.raises(DataError, match=r"Column 'text' holds dict, not text \(b.jsonl row 1\)"):
        read("b.jsonl", base)


def test_columns_by_their_name_their_usual_name_and_what_is_asked(base: Path) -> None:
    (base / "a.csv").write_text("Question,ANSWER,en,other\nq,a,e,o\n")
    pairs = ("source", "target")
    assert read("a.csv", base, pairs)[0] == [{"source": "q", "target": "a"}]
    assert read("a.csv", base, pairs, source_column="other")[0] == [{"source": "o", "target": "a"}]
    with pytest.raises(
        DataError,
        match=r"no column 'label'. It has: Question, ANSWER, en, other. Say which, as in label_column: Question",
    ):
        check_rows(data("a.csv", text_column="en"), ROLES, base)
    with pytest.raises(DataError, match=r"no column 'othr'.*Did you mean 'other'"):
        check_rows(data("a.csv", target_column="othr"), pairs, base)
    (base / "b.csv").write_text("text,label,second\nfirst,x,more\n")
    assert read("b.csv", base, ROLES, pair_column="second")[0] == [{"text": "first", "label": "x", "pair": "more"}]


@pytest.mark.parametrize(
    ("source", "message"),
    [("a.txt", "is no table, and this objective needs the columns text and label"), ("empty.csv", "is empty"),
     ("python-docs", "is no table"), ("none.csv", "There is no file"), ("bad.jsonl", "row 1 is no object")],
)  # fmt: skip
def test_what_is_no_table_is_refused(base: Path, source: str, message: str) -> None:
    (base / "a.txt").write_text("just text")
    (base / "empty.csv").write_text("")
    (base / "bad.jsonl").write_text("[1, 2]\n")
    with pytest.raises(DataError, match=message) as caught:
        check_rows(data(source), ROLES, base)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("thing", [["a", "b"], [("a",), ("b",)], 5, []])
def test_objects_that_are_no_table_are_refused(base: Path, thing: Any) -> None:
    with pytest.raises(DataError, match=r"is no table with the columns text and label|holds no text"):
        write_rows(thing, base / "records.jsonl", data("x"), ROLES)


def test_a_row_goes_where_its_first_text_goes_and_a_reason_is_kept() -> None:
    pairs = [("abc  ", " d"), ("ab", "longer"), ("abcd", "   ")]
    rows = [{"source": source, "target": target} for source, target in pairs]
    report = CleanReport()
    settings = data("x", clean={"min_length": 3})
    # "d" is shorter than asked too, so its row goes as well, for a reason of its target's.
    found = list(clean_rows(iter(rows), settings, report))
    assert found == []
    assert report.documents == 0
    report = CleanReport()
    found = list(clean_rows(iter([{"source": "abc  ", "target": "def  ", "label": "x"}]), settings, report))
    assert found == [{"source": "abc", "target": "def", "label": "x"}]
    assert report.documents == 1


def test_near_duplicates_among_rows_are_dropped_by_their_first_text() -> None:
    text = "the quick brown fox jumps over the lazy dog and runs far away into the deep dark woods, never to be seen"
    rows = [{"text": text, "label": "x"}, {"text": text + "!", "label": "y"}, {"text": "another text", "label": "x"}]
    report = CleanReport()
    found = list(clean_rows(iter(rows), data("x", clean={"near_duplicates": True}), report))
    assert found == [rows[0], rows[2]]
    assert (report.documents, dict(report.removed)) == (2, {"near duplicate": 1})


# What is held out


def spooled(tmp_path: Path, rows: list[dict[str, str]], held_out: float) -> tuple[list[Any], list[Any]]:
    spool = Spool(tmp_path / "rows.jsonl")
    for row in rows:
        spool.append(row, row.get("label", ""))
    spool.split(held_out)
    assert list(spool.rows()) == rows
    return list(spool.rows(held=False)), list(spool.rows(held=True))


@pytest.mark.parametrize("held_out", [0.1, 0.25, 0.5])
def test_of_each_label_about_the_same_share_is_held_out(tmp_path: Path, held_out: float) -> None:
    rows = [{"text": f"text {i}", "label": "rare" if i % 20 == 0 else "common"} for i in range(400)]
    train, held = spooled(tmp_path, rows, held_out)
    assert len(train) + len(held) == 400
    for label, count in (("rare", 20), ("common", 380)):
        assert sum(row["label"] == label for row in held) == pytest.approx(count * held_out, abs=1)
    assert spooled(tmp_path, rows, held_out)[1] == held, "the same every time"


def test_rows_alike_stand_on_one_side(tmp_path: Path) -> None:
    rows = [{"text": f"text {i % 60}", "label": "x"} for i in range(300)]
    train, held = spooled(tmp_path, rows, 0.2)
    texts = [{row["text"] for row in side} for side in (train, held)]
    assert texts[0].isdisjoint(texts[1])
    assert len(held) == pytest.approx(60, abs=10)
    same, held = spooled(tmp_path, [{"text": "one", "label": "x"}] * 40, 0.25)
    assert (len(same), len(held)) == (30, 10), "where all are alike they may part"


def test_sentences_are_held_out_from_the_end_or_by_documents(tmp_path: Path) -> None:
    rows = [{"text": f"s {i}", "document": str(i // 5)} for i in range(100)]
    for by_group in (False, True):
        spool = Spool(tmp_path / "rows.jsonl")
        for row in rows:
            spool.append(row, row["document"])
        spool.split_tail(0.2, by_group)
        train, held = list(spool.rows(held=False)), list(spool.rows(held=True))
        assert (len(train), len(held)) == (80, 20)
        if by_group:
            assert {r["document"] for r in train}.isdisjoint(r["document"] for r in held)
        else:
            assert [*train, *held] == rows


# To examples


def prepared(base: Path, source: str, objective: str, **more: Any) -> tuple[RunConfig, Path, dict[str, Any]]:
    kind = {"classification": "lstm", "seq2seq": "seq2seq", "mlm": "bert"}[objective]
    layer = {"objective.kind": objective, "model.kind": kind, "data.source": source, "train.context": 24, **more}
    config = resolve([("test", layer)])
    folder = base.parent / f"run-{len(list(base.parent.iterdir()))}"
    folder.mkdir()
    report = prepare(config, base, folder, None, lambda what, share: None, recipe(config))
    return config, folder, report


def test_a_table_becomes_examples_with_its_labels(base: Path) -> None:
    rows = [(f"word {i} of {'xyz'[i % 3]}", str(i % 3 * 10)) for i in range(90)]
    (base / "a.csv").write_text(csv_text(rows, ","))
    _, folder, report = prepared(base, "a.csv", "classification")
    assert report["labels"] == ["0", "10", "20"], "numbers by their size"
    train, held = (Examples.open(folder / "data" / side) for side in ("train", "held_out"))
    assert (len(train), len(held)) == (81, 9) == (report["train_examples"], report["held_out_examples"])
    assert report["label_counts"] == {"0": 27, "10": 27, "20": 27}
    tokenizer = tokenizers.load(folder / "tokenizer.json")
    found = Counter()
    for examples in (train, held):
        for index in range(len(examples)):
            example = examples[index]
            found[tokenizer.decode(example["tokens"].tolist()), report["labels"][example["labels"][0]]] += 1
    assert found == Counter(rows)


def test_several_labels_of_a_text_are_counted_each(base: Path) -> None:
    rows = [(f"text {i}", "a|b" if i % 2 else "b") for i in range(60)]
    (base / "a.csv").write_text(csv_text(rows, ","))
    _, folder, report = prepared(base, "a.csv", "classification", **{"objective.multi_label": True})
    assert report["labels"] == ["a", "b"]
    assert report["label_counts"]["b"] == report["train_examples"]
    assert report["label_counts"]["a"] == pytest.approx(report["train_examples"] / 2, abs=2)
    first = Examples.open(folder / "data" / "train")[1]["labels"].tolist()
    assert first in ([0, 1], [1])


def test_source_and_target_may_have_vocabularies_of_their_own(base: Path) -> None:
    rows = [("abc"[i % 3] * (i % 4 + 1), "愛你好"[i % 3] * (i % 5 + 1)) for i in range(60)]
    (base / "a.csv").write_text(csv_text(rows, ",", ("source", "target")))
    _, folder, report = prepared(base, "a.csv", "seq2seq", **{"tokenizer.separate": True})
    source, target = (tokenizers.load(folder / f"{name}tokenizer.json") for name in ("", "target_"))
    assert (source.token_to_id("愛"), target.token_to_id("a")) == (None, None)
    assert report["target_vocab_size"] == target.get_vocab_size() == 5
    examples = Examples.open(folder / "data" / "train")
    pair = examples[0]
    assert (source.decode(pair["source"].tolist()), target.decode(pair["target"].tolist())) in rows
    _, folder, report = prepared(base, "a.csv", "seq2seq")
    assert not (folder / "target_tokenizer.json").exists()
    assert report["vocab_size"] == 8


def test_a_corpus_becomes_sentences_with_their_documents(base: Path) -> None:
    documents = [f"First of {i}. Second of {i}. Third one of {i}." for i in range(30)]
    (base / "a.jsonl").write_text("".join(json.dumps(text) + "\n" for text in documents))
    more = {"objective.next_sentence": True, "data.split": "document", "train.context": 64}
    _, folder, report = prepared(base, "a.jsonl", "mlm", **more)
    examples = Examples.open(folder / "data" / "train")
    tokenizer = tokenizers.load(folder / "tokenizer.json")
    assert report["examples"] == 90
    assert [tokenizer.decode(examples[i]["tokens"].tolist()) for i in range(3)] == [
        "First of 0.", "Second of 0.", "Third one of 0.",
    ]  # fmt: skip
    assert [int(examples[i]["document"][0]) for i in range(4)] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x")], "holds 1 examples of use, and some are to be held out"),
        ([("", "x"), (" ", "y")], "holds 0 examples of use .2 no text"),
    ],
)
def test_too_few_rows_are_refused(base: Path, rows: list[tuple[str, str]], message: str) -> None:
    (base / "a.csv").write_text(csv_text(rows, ","))
    with pytest.raises(DataError, match=message) as caught:
        prepared(base, "a.csv", "classification")
    assert "\n" not in str(caught.value)
