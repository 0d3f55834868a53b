"""Search in documents by BM25, and questions to what it finds."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

import nbllm
from nbllm.errors import ConfigError, DataError
from nbllm.magics.applied import apply
from nbllm.magics.commands import COMMANDS
from nbllm.magics.parse import parse
from nbllm.tasks.search import K1, B, Bm25, passages

TEXTS = ["the red book lies in the attic", "a book and a book", "小明在厨房里。", "nothing of it"]


def test_scores_are_those_of_the_formula() -> None:
    found = Bm25(TEXTS).scores("Which book?")
    lengths = [len(Bm25([text]).counts[0]) and sum(Bm25([text]).counts[0].values()) for text in TEXTS]
    mean = sum(lengths) / 4
    idf = math.log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    for score, count, length in zip(found, (1, 2, 0, 0), lengths, strict=True):
        assert score == pytest.approx(idf * count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean)))
    chinese = Bm25(TEXTS).scores("厨房在哪里")
    assert max(range(4), key=lambda i: chinese[i]) == 2
    assert Bm25(TEXTS).scores("xyzzy") == [0.0] * 4


def test_documents_are_cut_into_passages(tmp_path: Path) -> None:
    text = " ".join(f"Sentence number {n} tells of the thing {n}." for n in range(60))
    found = passages({"long": text, "short": "One. Two."})
    assert [each.text for each in found if each.document == "short"] == ["One. Two."]
    parts = [each.text for each in found if each.document == "long"]
    assert len(parts) > 5
    assert all(f"thing {n}." in " ".join(parts) for n in range(60))
    assert all(len(part.split()) <= 80 for part in parts)
    (tmp_path / "a.txt").write_text("Anna is in the garden.", encoding="utf-8")
    (tmp_path / "b.md").write_text("# Omar\n\nOmar is in the office.", encoding="utf-8")
    assert {each.document for each in passages(tmp_path)} == {"a.txt", "b.md"}
    with pytest.raises(DataError, match="no document"):
        passages([])


def test_a_question_to_documents(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path / "runs"))
        task = nbllm.tasks.get("qa")
        run = task.train("qa-one", steps=2, wait=True, runner="inline", **{"model.width": 32})
        assert run.state == "finished", run.error
        documents = tmp_path / "notes"
        documents.mkdir()
        for name in ("Anna", "Omar", "Mei"):
            (documents / f"{name}.txt").write_text(f"{name} went to the kitchen. {name} is there.", encoding="utf-8")
        found = task.ask("Where is Omar?", documents)  # type: ignore[attr-defined]
        assert list(found.columns) == ["answer", "probability", "score", "document", "passage"]
        assert "Omar.txt" in set(found["document"])
        assert found.sort_values("score")["document"].iloc[-1] == "Omar.txt"
        assert task.ask("Zanzibar?", ["Anna is here."]).empty  # type: ignore[attr-defined]
        done = apply(parse(COMMANDS["task"], f'qa "Where is Mei?" --documents {documents}', {}), None, {}, "")
        assert isinstance(done.found, pd.DataFrame)
        assert len(done.found) > 0
        with pytest.raises(ConfigError, match="sentiment has no documents"):
            apply(parse(COMMANDS["task"], f"sentiment fine --documents {documents}", {}), None, {}, "")
