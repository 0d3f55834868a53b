"""nbllm in a terminal: the commands in this process, and what needs one of its own in a process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import psutil
import pytest

import nbllm
from nbllm.cli import main, tour
from nbllm.cli import table as terminal
from nbllm.errors import RunError
from nbllm.magics.commands import COMMANDS
from nbllm.magics.tables import coding
from nbllm.runners import notebook as runner
from nbllm.runners.notebook import execute
from tests.magics.shell import TEXT, give_run

QUICK = "--size tiny --layers 1 --context 16 --sample-every 0 --probe-every 0"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "诗.txt"
    path.write_text("".join(TEXT), encoding="utf-8")
    return path


def test_overview_names_every_command(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    here = set(COMMANDS) - {each.name for each in coding.TABLE}  # what helps in a cell alone
    for name in ("demo", "lab", "train", "runs", "attach", "generate", "export", "doctor", "tour", *here):
        assert f"nbllm {name} " in shown
    assert main(["--version"]) == 0
    assert nbllm.__version__ in capsys.readouterr().out


@pytest.mark.parametrize("name", terminal.COMMANDS)
def test_help_speaks_of_the_terminal(name, capsys):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"nbllm {name}" in shown
    assert "%llm_" not in shown
    assert "%%" not in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train", "--sise", "3"], "nbllm train has no flag --sise. Did you mean '--size'?"),
        (["train", "--data", "nothing.txt"], "nothing.txt"),
        (["train", "x", "--lr", "fast"], "train.lr is 'fast'"),
        (["train", "a", "b"], "Write nbllm train [NAME]."),
        (["attach", "nobody"], "no run 'nobody'"),
        (["generate"], "No run is named"),
        (["export", "x"], "Write nbllm export RUN FOLDER."),
        (["lab", "nowhere"], "no folder nowhere"),
        (["demo", "now"], "no use for 'now'"),
    ],
)
def test_a_mistake_is_one_line(words, said, capsys):
    assert main(words) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1
    assert said in shown.err


def test_train_follows_to_the_end_and_the_rest_works(text, tmp_path, capsys):
    assert main(["train", "poem", "--data", str(text), "--steps", "5", *QUICK.split()]) == 0
    shown = capsys.readouterr().out
    assert "5 / 5 finished" in shown
    assert "nbllm generate poem" in shown
    assert nbllm.attach("poem").state == "finished"

    assert main(["attach"]) == 0
    assert "5 / 5 finished" in capsys.readouterr().out
    assert main(["generate", "poem", "To be", "--max-tokens", "8", "--seed", "1"]) == 0
    whole = nbllm.load("poem").generate("To be", max_tokens=8, seed=1)
    assert capsys.readouterr().out == f"To be{whole}\n"
    assert main(["generate", "poem", "To be", "--max-tokens", "8", "--samples", "2"]) == 0
    assert capsys.readouterr().out.count("To be") == 2
    assert main(["attention", "poem", "To be", "--layer", "-1"]) == 0
    assert "5 tokens, 1 layer of" in capsys.readouterr().out
    assert main(["predictions", "poem", "To be", "--top", "2"]) == 0
    assert "<Predictions of 5 tokens" in capsys.readouterr().out
    assert main(["influence", "poem", "To be", "--method", "occlusion"]) == 0
    assert "<Influence of 6 tokens on 6 answers, by occlusion>" in capsys.readouterr().out
    assert main(["runs", "--tag", "poem", "good"]) == 0
    assert "good" in capsys.readouterr().out
    assert main(["export", "poem", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "config.json").is_file()


def test_a_failed_run_is_an_error(tmp_path, capsys):
    (tmp_path / "short.txt").write_text("short")
    assert main(["train", "bad", "--data", str(tmp_path / "short.txt"), *QUICK.split()]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "too short" in error


def test_runs_and_data_and_doctor(runs, text, capsys):
    assert main(["runs"]) == 0
    assert "No run yet" in capsys.readouterr().out
    give_run(runs)
    assert main(["runs"]) == 0
    assert "tiny" in capsys.readouterr().out
    assert main(["data", str(text), "--tokenizer", "char"]) == 0
    assert "T|o| |b|e" in capsys.readouterr().out
    assert main(["doctor"]) in (0, 1)
    assert "torch" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_an_interrupt_detaches_and_the_run_goes_on(text):
    command = [sys.executable, "-m", "nbllm.cli", "train", "long", "--data", str(text), "--steps", "1000000"]
    process = subprocess.Popen([*command, *QUICK.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (nbllm.runs().loc["long", "step"] > 0) if len(nbllm.runs()) else False)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert err == ""
    assert "long goes on. Watch it: nbllm attach long; stop it: nbllm stop long" in out
    run = nbllm.attach("long")
    step = run.step
    wait_for(lambda: run.step > step)
    assert main(["stop", "long"]) == 0
    assert run.wait(30).state == "stopped"


def test_a_notebook_is_executed_to_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cells = [nbformat.v4.new_markdown_cell("# Words"), nbformat.v4.new_code_cell("print('诗' * 3)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "small.ipynb")
    page = execute(tmp_path / "small.ipynb", tmp_path / "output")
    assert page == tmp_path / "output" / "small.html"
    assert "诗诗诗" in page.read_text(encoding="utf-8")
    assert nbformat.read(tmp_path / "output" / "small.ipynb", as_version=4).cells[1].outputs[0].text == "诗诗诗\n"
    assert "2 / 2  done" in capsys.readouterr().out


def test_the_bar_moves_while_a_cell_waits_for_a_run(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "_QUIET_SECONDS", 0.05)
    settings = "size='tiny', layers=1, width=16, heads=2, context=16, batch_size=4, steps=600, wait=True"
    cell = f"import nbllm\nnbllm.train('poem', data={str(text)!r}, {settings})"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)]), tmp_path / "wait.ipynb")
    execute(tmp_path / "wait.ipynb", tmp_path / "output")
    form = r"^\[(#*)\.*\]  0 / 1  import nbllm  poem \[(#*)\.*\] (\d+) / 600$"
    lines = re.findall(form, capsys.readouterr().out, re.MULTILINE)
    steps = [int(step) for *_, step in lines]
    assert len(set(steps)) > 2
    assert steps == sorted(steps)
    assert len({bar for bar, *_ in lines}) > 2
    for whole, part, step in lines:
        assert len(whole) == len(part) == round(20 * int(step) / 600)


def test_a_failing_notebook_is_an_error_and_leaves_its_page(tmp_path):
    cells = [nbformat.v4.new_code_cell("1 / 0"), nbformat.v4.new_code_cell("print('never')")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "broken.ipynb")
    with pytest.raises(RunError, match="division by zero"):
        execute(tmp_path / "broken.ipynb", tmp_path)
    assert "ZeroDivisionError" in (tmp_path / "broken.html").read_text(encoding="utf-8")


def test_tour_copies_and_keeps_what_is_there(tmp_path, capsys):
    folder = tmp_path / "lessons"
    assert main(["tour", str(folder)]) == 0
    ours = {f.name for f in tour.notebooks().glob("*.ipynb")}
    assert ours == {f.name for f in folder.glob("*.ipynb")}
    assert f"files to {folder}" in capsys.readouterr().out
    (folder / tour.FIRST).write_text("mine")
    assert main(["tour", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"are in {folder} already." in said
    assert f"Left as they are, for they differ: {tour.FIRST}." in said
    assert (folder / tour.FIRST).read_text() == "mine"
    (tmp_path / "file").write_text("x")
    assert main(["tour", str(tmp_path / "file")]) == 1
    assert "file is a file." in capsys.readouterr().err


def test_lab_serves_the_folder(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "nbllm.cli", "lab", str(tmp_path), "--no-browser", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/api"))
    finally:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for each in family:
            each.terminate()
        _, alive = psutil.wait_procs(family, timeout=10)
        for each in alive:
            each.kill()
        process.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_for(condition, seconds: float = 60) -> None:
    """Return as soon as the condition holds; fail where it does not within the time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)
