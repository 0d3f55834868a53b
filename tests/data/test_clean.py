"""What cleaning mends, drops and counts; and objects of a notebook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from nbllm.config import CleanConfig
from nbllm.data.builtin import zh_phrases
from nbllm.data.clean import CleanReport, clean, script_share
from nbllm.data.near_duplicates import NearDuplicates
from nbllm.data.notebook_objects import write_records
from nbllm.data.readers import Record
from nbllm.errors import DataError


def cleaned(texts: list[str] | list[Record], **settings: Any) -> tuple[list[str], CleanReport]:
    records = [t if isinstance(t, Record) else Record(t) for t in texts]
    report = CleanReport()
    found = list(clean(records, CleanConfig(**settings), report))
    assert report.documents_in == report.documents + sum(report.removed.values())
    assert report.characters == sum(len(r.text) for r in found)
    return [r.text for r in found], report


def test_strip() -> None:
    assert cleaned(["  a  \n  b\t\n\nc　\n\n"])[0] == ["a\n  b\n\nc"]
    assert cleaned(["  a  \n"], strip=False)[0] == ["  a  \n"]
    assert cleaned(["  \n ", "x"])[1].removed == {"empty": 1}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_strip_does_not_depend_on_the_pieces(size: int) -> None:
    text = "\n  a  \n\n  b c\t \n \n d  \n\n "
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    records = [Record(p, i < len(parts) - 1) for i, p in enumerate(parts)]
    found, report = cleaned([*records, Record("next")])
    assert "".join(found) == "a\n\n  b c\n\n dnext"
    assert (report.documents, report.characters_in) == (2, len(text) + 4)


def test_normalise() -> None:
    assert cleaned(["e\u0301\r\nx\ry\x00\x07\ufeff\t"], normalise=True, strip=False)[0] == ["é\nx\ny\t"]


def test_lengths_also_of_documents_in_pieces() -> None:
    texts = ["a", "abc", "abcdef"]
    found, report = cleaned(texts, min_length=2, max_length=4)
    assert (found, report.removed) == (["abc"], {"too short": 1, "too long": 1})
    pieces = [Record("abc\n", True), Record("defg", True), Record("h")]
    assert cleaned([*pieces, Record("xyz")], max_length=8)[0] == ["xyz"]
    assert "".join(cleaned([*pieces, Record("xyz")], max_length=9)[0]) == "abc\ndefghxyz"
    assert "".join(cleaned([*pieces, Record("xyz")], min_length=9)[0]) == "abc\ndefgh"


def test_language() -> None:
    texts = ["这是很长的一句中文 with", "English text with 一 character", "Русский текст", "123 !?"]
    assert cleaned(texts, language="latin")[0] == [texts[1]]
    assert cleaned(["这是中文，没有别的 ok", *texts[1:]], language="zh")[0] == ["这是中文，没有别的 ok"]
    assert script_share("ab你好", "zh") == 0.5


def test_near_duplicates() -> None:
    texts = list(zh_phrases())[:300]
    long = [" ".join(texts[i : i + 10]) for i in range(0, 300, 10)]
    near = [t.replace("，", "；", 2) + " 完" for t in long]
    found, report = cleaned([*long, *near, *long, "short", "short", "shorter"], near_duplicates=True)
    assert found == [*long, "short", "shorter"]
    assert report.removed == {"near duplicate": 61}


def test_near_duplicates_estimate_jaccard() -> None:
    draw = np.random.default_rng(0)
    seen = NearDuplicates()
    words = ["".join(map(chr, draw.integers(0x4E00, 0x5000, 6))) for _ in range(400)]
    a, b = " ".join(words[:300]), " ".join(words[150:])  # about a third in common: no repeats
    share = float((seen._signature(a) == seen._signature(b)).mean())
    assert abs(share - 150 / 400) < 0.2
    assert not seen.is_repeat(a)
    assert not seen.is_repeat(b)
    assert seen.is_repeat(a.upper() + " ")


@pytest.mark.parametrize(
    "thing",
    [
        ["你好", "two\nlines", None, "\ud800"],
        [{"text": "你好", "n": 1}, {"text": "two\nlines", "n": 2}, {"n": 3}, {"text": "\ud800"}],
        pandas.DataFrame({"n": [1, 2, 3, 4], "text": ["你好", "two\nlines", None, "\ud800"]}, dtype=object),
        pandas.DataFrame({"n": [1, 2, 3, 4], "body": ["你好", "two\nlines", float("nan"), "\ud800"]}, dtype=object),
        pandas.Series(["你好", "two\nlines", None, "\ud800"], dtype=object),
    ],
    ids=["strings", "dicts", "frame", "only text column", "series"],
)
def test_write_records(tmp_path: Path, thing: Any) -> None:
    path = tmp_path / "data" / "records.jsonl"
    assert write_records(thing, path, None) == 3
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == [{"text": "你好"}, {"text": "two\nlines"}, {"text": "\ud800"}]
    assert [p.name for p in path.parent.iterdir()] == ["records.jsonl"]


def test_write_records_of_a_data_set(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    thing = datasets.Dataset.from_dict({"body": ["你好", "x"], "n": [1, 2]})
    assert write_records(thing, tmp_path / "r.jsonl", None) == 2
    with pytest.raises(DataError, match=r"IterableDataset lives in this kernel alone.*hf:NAME.*streaming"):
        write_records(thing.to_iterable_dataset(), tmp_path / "s.jsonl", None)


@pytest.mark.parametrize(
    ("thing", "column", "message"),
    [
        (5, None, "A int is no text data"),
        ("a path", None, "A str is no text data"),
        ([], None, "holds no text"),
        ([1], None, "holds int, not text"),
        (["a", {"text": "b"}], None, "mixes dicts"),
        ([{"a": "x", "b": "y"}], None, "2 columns of text: a, b"),
        (pandas.DataFrame({"body": ["x"]}), "boddy", "Did you mean 'body'"),
        (pandas.DataFrame({"n": [1]}), None, "no columns of text"),
    ],
)
def test_write_records_faults(tmp_path: Path, thing: Any, column: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        write_records(thing, tmp_path / "r.jsonl", column)
    assert list(tmp_path.iterdir()) == []


def test_write_records_tells_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbllm.data.notebook_objects.QUIET", 100)
    told: list[int] = []
    write_records(["x" * 50] * 10, tmp_path / "r.jsonl", None, told.append)
    assert told[0] >= 100
    assert told == sorted(told)
