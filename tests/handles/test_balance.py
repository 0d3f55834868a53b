"""Balance of sources of every kind, and of runs."""

import pandas as pd
import pytest

import nbllm
from nbllm.errors import DataError, ModelError

FRAME = pd.DataFrame({"text": ["she left", "he came", "it rained"] * 10, "stars": [1, 5, 5] * 10})


def test_a_table_with_labels_from_a_file_and_from_the_notebook(tmp_path):
    path = tmp_path / "stars.csv"
    FRAME.to_csv(path, index=False)
    for data in (FRAME, FRAME.to_dict("records"), path, str(path)):
        found = nbllm.balance(data, label_column="stars")
        assert found.table.loc["5", "share"] == pytest.approx(2 / 3)
        assert found.table.loc["women", "documents"] == 10
    assert found.about == str(path)
    without = nbllm.balance(path, text_column="text")
    assert without.facts["labels"] == 0
    assert without.facts["documents"] == 30


def test_a_text_is_counted_by_its_paragraphs(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("She left.\n\nHe came.\nHe went.\n \n" + "A line.\n" * 500, encoding="utf-8")
    found = nbllm.balance(path)
    assert found.table.loc["women", "documents"] == 1
    assert found.table.loc["men", ["documents", "mentions"]].tolist() == [1, 2]
    assert found.facts["documents"] == 2 + 500
    assert "paragraphs" in found.says
    assert nbllm.balance(["She left.", "He came."]).facts["documents"] == 2


def test_a_run_is_asked_about_its_own_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("she said no.\n\nhe said yes.\n\n" * 100, encoding="utf-8")
    run = nbllm.train("balanced", data="text.txt", model="lstm", size="tiny", steps=5, runner="inline")
    monkeypatch.chdir("/")
    found = run.balance(bits=True)
    assert found.table.loc["women", "documents"] == found.table.loc["men", "documents"] == 100
    assert found.table.loc["other Latin", "bits_per_byte"] > 0
    assert run.findings[0].to_json() == found.to_json()
    rows = FRAME.rename(columns={"stars": "label"}).to_dict("records")
    labels = nbllm.train(
        "starred", data=rows, objective="classification", model="lstm", size="tiny", steps=2, runner="inline"
    )
    assert labels.balance().table.loc["5", "documents"] == 20
    with pytest.raises(ModelError, match="does not guess the next token"):
        labels.balance(bits=True)


def test_mistakes_are_said(tmp_path):
    with pytest.raises(DataError, match="no-such"):
        nbllm.balance("no-such-file.txt")
    with pytest.raises(DataError, match="no column 'star'"):
        nbllm.balance(FRAME, label_column="star")
    with pytest.raises(DataError):
        nbllm.balance(5)
