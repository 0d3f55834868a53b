"""A scan for personal data, in files, objects of a notebook and runs; what it finds is shown masked. All made up."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import nbllm
from nbllm.data.readers import Record
from nbllm.errors import ConfigError, DataError
from nbllm.inspection.scan import scan

LINES = [
    "写信给zhang.wei@example.com吧，电话13812345678。",
    "nothing here, 2024-01-02",
    "card 4111 1111 1111 1111 or a@example.org",
]


def test_counts_and_masks() -> None:
    found = scan([Record(line) for line in LINES], about="lines")
    assert found.facts["found"] == 4
    assert (found.facts["documents"], found.facts["documents_with"]) == (3, 2)
    assert found.table["found"].to_dict() == {
        "email": 2, "phone": 1, "card": 1, "china-id": 0, "us-ssn": 0, "iban": 0, "ip": 0,
    }  # fmt: skip
    assert found.table.documents["email"] == 2
    assert "found 4 times, in 2 of them" in found.says
    whole = str(found.to_json())
    for secret in ("zhang", "13812345678", "4111 1111", "a@example"):
        assert secret not in whole
    assert found.more["Some of them, masked"].loc["phone", "found"] == "1•••••••••8"


def test_a_long_document_in_pieces_is_one() -> None:
    text = "call 13812345678 now " * 10
    pieces = [Record(text[i : i + 11], i + 11 < len(text)) for i in range(0, len(text), 11)]
    found = scan(pieces)
    assert (found.facts["phone"], found.facts["documents"], found.facts["characters"]) == (10, 1, len(text))


def test_of_a_file_a_table_and_a_run(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(LINES * 30), encoding="utf-8")
    assert nbllm.scan(tmp_path / "a.txt").facts["email"] == 60
    assert nbllm.scan(str(tmp_path / "a.txt"), "phone, card").table.index.tolist() == ["phone", "card"]
    table = pd.DataFrame({"review": LINES, "stars": [1, 2, 3]})
    assert nbllm.scan(table, text_column="review").facts["found"] == 4
    run = nbllm.train(
        "read", data=str(tmp_path / "a.txt"), size="tiny", steps=1, runner="inline", **{"data.clean.redact": True}
    )
    assert run.scan().facts["email"] == 60
    assert [(each.kind, each.more) for each in run.findings] == [("personal-data", {})]
    text = run.load().tokenizer.get_vocab()
    assert "@" not in text
    rows = [{"source": "call 13812345678", "target": f"to {i}@example.com"} for i in range(30)]
    pairs = nbllm.train("pairs", data=rows, model="seq2seq", size="tiny", steps=1, runner="inline")
    assert pairs.state == "finished", pairs.error
    assert pairs.scan().facts["found"] == 60


def test_what_cannot_be_scanned_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean email"):
        nbllm.scan("python-docs", "mails")
    with pytest.raises(DataError, match="no text to scan"):
        scan([])
    with pytest.raises(DataError):
        nbllm.scan(tmp_path / "nowhere.txt")
