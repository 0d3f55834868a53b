"""Loading is quick and light; unloading takes everything back; %config and empty bodies work."""

import os
import subprocess
import sys
import threading

import pytest

from nbllm.magics.commands import COMMANDS
from nbllm.magics.extension import empty_body_to_line
from nbllm.magics.settings import NbLLM
from nbllm.runners import plan, standby
from tests.magics.shell import run_cell

LOAD = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
begun = time.process_time()
shell.run_line_magic("load_ext", "nbllm")
print(time.process_time() - begun)
print([name for name in ("torch", "transformers", "pandas", "plotly", "numpy") if name in sys.modules])
"""


def test_loading_is_quick_and_light(monkeypatch):
    monkeypatch.setenv("NBLLM_STANDBY", "0")
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.splitlines()[-2:]
    assert heavy == "[]"
    assert float(seconds) < 0.5


def test_a_wrong_display_is_one_line_and_trains_nothing(shell, runs, monkeypatch, capfd):
    monkeypatch.setenv("NBLLM_DISPLAY", "htm")
    shell.run_line_magic("reload_ext", "nbllm")
    for thread in [each for each in threading.enumerate() if each.name == "nbllm-warm"]:
        thread.join(20)
    assert "Traceback" not in capfd.readouterr().err
    ran = run_cell(shell, "%llm_train x --size tiny --steps 2")
    assert ran.error_lines == ["Error: NBLLM_DISPLAY is 'htm'. Did you mean 'html'?"]
    assert not (runs / "x").exists()


def test_unload_takes_everything_back(shell):
    magics, completer = shell.magics_manager.magics, shell.Completer
    assert {f"llm_{name}" for name in COMMANDS} <= set(magics["line"])
    cells = {f"llm_{name}" for name, command in COMMANDS.items() if command.cell}
    assert {name for name in magics["cell"] if name.startswith("llm_")} == cells
    assert {"llm_train", "llm_generate"} <= cells
    settings = NbLLM.instance()
    run_cell(shell, "%config NbLLM.runs = 'elsewhere'")
    assert os.environ["NBLLM_RUNS"].endswith("elsewhere")
    before = len(shell.configurables)
    shell.run_line_magic("unload_ext", "nbllm")
    assert not [name for kind in magics.values() for name in kind if name.startswith("llm_")]
    assert empty_body_to_line not in shell.input_transformers_cleanup
    assert not [each for each in completer.custom_matchers if getattr(each, "matcher_identifier", "") == "nbllm"]
    assert settings not in shell.configurables
    assert len(shell.configurables) == before - 1
    assert not os.environ["NBLLM_RUNS"].endswith("elsewhere")
    shell.run_line_magic("load_ext", "nbllm")
    shell.run_line_magic("reload_ext", "nbllm")
    assert len([each for each in completer.custom_matchers if each.matcher_identifier == "nbllm"]) == 1
    assert shell.input_transformers_cleanup.count(empty_body_to_line) == 1


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["%%llm_train x --steps 3\n"], ["%llm_train x --steps 3\n"]),
        (["%%llm_train\n", "\n", "  \n"], ["%llm_train\n"]),
        (["\n", "%%llm_train x"], ["%llm_train x\n"]),
        (["%%llm_train x\n", "model: lstm\n"], None),
        (["%%timeit\n"], None),
        (["x = 1\n"], None),
        ([], None),
    ],
)
def test_empty_bodies_become_lines(lines, expected):
    assert empty_body_to_line(lines) == (lines if expected is None else expected)


def test_config_is_a_layer_below_the_cell(shell):
    run_cell(shell, "%config NbLLM.size = 'tiny'\n%config NbLLM.model = 'lstm'")
    run_cell(shell, "%config NbLLM.defaults = {'train.lr': 1e-4, 'train.steps': 3}")
    config = plan.configure([("line", {"train.seed": 3})])
    assert (config.size, config.model.kind, config.train.lr, config.train.steps) == ("tiny", "lstm", 1e-4, 3)
    assert run_cell(shell, "%config NbLLM.display = 'html'").error is None
    assert os.environ["NBLLM_DISPLAY"] == "html"
    refused = run_cell(shell, "%config NbLLM.display = 'hologram'")
    assert NbLLM.instance().display == "html"
    assert "Traceback" not in refused.printed
    reloaded = run_cell(shell, "%reload_ext nbllm")
    assert reloaded.error is None
    assert "not the str 'hologram'" in reloaded.printed


def test_standby_follows_its_switch(shell, monkeypatch):
    calls = []
    monkeypatch.setattr(standby, "start", lambda: calls.append("start"))
    monkeypatch.setattr(standby, "stop", lambda: calls.append("stop"))
    run_cell(shell, "%config NbLLM.standby = False")
    run_cell(shell, "%config NbLLM.standby = True")
    assert calls == ["stop", "start"]
    shell.run_line_magic("unload_ext", "nbllm")
    shell.run_line_magic("load_ext", "nbllm")
    assert calls == ["stop", "start", "stop", "start"]
