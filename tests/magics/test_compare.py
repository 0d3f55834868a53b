"""%llm_compare, --seeds and %llm_learning_curve, in a real shell and in a terminal."""

from __future__ import annotations

import pytest

import nbllm
from nbllm.cli import main
from tests.handles.made import made
from tests.magics.shell import TEXT, run_cell
from tests.magics.test_complete import words

QUICK = (
    "--runner inline --size tiny --layers 1 --width 16 --heads 2 --steps 4 --context 16 --batch-size 4 "
    "--evaluate-tokens 256 --sample-every 0 --probe-every 0 --data {{texts}}"
)


def test_compare_shows_and_gives_back_the_tables(shell, runs):
    made(runs, "first", {"lr": 1e-3}, sample=("今天", "天气很好"))
    made(runs, "第二", {"lr": 2e-3}, level=1.0)
    ran = run_cell(shell, "%llm_compare first 第二")
    assert ran.error is None, ran.printed
    assert list(ran.value.table.index) == ["第二", "first"]
    assert "bits per byte" in ran.printed
    assert "今天天气很好" in ran.printed
    assigned = run_cell(shell, "x = %llm_compare first 第二 --sort minutes\nx.differences")
    assert "bits per byte" not in assigned.printed, "a value that is kept is not shown"
    assert assigned.value.index.tolist() == ["train.lr"]
    shell.user_ns["runs"] = [nbllm.attach("first"), nbllm.attach("第二")]
    assert len(run_cell(shell, "%llm_compare {{runs}}").value.runs) == 2


def test_run_names_and_columns_complete(shell, runs):
    for name in ("shakespeare", "小说"):
        made(runs, name)
    assert words(shell, "%llm_compare sha") == ["shakespeare"]
    assert words(shell, "%llm_compare shakespeare 小") == ["小说"]
    assert words(shell, "%llm_compare a b c sha") == ["shakespeare"]
    assert words(shell, "x = %llm_compare shakespeare --sort min") == ["minutes"]
    assert words(shell, "%llm_train x --seed") == ["--seeds"]
    assert "--use" in words(shell, "%llm_learning_curve x --us")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%llm_compare", "needs 1 name"),
        ("%llm_compare ferst", "Did you mean 'first'?"),
        ("%llm_compare first --sort loss", "--sort cannot be 'loss'"),
        ("%llm_train x --seeds many", "--seeds is 'many', not a whole number"),
        ("%llm_train x --seeds 0", "as in seeds=5"),
        ("%llm_train first --seeds 2 --resume", "do not resume at once"),
        ("%llm_learning_curve x --fractions 2", "'2' is no share"),
        ("%llm_learning_curve x --minutes 3", "minutes would change it"),
        ("%llm_learning_curve x --steps 5 --data nothing.txt", "nothing.txt"),
    ],
)
def test_a_mistake_is_one_line(shell, runs, line, said):
    made(runs, "first")
    ran = run_cell(shell, line)
    assert ran.error is not None
    assert len(ran.error_lines) == 1
    assert said in ran.error_lines[0]
    assert [path.name for path in runs.iterdir()] == ["first"]


def test_seeds_of_a_cell(shell, runs):
    shell.user_ns["texts"] = TEXT
    ran = run_cell(shell, f"%%llm_train 诗 --seeds 2 {QUICK}\ntrain: {{seed: 5}}")
    assert ran.error is None, ran.printed
    assert [run.name for run in ran.value] == ["诗-seed-5", "诗-seed-6"]
    assert ran.printed.count("over 2 of 2 seeds") == 1, "it is shown once"
    again = run_cell(shell, "import nbllm\nnbllm.Repeats.of('诗')")
    assert "over 2 of 2 seeds" in again.printed
    command = (runs / "诗-seed-5" / "environment.json").read_text(encoding="utf-8")
    assert "%llm_train 诗 --seeds 2" in command


def test_a_learning_curve_of_a_line(shell, runs):
    shell.user_ns["texts"] = TEXT
    ran = run_cell(shell, f"curve = %llm_learning_curve c --fractions 0.5 1 {QUICK}\ncurve.table")
    assert ran.error is None, ran.printed
    assert ran.value["use"].tolist() == [0.5, 1.0]
    assert [run.step for run in shell.user_ns["curve"]] == [4, 4]


def test_in_a_terminal(runs, tmp_path, capsys):
    made(runs, "first", {"lr": 1e-3}, sample=("今天", "天气很好"))
    made(runs, "other", {"lr": 2e-3})
    assert main(["compare", "first", "other", "--sort", "minutes"]) == 0
    shown = capsys.readouterr().out
    for part in ("bits per byte", "train.lr", "今天天气很好"):
        assert part in shown
    assert main(["compare", "first", "othr"]) == 1
    assert "Did you mean 'other'?" in capsys.readouterr().err
    text = tmp_path / "诗.txt"
    text.write_text("".join(TEXT), encoding="utf-8")
    line = QUICK.replace("{{texts}}", str(text)).split()
    assert main(["train", "w", "--seeds", "2", *line]) == 0
    assert "over 2 of 2 seeds" in capsys.readouterr().out
    assert main(["learning_curve", "w", "--fractions", "0.5", "1", *line]) == 0
    assert "tokens to learn from" in capsys.readouterr().out
