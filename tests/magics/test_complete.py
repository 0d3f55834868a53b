"""Tab in lines and bodies, asked for as JupyterLab's kernel asks."""

import pytest
from IPython.core.completer import provisionalcompleter, rectify_completions

from nbllm.config import options
from nbllm.registry import CORPORA


def complete(shell, text, at=None):
    """The completed texts of the word before the cursor, through `Completer.completions`, as do_complete calls it."""
    at = len(text) if at is None else at
    with provisionalcompleter():
        found = list(rectify_completions(text, shell.Completer.completions(text, at)))
    return [text[: each.start].rpartition("\n")[2] + each.text for each in found], found


def words(shell, text):
    return [whole.split()[-1] for whole in complete(shell, text)[0]]


def test_run_names(shell, tiny):
    tiny.rename(tiny.with_name("shakespeare"))
    for line in ("%%llm_train sha", "%llm_attach sha", "run = %llm_attach sha", "%llm_runs --delete x sha"):
        assert words(shell, line) == ["shakespeare"], line
    assert words(shell, "%llm_attach ") == ["shakespeare"]
    assert words(shell, "%llm_train x --from sha") == ["shakespeare"]
    assert words(shell, "%llm_train x --teacher ") == ["shakespeare"]
    with pytest.warns(PendingDeprecationWarning):
        _, legacy = shell.complete("", "%%llm_train sha", 15)
    assert legacy == ["shakespeare"]


def test_flags(shell):
    assert words(shell, "%llm_train --mod") == ["--model"]
    assert "--no-cache" in words(shell, "%llm_train x --no-")
    assert words(shell, "%llm_generate r --max") == ["--max-tokens"]
    assert "--steps" not in words(shell, "%llm_generate r --s")
    every = words(shell, "%%llm_train --")
    assert {leaf.flag for leaf in options()} <= set(every)
    assert words(shell, "%llm_train --model.lay") == ["--model.layers"]


def test_choices(shell):
    assert words(shell, "%llm_train --model tr") == ["transformer"]
    assert words(shell, "%llm_train --size ") == ["tiny", "mini", "small", "base"]
    assert complete(shell, "%llm_train --size=ti")[0] == ["%llm_train --size=tiny"]
    assert complete(shell, "%llm_train train.optimizer=a")[0] == ["%llm_train train.optimizer=adamw"]
    assert words(shell, "%llm_train --runner p") == ["process"]
    assert "zh-phrases" in words(shell, "%llm_train --data zh")
    assert set(CORPORA) <= set(words(shell, "%llm_data "))


def test_lists(shell):
    assert words(shell, "%llm_train --metrics acc") == ["accuracy"]
    assert words(shell, "%llm_train --metrics accuracy,") == ["accuracy,top5"]
    assert words(shell, "%llm_train train.loggers=tensorboard,ml")[0].endswith("tensorboard,mlflow")
    assert complete(shell, "%%llm_train x\ntrain: {metrics: [acc")[0] == ["train: {metrics: [accuracy"]
    assert complete(shell, "%%llm_train x\ntrain: {metrics: [accuracy, to")[0] == ["train: {metrics: [accuracy, top5"]


def test_dotted_names(shell):
    assert words(shell, "%llm_train x model.lay") == ["model.layers="]


def test_paths(shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "novel.txt").write_text("x")
    (tmp_path / "novels").mkdir()
    assert words(shell, "%llm_train --data nov") == ["novel.txt", "novels/"]
    assert words(shell, "%llm_train --data ./nov") == ["./novel.txt", "./novels/"]
    (tmp_path / "my text.txt").write_text("x")
    assert complete(shell, '%llm_train --data "my t')[0] == ['%llm_train --data "my text.txt']


def test_variables(shell):
    shell.user_ns["my_frame"] = ["text"]
    assert words(shell, "%llm_train --data {{my_f") == ["{{my_frame}}"]
    assert "{{In}}" not in words(shell, "%llm_train --data {{")


def test_body(shell):
    assert complete(shell, "%%llm_train x\nmod")[0] == ["model: "]
    assert complete(shell, "%%llm_train x\nmodel: {lay")[0] == ["model: {layers: "]
    assert complete(shell, "%%llm_train x\ntrain: {optimizer: mu")[0] == ["train: {optimizer: muon"]
    assert complete(shell, "%%llm_train x\nmodel: ls")[0] == ["model: lstm"]
    assert complete(shell, "%%llm_train x\nmodel:\n  lay")[0] == ["  layers: "]
    assert complete(shell, "%%llm_train x\nmodel:\n  layers: 2\n  ti")[0] == ["  tied: "]
    assert "  lr: " not in complete(shell, "%%llm_train x\nmodel:\n  l")[0]
    assert complete(shell, "%%llm_train x\ntrain:\n  optimizer: mu")[0] == ["  optimizer: muon"]
    assert complete(shell, "%%llm_train x\ntrain:\n  lr: 1\nmod")[0] == ["model: "]


@pytest.mark.parametrize("line", ["%llm_train --model l", "%%llm_train x\nmodel: l"])
def test_jedi_adds_nothing(shell, line):
    shell.user_ns["lovely"] = 1
    assert complete(shell, line)[0] == [line.rpartition("\n")[2] + "stm"]


def test_python_is_left_alone(shell):
    shell.user_ns["lovely"] = 1
    assert "lovely" in complete(shell, "x = lov")[0][0]
    assert "%llm_train" in complete(shell, "%llm_tra")[0]
