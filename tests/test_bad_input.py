"""Every mistake is answered by one clear line that says what to do, and never by a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from nbllm.errors import NbllmError
from tests.magics.conftest import shell  # noqa: F401 - a fixture
from tests.magics.shell import TEXT, give_run, run_cell

QUICK = "--runner inline --size tiny --layers 1 --steps 3 --context 16 --sample-every 0 --probe-every 0"

# Cell, and words that the line must hold: what is wrong, and what to do.
LINES = {
    # flags
    "unknown flag": ("%llm_train x --sise small", ["--sise", "Did you mean '--size'?"]),
    "unknown short flag": ("%llm_generate tiny x -t 3", ["-t", "--"]),
    "flag without value": ("%llm_train x --data", ["--data has no value", "Write --data VALUE"]),
    "flag before a flag": ("%llm_train x --lr --wait", ["--lr has no value"]),
    "switch with a value": ("%llm_train x --wait=3", ["--wait takes no value", "alone"]),
    "no- of a number": ("%llm_train x --no-lr", ["--no-lr", "Did you mean"]),
    "wrong choice of a flag": ("%llm_train x --runner proces", ["'proces'", "Did you mean 'process'?"]),
    "open quote": ("%llm_train x --data 'my file", ["not closed", "Write '"]),
    "a second name": ("%llm_train two words", ["'words'", "quotes"]),
    "two names": ("%llm_train one --name two", ["'one' and 'two'", "Keep one"]),
    "a flag twice": ("%llm_train x --lr 1e-3 --lr 2e-3", ["train.lr is given twice", "Keep one"]),
    "rename one": ("%llm_runs --rename tiny", ["--rename", "OLD NEW"]),
    "yes alone": ("%llm_runs --yes", ["--yes goes with --prune"]),
    "words for runs": ("%llm_runs delete tiny", ["'delete'", "Write %llm_runs"]),
    "set nothing": ("%llm_set tiny", ["nothing to set", "lr=1e-3"]),
    "set a word": ("%llm_set tiny lr=fast", ["--lr is 'fast'", "--lr X"]),
    "set something else": ("%llm_set tiny --heads 3", ["--heads", "Known: --lr, --steps"]),
    "generate nothing": ("%llm_generate", ["No run is named", "last"]),
    "tokens in words": ("%llm_generate tiny x --max-tokens many", ["'many'", "--max-tokens N"]),
    "export nowhere": ("%llm_export tiny", ["%llm_export", "RUN FOLDER"]),
    "two sources": ("%llm_data zh-phrases --data python-docs", ["Two sources", "Keep one"]),
    "no such config file": ("%llm_train x --config setings.yaml", ["setings.yaml", "Did you mean 'settings.yaml'?"]),
    # variables
    "unknown variable": ("%llm_train x --data {{text}}", ["'text'", "Did you mean 'texts'?"]),
    "variable not defined": ("%llm_train x --data {{zzz}}", ["'zzz'", "Run the cell"]),
    "code in braces": ("%llm_train x --data {{texts[0]}}", ["{{texts[0]}}", "Give the value a name"]),
    "table in text": ("%llm_train x --data ./{{texts}}.txt", ["is a list", "string or a number"]),
    "table as a setting": ("%llm_train x --model {{texts}}", ["model.kind is a list", "--data"]),
    "number as data": ("%llm_data {{number_set}}", ["set", "list of strings"]),
    # settings
    "unknown key": ("%%llm_train x\nmodle: lstm", ["'modle'", "Did you mean 'model'?"]),
    "unknown inner key": ("%%llm_train x\nmodel: {haeds: 3}", ["'haeds'", "Did you mean 'heads'?"]),
    "unknown dotted key": ("%llm_train x model.laiers=3", ["'laiers'", "Did you mean 'layers'?"]),
    "word for a number": ("%llm_train x --steps many", ["train.steps", "'many'", "budget in steps"]),
    "negative number": ("%llm_train x --lr -1", ["train.lr", "greater than 0"]),
    "part of a step": ("%llm_train x --steps 1.5", ["train.steps", "integer"]),
    "heads and width": ("%%llm_train x\nmodel: {width: 128, heads: 5}", ["5 heads", "Try heads: 4"]),
    "kv heads": ("%llm_train x --heads 4 --kv-heads 3", ["kv_heads 3", "does not divide heads 4"]),
    "a field of another kind": ("%llm_train x --model lstm --heads 4", ["lstm has no 'heads'", "Its keys"]),
    "unknown model": ("%llm_train x --model tranformer", ["'tranformer'", "Did you mean 'transformer'?"]),
    "unknown size": ("%llm_train x --size huge", ["'huge'", "tiny"]),
    "unknown tokenizer": ("%llm_train x --tokenizer words", ["'words'", "Did you mean 'word'?"]),
    "unknown optimizer": ("%llm_train x --optimizer sgd", ["train.optimizer", "'muon' or 'adamw'"]),
    "unknown device": ("%llm_train x --device gpu", ["'gpu'", "cuda"]),
    "two budgets": ("%llm_train x --steps 3 --minutes 1", ["steps and minutes", "Keep one budget"]),
    "body against line": ("%%llm_train x --lr 1e-3\ntrain: {lr: 2e-3}", ["train.lr", "cell body", "Keep one"]),
    "broken YAML": ("%%llm_train x\nmodel: {layers: 3", ["line 2", "not valid YAML", "key: value"]),
    "YAML list": ("%%llm_train x\n- model", ["not a set of keys", "key: value"]),
    "key twice": ("%%llm_train x\nmodel: lstm\nmodel: transformer", ["'model' is given twice"]),
    "YAML alias": ("%%llm_train x\na: &a 1\nb: *a", ["aliases", "key: value"]),
    "YAML object": ("%%llm_train x\nmodel: !!python/object/apply:os.system ['ls']", ["not valid YAML"]),
    "a section as a number": ("%%llm_train x\ntrain: 3", ["train in the cell body is 3", "Write train:"]),
    "accumulate": ("%llm_train x --batch-size 16 --accumulate 3", ["accumulate 3", "batch_size 16"]),
    "too large": ("%llm_train x --layers 500 --width 32768 --heads 512 --device cpu", ["GB", "smaller"]),
    # data
    "no such file": ("%llm_train x --data inptu.txt", ["inptu.txt", "input.txt"]),
    "empty file": ("%llm_train x --data empty.txt", ["empty"]),
    "empty folder": ("%llm_train x --data void", ["void"]),
    "wrong column": ("%llm_train x --data table.csv --text-column reviw", ["reviw", "review"]),
    "wrong column of a list": ("%llm_train x --data {{rows}} --text-column reviw", ["reviw", "review"]),
    "web without leave": ("%llm_train x --data http://example.com/a.txt", ["http", "https"]),
    "empty list": ("%llm_train x --data {{nothing}}", ["no text", "string"]),
    "preview of no file": ("%llm_data inptu.txt", ["inptu.txt", "input.txt"]),
    # names and runs
    "bad name": ("%llm_train a/b", ["'a/b'", "letters"]),
    "name taken": ("%llm_train tiny", ["'tiny' is there already", "--resume", "--replace"]),
    "no such run": ("%llm_attach tinny", ["'tinny'", "Did you mean 'tiny'?"]),
    "generate with no such run": ('%llm_generate tinny "x"', ["'tinny'", "Did you mean 'tiny'?"]),
    "resume no such run": ("%llm_train nobody --resume", ["'nobody'", "tiny"]),
    "resume another model": ("%llm_train tiny --resume --model lstm", ["model.kind", "another name"]),
    "resume in words": ("%llm_train tiny --resume --steps many", ["train.steps", "'many'"]),
    "resume what is done": ("%llm_resume tiny", ["finished", "steps="]),
    "pause what is done": ("%llm_pause tiny", ["finished", "resume"]),
    "no such checkpoint": ('%llm_generate tiny "x" --step 5', ["step 5", "It has: 3, 6"]),
    "delete no such run": ("%llm_runs --delete tinny", ["'tinny'", "Did you mean 'tiny'?"]),
    "rename to a taken name": ("%llm_runs --rename tiny tiny", ["there already", "another name"]),
    "rename to a path": ("%llm_runs --rename tiny ../up", ["'../up'", "letters"]),
    "unpack no such file": ("%llm_runs --unpack nothing.zip", ["nothing.zip"]),
    "unpack a text": ("%llm_runs --unpack input.txt", ["input.txt"]),
    # generation
    "cold as ice": ('%llm_generate tiny "x" --temperature -1', ["temperature", "-1"]),
    "top-p over 1": ('%llm_generate tiny "x" --top-p 2', ["top_p", "2"]),
    "no tokens": ('%llm_generate tiny "x" --max-tokens 0', ["max_tokens is 0", "max_tokens=1"]),
    "empty stop": ('%llm_generate tiny "x" --stop ""', ["stop", "not empty"]),
}


@pytest.fixture
def bench(shell: InteractiveShell, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:  # noqa: F811
    """A shell in a folder with some files, some variables, and a finished run called tiny."""
    monkeypatch.chdir(tmp_path)
    Path("input.txt").write_text("To be, or not to be. " * 200)
    Path("settings.yaml").write_text("model: lstm\n")
    Path("empty.txt").touch()
    Path("void").mkdir()
    Path("table.csv").write_text("review,stars\n" + "good book,5\n" * 300)
    shell.user_ns.update(texts=TEXT, rows=[{"review": "good book"}] * 300, nothing=[], number_set={1, 2})
    give_run(runs)
    return shell


def check(ran, words):
    """One line, as an NbllmError, shown without a traceback, with the words that help."""
    assert isinstance(ran.error, NbllmError), ran.printed
    assert "Traceback" not in ran.printed
    assert len(ran.error_lines) == 1, ran.printed
    line = ran.error_lines[0]
    assert line == f"Error: {ran.error}"
    assert len(line) < 300, line
    for word in words:
        assert word in line, line


@pytest.mark.parametrize("name", LINES)
def test_one_line(bench, name):
    cell, words = LINES[name]
    check(run_cell(bench, cell), words)


def damage(part: str, content: str | bytes | None) -> Callable[[Path], None]:
    """A function that overwrites, or removes, a part of a run."""

    def apply(run: Path) -> None:
        for path in run.glob(part):
            if content is None:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return apply


NEWER = json.dumps({"state": "finished", "format": 99})
GENERATE, RESUME = '%llm_generate tiny "To"', "%llm_train tiny --resume --steps 9 --runner inline"
TORN = ["step-6", "damaged", "earlier checkpoint"]
BROKEN = {
    "no config": (damage("config.yaml", None), RESUME, ["config.yaml"]),
    "config is no YAML": (damage("config.yaml", "model: ["), RESUME, ["config.yaml", "not valid YAML"]),
    "config of a newer version": (damage("config.yaml", "format: 99"), RESUME, ["format 99", "--upgrade"]),
    "config with a foreign key": (damage("config.yaml", "format: 1\nmodle: 3"), RESUME, ["modle", "model"]),
    "config with code": (damage("config.yaml", "a: !!python/name:os.system"), RESUME, ["not valid YAML"]),
    "status is torn": (damage("status.json", '{"state": "fin'), "%llm_pause tiny", ["failed"]),
    "status of a newer version": (damage("status.json", NEWER), "%llm_pause tiny", ["tiny"]),
    "no checkpoints": (damage("checkpoints", None), GENERATE, ["no checkpoint"]),
    "weights are torn": (damage("checkpoints/*/model.safetensors", b"\x08\0\0\0\0\0\0\0{}"), GENERATE, TORN),
    "weights are a pickle": (damage("checkpoints/*/model.safetensors", b"\x80\x04K\x01."), GENERATE, TORN),
    "no weights": (damage("checkpoints/*/model.safetensors", None), GENERATE, ["model.safetensors"]),
    "no tokenizer": (damage("checkpoints/*/tokenizer.json", None), GENERATE, ["tokenizer.json"]),
    "tokenizer is torn": (damage("checkpoints/*/tokenizer.json", '{"model"'), GENERATE, ["tokenizer.json"]),
    "checkpoint's config is torn": (damage("checkpoints/*/config.yaml", "model: ["), GENERATE, ["config.yaml"]),
    "another width": (
        damage("checkpoints/*/config.yaml", "model: {width: 32, heads: 2, layers: 1}"),
        GENERATE,
        ["model"],
    ),
    "a model of another notebook": (damage("config.yaml", "model: {kind: mine}"), RESUME, ["mine", "register"]),
    "optimizer is torn": (damage("checkpoints/*/optimizer.safetensors", b"x"), RESUME, TORN),
    "training state is torn": (damage("checkpoints/*/state.json", "{"), RESUME, TORN),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_run_folder(bench, runs, name):
    break_it, cell, words = BROKEN[name]
    break_it(runs / "tiny")
    check(run_cell(bench, cell), words)
    assert run_cell(bench, "%llm_runs").error is None, "a broken run must not hide the others"


CONTENT: dict[str, tuple[str, bytes, list[str]]] = {
    "shorter than a window": ("a.txt", b"short", ["window", "context"]),
    "a picture": ("a.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, ["a.txt"]),
    "broken JSON": ("a.jsonl", b'{"text": "good"}\n{"text": \n', ["a.jsonl", "2"]),
    "JSON without text": ("a.jsonl", b'{"id": 1}\n' * 50, ["id"]),
    "no zip": ("a.zip", b"PK nothing", ["a.zip"]),
    "no gzip": ("a.txt.gz", b"nothing", ["a.txt.gz"]),
}


@pytest.mark.parametrize("name", CONTENT)
def test_broken_data(bench, name):
    file, content, words = CONTENT[name]
    Path(file).write_bytes(content)
    check(run_cell(bench, f"%llm_train bad {QUICK} --data {file}"), words)


def test_there_are_enough():
    assert len(LINES) + len(BROKEN) + len(CONTENT) >= 40


@pytest.fixture(autouse=True)
def _no_leftover_runs(runs: Path) -> Iterator[None]:
    """A refused cell leaves no half-made run behind."""
    yield
    if runs.is_dir():
        assert {each.name for each in runs.iterdir() if not each.name.startswith(".")} <= {"tiny", "bad"}
