"""The magics on a real run, in a real shell without a page."""

import os
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

import nbllm
from nbllm.magics.commands import COMMANDS
from nbllm.store.folder import RunFolder
from tests.magics.shell import TEXT, run_cell

QUICK = "--runner inline --size tiny --layers 1 --steps 4 --context 16 --sample-every 0 --probe-every 0"


def test_train_cell_and_line(shell, runs):
    shell.user_ns.update(texts=TEXT, steps=3)
    ran = run_cell(
        shell, f"%%llm_train first {QUICK.replace('--steps 4', '')} --data {{{{texts}}}}\nsteps: {{{{steps}}}}"
    )
    assert ran.error is None, ran.printed
    assert (ran.value.name, ran.value.state, ran.value.step) == ("first", "finished", 3)
    assert (runs / "first" / "config.yaml").is_file()
    ran = run_cell(shell, f"run = %llm_train {QUICK} --name second --data {{{{texts}}}}\nrun.name")
    assert ran.value == "second"
    assert list(nbllm.runs().index) == ["second", "first"]


def test_train_with_an_empty_body_and_a_config_file(shell, tmp_path):
    shell.user_ns["texts"] = TEXT
    file = tmp_path / "my settings.yaml"
    file.write_text("model: {kind: lstm, width: 16}\ntrain: {steps: 9}\n", encoding="utf-8")
    ran = run_cell(shell, f"%%llm_train empty --config '{file}' --data {{{{texts}}}} {QUICK}\n")
    assert ran.error is None, ran.printed
    config = ran.value.config
    assert (config.model.kind, config.model.width, config.train.steps) == ("lstm", 16, 4)


def test_config_defaults_reach_a_run_and_resume_ignores_them(shell, tiny):
    shell.user_ns["texts"] = TEXT
    run_cell(shell, "%config NbLLM.defaults = {'train.seed': 7}")
    assert run_cell(shell, f"%llm_train seeded {QUICK} --data {{{{texts}}}}").value.config.train.seed == 7
    ran = run_cell(shell, "%llm_train tiny --resume --steps 8 --runner inline")
    assert ran.error is None, ran.printed
    assert ran.value.step == 8


def test_a_failed_run_ends_the_cell_with_its_reason(shell, tmp_path):
    (tmp_path / "short.txt").write_text("short")
    ran = run_cell(shell, f"%llm_train short {QUICK} --data '{tmp_path / 'short.txt'}'")
    assert ran.error is not None
    assert "short" in ran.error_lines[0]
    assert len(ran.error_lines) == 1


def test_waiting_for_a_run_whose_worker_dies_ends_the_cell(shell, tmp_path):
    shell.user_ns["texts"] = TEXT
    line = (
        "%llm_train doomed --size tiny --layers 1 --context 16 --steps 1000000 --sample-every 0 --data {{texts}} --wait"
    )

    def kill() -> None:
        for _ in range(1200):
            status = RunFolder(Path(os.environ["NBLLM_RUNS"]) / "doomed").status() if nbllm.runs().size else None
            if status and status.state == "training":
                return os.kill(status.worker["pid"], signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    ran = run_cell(shell, line)
    killer.join()
    # The line that follows the run comes from a thread of its own, and may come last.
    errors = [each for each in ran.error_lines if not each.startswith("doomed: ")]
    assert len(errors) == 1
    assert "Run 'doomed' is lost: The worker of 'doomed' died." in ran.error_lines[0]
    assert "run.resume()" in ran.error_lines[0]


def test_stopping_what_has_ended_says_so(shell, tiny):
    assert run_cell(shell, "%llm_stop tiny").printed == "tiny has ended already (finished).\n"


def test_generate_streams_and_returns(shell, tiny):
    ran = run_cell(shell, '%llm_generate tiny "To be" --max-tokens 12 --seed 3')
    assert ran.value.prompt == "To be"
    assert len(ran.value.tokens) == 12
    assert ran.printed.count(str(ran.value)) == 1
    assert ran.value == nbllm.load("tiny").generate("To be", max_tokens=12, seed=3)
    assigned = run_cell(shell, 'x = %llm_generate tiny "To be" --max-tokens 12 --seed 3')
    assert assigned.printed.count(str(ran.value)) == 1
    assert str(ran.value) in run_cell(shell, "x").printed


def test_a_mistake_in_the_settings_is_said_alone(shell, tiny):
    assert run_cell(shell, '%llm_generate tiny "To be" --temperature -1').printed.lstrip("\x1b[1m").startswith("Error:")


def test_no_run_says_how_to_train_one(shell, runs):
    ran = run_cell(shell, "%llm_runs")
    assert "No run yet. Train one: %llm_train" in ran.printed
    assert len(ran.value) == 0


def test_generate_cell_variables_and_samples(shell, tiny):
    shell.user_ns["who"] = "世界"
    ran = run_cell(shell, "%%llm_generate tiny --max-tokens 5 --seed 1\n你好，{{who}}\nTo")
    assert ran.value.prompt == "你好，世界\nTo"
    ran = run_cell(shell, "%llm_generate last To be --samples 3 --max-tokens 4 --stop q")
    assert [each.prompt for each in ran.value] == ["To be"] * 3
    assert ran.printed.count("To be") == 3
    assert ran.value._repr_html_().count("tokens/s") == 3


def test_a_run_of_the_notebook_is_named_by_its_variable(shell, tiny, tmp_path, monkeypatch):
    shell.user_ns["run"] = nbllm.attach("tiny")
    assert len(run_cell(shell, "%llm_generate {{run}} To --max-tokens 3").value.tokens) == 3
    assert run_cell(shell, "%llm_stop {{run}}").printed.startswith("tiny has ended")
    monkeypatch.setenv("NBLLM_RUNS", str(tmp_path / "elsewhere"))
    assert run_cell(shell, "%llm_attach {{run}}").value.folder == tiny


def test_generate_inside_a_function_sees_its_variables(shell, tiny):
    ran = run_cell(
        shell, "def ask(who):\n    x = %llm_generate tiny {{who}} --max-tokens 3\n    return x\nask('To').prompt"
    )
    assert ran.value == "To"


def test_an_interrupt_keeps_what_was_written(shell, tiny, monkeypatch):
    from nbllm.handles.model import Model

    pieces = Model.pieces

    def interrupted(self, prompt, **settings):
        for number, piece in enumerate(pieces(self, prompt, **settings)):
            if number == 5:
                raise KeyboardInterrupt
            yield piece

    whole = run_cell(shell, '%llm_generate tiny "To be" --max-tokens 12 --seed 3').value
    monkeypatch.setattr(Model, "pieces", interrupted)
    ran = run_cell(shell, '%llm_generate tiny "To be" --max-tokens 12 --seed 3')
    assert isinstance(ran.error, KeyboardInterrupt)
    assert ran.printed.startswith("To be" + str(whole)[:4])
    assert "Traceback" not in ran.printed
    assert "Interrupted." in ran.printed


def test_lists_in_the_line_and_in_the_body(shell):
    quick = f"{QUICK} --data {{{{texts}}}}"
    shell.user_ns["texts"] = TEXT
    body = run_cell(shell, f"%%llm_train a {quick}\ntrain: {{metrics: [accuracy, top5]}}")
    line = run_cell(shell, f"%llm_train b {quick} --metrics accuracy,top5")
    for ran in (body, line):
        assert ran.error is None, ran.printed
        assert {"accuracy", "top5"} <= set(ran.value.metrics.columns)


def test_runs_upkeep(shell, tiny, tmp_path):
    assert isinstance(run_cell(shell, "%llm_runs").value, pd.DataFrame)
    ran = run_cell(shell, '%llm_runs --tag tiny good 诗 --note tiny "for the talk" --rename tiny poem')
    assert ran.error is None, ran.printed
    row = ran.value.loc["poem"]
    assert (row["tags"], row["note"]) == ("good, 诗", "for the talk")
    assert run_cell(shell, "%llm_runs --untag poem good").value.loc["poem", "tags"] == "诗"
    packed = tmp_path / "poem.zip"
    table = run_cell(shell, f"%llm_runs --pack poem '{packed}' --unpack '{packed}' copy").value
    assert set(table.index) == {"poem", "copy"}
    ran = run_cell(shell, "%llm_runs --prune")
    assert "would remove 2 older checkpoints" in ran.printed
    assert nbllm.attach("copy").folder.joinpath("checkpoints/step-3").is_dir()
    assert "Removed 2 older checkpoints" in run_cell(shell, "%llm_runs --prune --yes").printed
    assert not nbllm.attach("copy").folder.joinpath("checkpoints/step-3").exists()
    assert list(run_cell(shell, "%llm_runs --delete poem copy").value.index) == []


def test_attach(shell, tiny):
    ran = run_cell(shell, "%llm_attach tiny   # tomorrow, in another kernel")
    assert ran.value.folder == tiny
    assert "tiny" in ran.printed
    assert run_cell(shell, "%llm_attach").value.name == "tiny"


def test_commands_reach_a_live_run(shell, runs):
    shell.user_ns["texts"] = TEXT
    line = "%llm_train live --size tiny --layers 1 --context 16 --steps 1000000 --sample-every 0 --data {{texts}}"
    assert run_cell(shell, line).error is None
    for command in ("%llm_pause live", "%llm_resume", "%llm_set live lr=1e-4 steps=900000", "%llm_checkpoint live"):
        ran = run_cell(shell, command)
        assert ran.error is None, ran.printed
        assert "live" in ran.printed
        assert ("set" in command) == ("lr 0.0001, steps 900,000" in ran.printed)
    assert "Asked live to stop" in run_cell(shell, "%llm_stop live").printed
    run = nbllm.attach("live").wait(60)
    assert run.state == "stopped"
    log = (run.folder / "metrics.jsonl").read_text()
    assert '"checkpoint"' in log
    assert "0.0001" in log


def test_data_shows_boundaries_and_escapes(shell):
    shell.user_ns["texts"] = ["<script>alert(1)</script> and 你好"] * 40
    view = run_cell(shell, "%llm_data {{texts}} --tokenizer char").value
    page = view._repr_html_()
    assert "<script>" not in page
    assert "&lt;</span>" in page
    assert "好</span>" in page
    assert page.count("<span") > 100
    assert view.records == 40
    assert "<|s|c|r" in repr(view)
    assert "你|好" in repr(view)
    assert run_cell(shell, "%llm_data --data {{texts}}").value.records == 40
    assert "a list (of the notebook)" in repr(view)


def test_data_says_what_was_removed_and_replaced(shell):
    shell.user_ns["texts"] = [
        "  Write to anna@example.org today.  ",
        "no",
        *(f"Line {n} of many more." for n in range(40)),
    ]
    shown = repr(run_cell(shell, "%llm_data {{texts}} --min-length 5 --redact all").value)
    assert "1 too short, " in shown
    assert " characters in all" in shown
    assert "1 email" in shown


def test_export(shell, tiny, tmp_path):
    ran = run_cell(shell, f"%llm_export tiny '{tmp_path / 'out'}'")
    assert ran.error is None, ran.printed
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_doctor(shell):
    report = run_cell(shell, "%llm_doctor").value
    assert "torch" in str(report)


@pytest.mark.parametrize("name", COMMANDS)
def test_help(shell, name):
    ran = run_cell(shell, f"%llm_{name} --help")
    assert ran.error is None
    assert ran.value is None
    assert "Examples:" in ran.printed
    assert ran.printed.strip() == shell.find_line_magic(f"llm_{name}").__doc__.strip()
