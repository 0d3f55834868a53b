"""Texts cut into sentences, in English and Chinese, whole or in pieces."""

from __future__ import annotations

import pytest

from nbllm.data.readers import Record
from nbllm.data.sentences import sentence_rows, sentences

CASES = [
    ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
    ("He said: “Go.” Then left.", ["He said: “Go.” Then left."]),
    ('He said "go." Then he left.', ['He said "go."', "Then he left."]),
    ("Version 3.14 is out (see e.g. the notes). Good.", ["Version 3.14 is out (see e.g. the notes).", "Good."]),
    ("今天很好。我们走吧！你呢？好；行", ["今天很好。", "我们走吧！", "你呢？", "好；"]),
    ("小明说：“好。”大家笑了。", ["小明说：“好。”", "大家笑了。"]),
    ("Ah. 今天好。Yes it is. Ünder. Это да.", ["Ah. 今天好。", "Yes it is.", "Ünder.", "Это да."]),
    ("a line\nthat goes   on.\n\nA paragraph", ["a line that goes on.", "A paragraph"]),
    ("...\n\n---\n\n!", []),
    ("", []),
    ("Aa. " + "X" * 1001 + ". Bb.", ["Aa.", "Bb."]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(("text", "expected"), CASES)
@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_a_document_in_pieces_has_the_same_sentences(text: str, expected: list[str], size: int) -> None:
    """Wherever it is cut: between words, within one, behind a full stop."""
    parts = [text[i : i + size] for i in range(0, len(text), size)] or [""]
    records = [Record(part, continues=True) for part in parts[:-1]] + [Record(parts[-1])]
    rows = list(sentence_rows([*records, Record("Next one.")]))
    assert [row["text"] for row in rows] == [*expected, "Next one."]
    assert [row["document"] for row in rows] == ["0"] * len(expected) + ["1"]
