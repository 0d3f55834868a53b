"""%llm_task: train, try, score, by line and by cell; nbllm task and nbllm predict in a terminal."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from nbllm import cli
from nbllm.dashboards import tasks as shown
from nbllm.magics.applied import Done
from tests.magics.shell import run_cell
from tests.tasks.test_sentiment import ROWS

QUICK = "--model cnn --size tiny --steps 200 --batch-size 16 --runner inline --text-column review --label-column stars"


@pytest.fixture
def trained(shell, runs: Path) -> pd.DataFrame:
    """The table that a run called sentiment has learned from."""
    shell.user_ns["df"] = pd.DataFrame(ROWS)
    ran = run_cell(shell, f"run = %llm_task sentiment --train --data {{{{df}}}} {QUICK}")
    assert ran.error is None, ran.printed
    assert shell.user_ns["run"].tags == ["sentiment"]
    return shell.user_ns["df"]


def test_a_text_by_line_and_by_cell(shell, trained):
    ran = run_cell(shell, '%llm_task sentiment "the tea was great"')
    assert ran.error is None, ran.printed
    assert ran.value["label"].tolist() == ["good"]
    assert ran.printed.startswith("good  (")
    assert "moved by: " in ran.printed
    ran = run_cell(shell, "what = 'awful'\n")
    ran = run_cell(shell, "%%llm_task sentiment\nthe tea was {{what}}")
    assert ran.value["label"].tolist() == ["bad"]


def test_tables_and_scores(shell, trained, tmp_path):
    ran = run_cell(shell, "%llm_task sentiment --evaluate")
    assert ran.value.loc["accuracy", "value"] == 1
    assert "bag of words" in ran.printed
    assert "held-out rows" in ran.printed
    ran = run_cell(shell, "%llm_task sentiment --data {{df}} --text-column review")
    assert (ran.value["label"] == ran.value["stars"]).all()
    path = tmp_path / "own.csv"
    path.write_text("words;class\nit was great;bad\nit was dull;bad\n;good\n")
    ran = run_cell(shell, f"%llm_task sentiment --errors --data '{path}' --text-column words --label-column class")
    assert ran.value["text"].tolist() == ["it was great"]
    assert "1 of 2 rows are answered wrongly" in ran.printed
    ran = run_cell(shell, f"%llm_task sentiment --evaluate --data '{path}' --text-column words")
    assert "1 rows without text" in ran.printed
    ran = run_cell(shell, "%llm_task sentiment --leaderboard --limit 20")
    assert list(ran.value.index) == ["sentiment", "majority", "bag of words"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%llm_task sentimant x", "Did you mean 'sentiment'?"),
        ("%llm_task sentiment fine", "Type: %llm_task sentiment --train"),
        ("%llm_task sentiment", "There is nothing to ask"),
        ("%llm_task sentiment --train --evaluate", "two things to do"),
        ("%llm_task sentiment --train fine", "takes no text"),
        ("%llm_task sentiment --train --source en", "sentiment has no source"),
        ("%llm_task sentiment --evaluate fine", "takes no text"),
        ("%llm_task sentiment fine --steps 4", "is a setting of the training"),
        ("%llm_task sentiment --train --beams 4", "--beams does not go with --train"),
        ("%llm_task sentiment --train --layerz 4", "no flag --layerz"),
        (
            "%llm_task sentiment --run tiny fine",
            "tiny goes on from a text, and sentiment needs a model that gives labels",
        ),
    ],
)
def test_mistakes_are_one_line(shell, runs, tiny, line, said):
    tiny_first = run_cell(shell, line)
    assert said in tiny_first.printed
    assert tiny_first.printed.count("\n") <= 1


def test_the_terminal(trained, tmp_path, capsys):
    assert cli.main(["task", "sentiment", "the tea was great"]) == 0
    assert capsys.readouterr().out.startswith("good  (")
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("id\treview\n1\tit was great\n2\t\n3\tit was dull\n")
    assert cli.main(["predict", "sentiment", str(path), str(out), "--text-column", "review"]) == 0
    assert "Wrote 2 answers" in capsys.readouterr().out
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [row["label"] for row in rows] == ["good", "", "bad"]
    assert [row["id"] for row in rows] == ["1", "2", "3"]


def test_what_is_shown_is_escaped(shell, trained):
    done = run_cell(shell, "x = %llm_task sentiment --data {{df}} --text-column review")
    frame = shell.user_ns["x"].assign(review="<img onerror=alert(1)>")
    page = shown.page(Done("answers", None, frame))
    assert done.error is None
    assert "<img" not in page
