"""A run that learns from another one's predictions: what it takes along, what it tells, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nbllm
from nbllm.errors import ConfigError, RunError

QUICK: dict[str, Any] = {
    "size": "tiny", "layers": 1, "width": 16, "context": 16, "batch_size": 4, "heads": 2, "sample.every": 0,
    "probe.every": 0, "evaluate_tokens": 256, "train.leak_check": False, "runner": "inline", "wait": True,
}  # fmt: skip
TEXT = "".join(f"{n} sheep jumped over the fence, and then {n + 1} more.\n" for n in range(100))


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT)
    return str(path)


def test_a_student_learns_from_its_teacher_and_stands_alone(corpus: str) -> None:
    teacher = nbllm.train("teacher", data=corpus, steps=8, **QUICK)
    student = nbllm.train("student", data=corpus, steps=8, teacher="teacher", checkpoint_every=4, **QUICK)
    frame = student.metrics
    assert {"hard_loss", "soft_loss"} <= set(frame.columns)
    mixed = 0.5 * frame.hard_loss + 0.5 * frame.soft_loss
    assert frame.loss.dropna().tolist() == pytest.approx(mixed.dropna().tolist(), rel=1e-4)
    teacher.delete()
    student.resume(runner="inline", steps=12)
    assert (student.step, student.state) == (12, "finished"), student.error
    assert "soft_loss" in student.metrics.loc[9:].dropna(axis=1, how="all").columns
    assert student.load().generate("1", max_tokens=3, seed=1)


def test_a_teacher_that_does_not_fit_is_refused_in_one_line(corpus: str, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(TEXT.replace("sheep", "geese ÄÖ"))
    nbllm.train("teacher", data=corpus, steps=4, **QUICK)
    error = str(nbllm.train("student", data=str(other), steps=4, teacher="teacher", **QUICK).error)
    assert "'teacher' reads other tokens" in error
    path = error.rpartition("tokenizer.kind: ")[2].strip().rstrip(".")
    again = {**QUICK, "tokenizer.kind": path, "replace": True}
    assert nbllm.train("student", data=str(other), steps=4, teacher="teacher", **again).state == "finished"
    with pytest.raises(ConfigError, match="reads 16 tokens at once"):
        nbllm.train("longer", data=corpus, steps=4, teacher="teacher", **{**QUICK, "context": 32})
    with pytest.raises(RunError, match="nobody"):
        nbllm.train("orphan", data=corpus, steps=4, teacher="nobody", **QUICK)
    with pytest.raises(ConfigError, match="teacher teaches the next token"):
        nbllm.train("bert", data=corpus, steps=4, model="bert", teacher="teacher", **QUICK)
