"""%llm_memorization, %llm_exposure, %llm_membership and %llm_scan, and the same in a terminal."""

from __future__ import annotations

import pytest

import nbllm
from nbllm.cli import main
from tests.magics.shell import run_cell


@pytest.fixture
def secrets(runs):
    lines = "\n".join(f"line {i} of a text with numbers 0123456789" for i in range(700))
    run = nbllm.train(
        "secrets", data=[lines], model="lstm", size="tiny", steps=3, runner="inline", canaries="1,3", canary_each=2
    )
    assert run.state == "finished", run.error
    return run


def test_each_asks_the_run(shell, secrets):
    ran = run_cell(shell, "found = %llm_memorization secrets --prefixes 20 --prefix-tokens 12 --tokens 9 --seed 2")
    assert ran.error is None, ran.printed
    found = shell.user_ns["found"]
    assert (found.facts["prefixes"], found.facts["prefix_tokens"], found.facts["tokens"]) == (20, 12, 9)
    assert found.facts["share"] == secrets.memorization(prefixes=20, prefix_tokens=12, tokens=9, seed=2).facts["share"]
    ran = run_cell(shell, "%llm_exposure secrets")
    assert ran.value.table.index.tolist() == [0, 1, 3]
    assert "What this does not show" in ran.printed
    ran = run_cell(shell, "%llm_membership secrets --texts 30 --reference secrets")
    assert ran.value.facts["members"] == 30
    assert "loss beside secrets" in ran.value.table.index
    assert {each.kind for each in secrets.findings} == {"memorization", "exposure", "membership"}


def test_scan_of_a_source_an_object_and_a_run(shell, secrets, tmp_path):
    (tmp_path / "a.txt").write_text("电话13812345678。 a@example.com", encoding="utf-8")
    assert run_cell(shell, f"%llm_scan {tmp_path / 'a.txt'}").value.facts["found"] == 2
    assert run_cell(shell, f"%llm_scan {tmp_path / 'a.txt'} --kinds phone card").value.table.index.tolist() == [
        "phone",
        "card",
    ]
    shell.user_ns["texts"] = ["a@example.com", "b"]
    assert run_cell(shell, "%llm_scan {{texts}}").value.facts["email"] == 1
    assert run_cell(shell, "%llm_scan --run secrets").value.facts["found"] == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%llm_memorization", "needs 1 name"),
        ("%llm_memorization secrets --prefixes 2", "too few"),
        ("%llm_exposure nobody", "no run 'nobody'"),
        ("%llm_scan a.txt --run secrets", "Keep one of the two"),
        ("%llm_scan python-docs --kinds mail", "Did you mean email"),
        ("%llm_train x --redact mail", "Did you mean email"),
        ("%llm_train x --canaries 0", "1 to 10,000"),
    ],
)
def test_mistakes_are_one_line(shell, secrets, line, said):
    ran = run_cell(shell, line)
    assert said in ran.printed, ran.printed
    assert ran.printed.count("Error") == 1


def test_in_a_terminal(secrets, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("电话13812345678。", encoding="utf-8")
    assert main(["scan", str(tmp_path / "a.txt")]) == 0
    assert "telephone numbers 1" in capsys.readouterr().out
    assert main(["exposure", "secrets"]) == 0
    assert "planted" in capsys.readouterr().out
