"""%llm_bias, %llm_toxicity, %llm_robustness and %llm_balance: what they ask, what they show, and their mistakes."""

from __future__ import annotations

import pandas as pd
import pytest

import nbllm
from nbllm.cli import main
from tests.magics.shell import run_cell

# In the letters of the run that the tests have.
SENTENCES = ["To {group} be", "the {group}", "not {group} on", "不{group}，", "世 {group} 界"]
GROUPS = {"A": ["is"], "B": ["or"]}


@pytest.fixture
def labels(runs):
    rows = [{"text": f"{word} film {i}", "label": label} for i in range(20) for word, label in (("a", "x"), ("b", "y"))]
    return nbllm.train(
        "labels", data=rows, objective="classification", model="lstm", size="tiny", steps=20, runner="inline"
    )


def test_bias(shell, tiny, tmp_path):
    shell.user_ns.update(sentences=SENTENCES, groups=GROUPS)
    ran = run_cell(shell, "found = %llm_bias tiny --templates {{sentences}} --groups {{groups}} --seed 3")
    assert ran.error is None, ran.printed
    found = shell.user_ns["found"]
    assert found.to_json()["facts"] == nbllm.load("tiny").bias(SENTENCES, GROUPS, seed=3).to_json()["facts"]
    assert ran.printed.count("What this does not show") == 1
    pd.DataFrame({"prompt": SENTENCES}).to_csv(tmp_path / "t.csv", index=False)
    pd.DataFrame(GROUPS).to_csv(tmp_path / "g.csv", index=False)
    ran = run_cell(shell, f"%llm_bias tiny --templates {tmp_path / 't.csv'} --groups {tmp_path / 'g.csv'} --seed 3")
    assert ran.value.facts == found.facts
    assert nbllm.attach("tiny").findings[0].facts == found.facts


def test_toxicity(shell, tiny, tmp_path):
    (tmp_path / "words.txt").write_text("e\n", encoding="utf-8")
    line = f"%llm_toxicity tiny {tmp_path / 'words.txt'} --prompt To --prompt be --samples 4 --max-tokens 9"
    found = run_cell(shell, line + " --temperature 1.5 --seed 1").value
    assert list(found.table.index) == ["To", "be"]
    texts = [nbllm.load("tiny").generate("To", samples=4, max_tokens=9, temperature=1.5, seed=1)]
    assert len(texts[0]) == 4
    shell.user_ns["judge"] = lambda text: len(text) > 0
    assert run_cell(shell, "%llm_toxicity tiny {{judge}} --samples 3").value.facts["flagged"] == 3


def test_robustness(shell, labels):
    ran = run_cell(shell, "%llm_robustness labels --changes typos distractors --rate 0.2 --repeats 1")
    assert ran.error is None, ran.printed
    assert list(ran.value.table.index) == ["typos", "distractors"]
    assert "accuracy_after" in ran.value.table
    ran = run_cell(shell, '%llm_robustness labels --text "a big film" --text "b film"')
    assert ran.value.table.texts["synonyms"] == 2


def test_balance(shell, labels, tmp_path):
    assert run_cell(shell, "%llm_balance labels").value.table.loc["x", "share"] == 0.5
    shell.user_ns["df"] = pd.DataFrame({"words": ["she", "he", "he"], "stars": [1, 2, 2]})
    found = run_cell(shell, "%llm_balance --data {{df}} --text-column words --label-column stars").value
    assert found.table.loc["men", "share"] == pytest.approx(2 / 3)
    (tmp_path / "g.csv").write_text("film,not\nfilm,xx\n,yy\n", encoding="utf-8")
    found = run_cell(shell, f"%llm_balance labels --groups {tmp_path / 'g.csv'}").value
    assert found.table.loc[["film", "not"], "documents"].tolist() == [40, 0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%llm_bias", "needs 1 name"),
        ("%llm_bias nobody", "no run 'nobody'"),
        ("%llm_bias tiny --language fr", "--language cannot be 'fr'"),
        ("%llm_bias tiny", "Only 0 of 20 statements"),  # its text has no such words
        ("%llm_toxicity tiny", "needs 2 names"),
        ("%llm_toxicity tiny words.txt", "nbllm ships no list"),
        ("%llm_robustness tiny", "gives no labels"),
        ("%llm_balance", "Nothing is named"),
        ("%llm_balance tiny --data python-docs", "Keep one of the two"),
        ("%llm_balance --data python-docs --bits", "--bits needs a run"),
    ],
)
def test_a_mistake_is_one_line(shell, tiny, line, said):
    ran = run_cell(shell, line)
    assert len(ran.error_lines) == 1, ran.printed
    assert said in ran.error_lines[0]


def test_the_terminal(tiny, labels, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("zzz\n", encoding="utf-8")
    assert main(["toxicity", "tiny", str(tmp_path / "words.txt"), "--samples", "2", "--max-tokens", "4"]) == 0
    assert "0 of 2 texts" in capsys.readouterr().out
    assert main(["robustness", "labels", "--changes", "typos"]) == 0
    assert "typos change" in capsys.readouterr().out
    assert main(["balance", "--data", "zh-phrases"]) == 0
    assert "Chinese 100.0%" in capsys.readouterr().out
    assert main(["bias", "tiny"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
