"""Code as a task: rows of modules that were not learned from, answers that end by indentation, and what scores them."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nbllm
from nbllm.data import functions
from nbllm.errors import ConfigError, DataError
from nbllm.tasks.code import Code, alike, body_end, first_line, kind, line_before, parses, stop_of
from nbllm.tasks.execution import run_code
from nbllm.tasks.ngrams import ByteNgrams
from nbllm.tasks.pass_at_k import pass_at_k
from tests.magics import conftest

shell = conftest.shell

SOURCE = '''import os


class Shelf:
    def size(self, path):
        """How large a file is."""
        # in bytes
        found = os.stat(path)
        return found.st_size

    def other(self):
        return None
'''


@pytest.fixture(scope="module")
def task() -> Code:
    found = nbllm.tasks.get("code")
    assert isinstance(found, Code)
    return found


def function(text: str, name: str) -> functions.Function:
    return next(n for n in ast.walk(ast.parse(text)) if isinstance(n, functions.Function) and n.name == name)


def test_a_body_is_cut_behind_the_docstring_and_put_back_whole() -> None:
    ((prompt, completion),) = functions.body_of(SOURCE, function(SOURCE, "size"))
    assert prompt.endswith('"""How large a file is."""\n')
    assert completion == "        # in bytes\n        found = os.stat(path)\n        return found.st_size\n"
    assert (prompt + completion) in SOURCE
    assert parses(prompt, completion) is True
    assert parses(prompt, "        return (\n") is False
    assert parses("x = ", "1") is None


def test_a_line_is_cut_within_its_first_half() -> None:
    rows = functions.rows_of_text(SOURCE)
    lines = [(a, b) for a, b in rows if kind(a) == "line"]
    assert lines
    for prompt, completion in lines:
        assert prompt + completion + "\n" in SOURCE
        assert completion.strip()
        assert "\n" not in completion
    assert functions.rows_of_text("int main(void) {\n    return printf(greeting);\n}\n"), (
        "lines of other languages, too"
    )


def test_modules_of_the_test_are_never_learned_from() -> None:
    sides: dict[str, set[str]] = {"train": set(), "test": set()}
    for name, text, _ in functions.modules():
        sides[functions.side(name)].add(text)
    learned = set(functions.python_code())
    assert learned == sides["train"]
    assert len(sides["test"]) > 10
    assert max(map(len, learned & sides["test"]), default=0) < 100, "a comment, at most"


def test_a_function_is_explained_by_what_its_docstring_says_first() -> None:
    assert functions.without_docstring('def f(x):\n    """Say it."""\n    return x\n') == "def f(x):\n    return x\n"
    assert functions.without_docstring("def f(x): return x") == "def f(x): return x\n"
    ((code, said),) = functions.explained(SOURCE, ast.parse(SOURCE))
    assert said == "How large a file is."
    assert code.startswith("def size(self, path):\n")
    assert "large" not in code


def test_an_answer_ends_where_the_indentation_falls_back() -> None:
    text = "        return 1\n\n    def next(self):\n"
    assert text[: body_end(text, 4)] == "        return 1\n"
    assert body_end("        return 1\n", 4) is None
    assert body_end("        if x:\n\n            y()\n", 4) is None
    stop = stop_of("class A:\n    def f(self):\n")
    assert stop("        pass\n    x") == len("        pass\n")
    assert stop_of("x = ")("1 + 2\nz") == 5
    assert body_end("\treturn 1\nx", 0) == len("\treturn 1\n")


def test_the_preset_is_for_its_own_text_alone(task: Code) -> None:
    asked = [("line", {"data.source": "shelf.py"})]
    assert task.layers([])[0][1]["train.steps"] == Code.preset["train.steps"]
    assert task.layers(asked)[0][1]["train.epochs"] == Code.own_preset["train.epochs"]


def test_scores(task: Code) -> None:
    rows = [{"prompt": "x", "completion": " = 1"}, {"prompt": "def f():\n", "completion": "    return 1\n"}]
    right = task.measure(task.judge(rows, [{"completion": row["completion"], "bits": (8.0, 4)} for row in rows]))
    assert right == {"exact_line": 1.0, "edit_similarity": 1.0, "parses": 1.0, "bits_per_byte": 2.0}
    empty = task.measure(task.judge(rows, [{"completion": ""}] * 2))
    assert empty["exact_line"] == 0
    assert empty["edit_similarity"] == 0
    assert empty["parses"] == 0
    assert math.isnan(empty["bits_per_byte"])
    assert first_line("\n    a = 1  \nb") == "    a = 1"
    assert alike("abcd", "abxd") == pytest.approx(0.75)
    assert alike("变量", "变量") == 1.0
    assert line_before("self.a = 1\nself.") == "a = 1"
    assert line_before("x = 1\nzz") == ""


def test_counts_of_bytes_are_chances_and_learn() -> None:
    counted = ByteNgrams(["for i in range(10):\n    total += i\n"] * 20)
    for context in (b"", b"for i in", b"\xff\xfe never seen", "变量".encode()):
        chances = counted.next(context)
        assert chances.shape == (256,)
        assert chances.sum() == pytest.approx(1)
        assert chances.min() > 0
    assert counted.complete("for i in ran", stop_of("for i in ran")) == "ge(10):"
    seen, size = counted.bits("for i in ", "range(10):")
    assert size == 10
    assert seen / size < 0.5 < counted.bits("for i in ", "lambda: xs")[0] / 10
    # Witten-Bell by hand: two bytes a and b, once each, no context: (1 + 2/256) / (2 + 2)
    assert ByteNgrams(["ab"]).next(b"")[ord("a")] == pytest.approx((1 + 2 / 256) / 4)


def test_pass_at_k_is_the_unbiased_estimate() -> None:
    assert pass_at_k(1, 1, 1) == 1.0
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    assert pass_at_k(4, 2, 2) == pytest.approx(1 - (2 / 4) * (1 / 3))
    assert pass_at_k(5, 0, 5) == 0.0


def test_code_is_run_apart_and_within_limits(tmp_path: Path) -> None:
    assert run_code("assert 1 + 1 == 2").passed
    assert run_code("print('x' * 100000)").passed, "what it prints goes nowhere"
    wrong = run_code("assert 1 + 1 == 3, 'sum'")
    assert not wrong.passed
    assert wrong.said == "AssertionError: sum"
    assert not run_code("import os; os._exit(0)").passed, "leaving early is no pass"
    assert not run_code("raise SystemExit(0)").passed
    assert "1 s" in run_code("while True: pass", seconds=1).said
    assert not run_code("x = bytearray(4 << 30)").passed
    kept = tmp_path / "kept"
    assert run_code("import os; assert os.getcwd() not in ('/', '') and not os.listdir('.') and len(os.environ) < 8")
    assert not run_code(f"open({str(kept)!r}, 'wb').write(b'x' * (8 << 20))").passed
    offline = run_code("1").offline
    if offline:
        connect = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
        assert "unreachable" in run_code(connect).said, "not even this machine"
    assert not run_code("import numpy").passed, "no packages of the user's"


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that knows a few functions by heart."""
    folder = tmp_path_factory.mktemp("code")
    names = ("width", "height", "depth", "colour", "weight", "price", "owner", "label")
    for number in range(4):
        text = "".join(
            f"def get_{name}(thing):\n    value = thing.{name}\n    return value\n\n\n"
            "def tell(thing):\n    thing._said = thing._heard\n\n\n"
            for name in (*names, *names)
        )
        (folder / f"part{number}.py").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(folder / "runs"))
        run = nbllm.tasks.get("code").train(
            str(folder / "part*.py"), name="known", wait=True, runner="inline", steps=250, epochs=None, seed=1,
            **{"model.width": 32, "model.layers": 2, "model.dropout": 0.0, "tokenizer.vocab_size": 320,
               "train.context": 64, "train.batch_size": 8, "train.patience": None, "data.held_out": 0.25},
        )  # fmt: skip
        assert run.state == "finished", run.error
        yield run


def test_a_model_completes_lines_and_bodies(learned: Any, task: Code) -> None:
    model = learned.load()
    found = task.predict(
        ["def get_price(thing):\n    value = thing.", "def get_price(thing):\n", "def get_price(thing):\n    value ="],
        model=model,
    )
    line, body, other = found["completion"]
    assert line in ("width", "height", "depth", "colour", "weight", "price", "owner", "label")
    assert body.startswith("    value = thing.")
    assert body.endswith("    return value\n")
    assert other.startswith(" thing.")
    (spaced,) = task.predict(["def get_price(thing):\n    value = "], model=model)["completion"]
    assert spaced.startswith("thing."), "a space at the end is no other prompt"
    assert (found["probability"] > 0.3).all()


def test_a_sign_at_the_end_may_be_one_token_with_the_next(learned: Any, task: Code) -> None:
    model = learned.load()
    assert any("._" in token for token in model.tokenizer.get_vocab()), "the two were always seen as one"
    (said,) = task.predict(["def tell(thing):\n    thing."], model=model)["completion"]
    assert said == "_said = thing._heard"


def test_it_is_scored_on_what_it_held_out(learned: Any, task: Code) -> None:
    table = task.evaluate(model=learned.load(), limit=12)
    assert list(table.columns) == ["value", "low", "high", "n-gram", "line before"]
    assert table.loc["exact_line", "value"] > 0.3
    assert table.loc["bits_per_byte", "value"] < 2
    assert table.loc["bits_per_byte", "n-gram"] < 2


def test_problems_in_the_format_of_humaneval(learned: Any, task: Code, tmp_path: Path) -> None:
    problem = {
        "task_id": "own/0", "prompt": "def get_width(thing):\n", "entry_point": "get_width",
        "canonical_solution": "    value = thing.width\n    return value\n",
        "test": "def check(candidate):\n    class T: width = height = depth = colour = weight = price = 3\n"
        "    T.owner = T.label = 3\n    assert candidate(T) == 3\n",
    }  # fmt: skip
    wrong = {**problem, "task_id": "own/1", "test": problem["test"].replace("== 3", "== 4")}
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in (problem, wrong)), encoding="utf-8")
    plain = task.evaluate(str(path), model=learned.load())
    assert "pass@1" not in plain.index, "nothing is run unless asked for"
    table = task.evaluate(str(path), model=learned.load(), execute=True)
    assert table.loc["pass@1", "value"] == 0.5
    assert table.attrs["executed"] == 2
    with pytest.raises(DataError, match="entry_point"):
        task.evaluate(pd.read_json(path, lines=True).drop(columns="entry_point"), model=learned.load(), execute=True)
    with pytest.raises(ConfigError, match="execute"):
        task.evaluate(str(path), model=learned.load(), samples=3)


def test_a_cell_is_completed_and_never_run(
    shell: Any, learned: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBLLM_RUNS", str(learned.folder.parent))
    offered: list[str] = []
    monkeypatch.setattr(shell, "set_next_input", offered.append)
    found = shell.run_cell_magic("llm_complete", "known", "def get_price(thing):\n")
    assert found.completion.startswith("    value = thing.")
    assert offered == [found.whole]
    assert "get_price" not in shell.user_ns
    assert "not run" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no function"):
        shell.run_line_magic("llm_explain", "nothing_of_that_name --run known")
    shell.user_ns["path_join"] = Path.joinpath
    assert shell.run_line_magic("llm_explain", "path_join --run known --max-tokens 8").docstring
