"""Help while coding: the docstring that is put into a function, and what is offered as the next cell."""

from __future__ import annotations

import ast

import pytest

import nbllm
from nbllm.config import TokenizerConfig
from nbllm.data import tokenizers
from nbllm.data.middle import MARKS, marks, middle_prompt
from nbllm.magics.coding import with_docstring
from tests.magics.shell import run_cell

SOURCE = "def area(width, height):\n    return width * height\n"


@pytest.mark.parametrize(
    "source",
    [
        SOURCE,
        "@cache\ndef area(\n    width,\n    height,\n):\n    # a comment\n    return width * height",
        'def area(width, height):\n    """Old."""\n    return width * height\n',
        'def area(width, height):\n    """Old\n\n    and long.\n    """\n    return width * height\n',
        "def area(width, height): return width * height",
        "async def area(width, height):\n\treturn width * height\n",
        'def 面积(width, height, 名="面"): return 名',
    ],
)
def test_a_docstring_is_put_into_a_function(source):
    for text in ("The area.", 'Says "no"', "a\\b", 'three """ quotes', "面积。"):
        found = ast.parse(with_docstring(source, text)).body[0]
        assert isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)
        assert ast.get_docstring(found, clean=False).rstrip() == text
        body = ast.parse(source).body[0]
        assert isinstance(body, ast.FunctionDef | ast.AsyncFunctionDef)
        plain = body.body[1:] if ast.get_docstring(body) else body.body
        assert [ast.dump(each) for each in found.body[1:]] == [ast.dump(each) for each in plain]


def test_a_gap_is_filled_in_by_a_model_that_has_learned_to(shell, runs):
    text = "".join(f"def f{n}(a, b):\n    total = a + b\n    return total\n\n\n" for n in range(9)) * 9
    settings = {"sample.every": 0, "probe.every": 0, "train.context": 64, "steps": 2}
    for name, share in (("filler", 0.9), ("plain", 0.0)):
        run = nbllm.train(
            name,
            data=[text],
            model="lstm",
            size="tiny",
            runner="inline",
            **settings,
            **{"objective.fill_middle": share},
        )
        assert run.state == "finished", run.error
    offered: list[str] = []
    shell.set_next_input = lambda text, replace=False: offered.append(text)
    cell = "def f3(a, b):\n    total = <fill>\n    return total"
    ran = run_cell(shell, f"%%llm_complete filler --max-tokens 5\n{cell}")
    assert ran.error is None, ran.printed
    assert offered == [f"def f3(a, b):\n    total = {ran.value.completion}\n    return total"]
    assert "not run" in ran.printed
    ran = run_cell(shell, f"%%llm_complete plain\n{cell}")
    assert "has not learned to fill in a gap" in ran.printed
    assert ran.printed.strip().count("\n") == 0


def test_both_sides_of_a_gap_are_given_and_cut_where_it_lies():
    tokenizer = tokenizers.train(TokenizerConfig(kind="char"), iter(["abc"]), MARKS)
    first, second, third = marks(tokenizer)

    def told(*texts, room=99):
        return [tokenizer.id_to_token(i) for i in middle_prompt(tokenizer, *texts, room)]

    assert told("ab", "c") == [MARKS[0], "a", "b", MARKS[1], "c", MARKS[2]]
    cut = told("a" * 50 + "b", "c" + "a" * 50, room=20)
    assert len(cut) <= 20
    assert cut[cut.index(MARKS[1]) - 1 : cut.index(MARKS[1]) + 2] == ["b", MARKS[1], "c"]
    assert len({first, second, third}) == 3


def test_a_function_of_the_notebook_is_offered_with_its_docstring(shell, runs):
    text = "".join(f"def f{n}(a):\n    return a\n# In words: gives back what it gets\n<end>\n" for n in range(9)) * 20
    run = nbllm.train("told", data=[text], model="lstm", size="tiny", steps=150, runner="inline", tokenizer="bpe",
                      vocab_size=300, **{"sample.every": 0, "probe.every": 0})  # fmt: skip
    assert run.state == "finished", run.error
    offered: list[str] = []
    shell.set_next_input = lambda text, replace=False: offered.append(text)
    assert run_cell(shell, "def f3(a):\n    return a").error is None
    ran = run_cell(shell, "%llm_explain f3 --run told --max-tokens 12")
    assert ran.error is None, ran.printed
    assert ran.value.docstring.startswith("gives back")
    (only,) = offered
    assert only == f'def f3(a):\n    """{ran.value.docstring}"""\n    return a'
    assert shell.user_ns["f3"].__doc__ is None  # nothing of it was run
