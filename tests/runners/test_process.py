"""Runs in worker processes of their own: killed, resumed bit for bit, commanded, queued, refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nbllm
from nbllm.errors import DataError, ModelError, NbllmError, RunError
from nbllm.runners import standby
from nbllm.store import control
from nbllm.store.folder import RunFolder
from nbllm.store.status import write_status

QUICK: dict[str, Any] = {"size": "tiny", "layers": 1, "width": 16, "context": 16, "batch_size": 4, "heads": 2}
QUIET: dict[str, Any] = {"sample.every": 0, "probe.every": 0, "evaluate_tokens": 256}
SECONDS = 120


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "corpus.txt"
    path.write_text("".join(f"{n} sheep jumped over the fence, and then {n + 1} more.\n" for n in range(400)))
    return str(path)


def until(condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
    """Wait for a condition; the test fails with its name where it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come in {seconds} s"
        time.sleep(0.02)


def worker_pid(run: nbllm.Run) -> int:
    return json.loads((run.folder / "status.json").read_text())["worker"]["pid"]


def losses(run: nbllm.Run) -> dict[int, float]:
    return run.metrics["loss"].dropna().to_dict()


def test_train_returns_at_once_and_ends_by_itself(text: str) -> None:
    run = nbllm.train("one", data=text, steps=30, **QUICK)
    assert run.state in ("starting", "preparing", "queued", "training")
    assert worker_pid(run) != os.getpid()
    run.wait(SECONDS)
    assert run.state == "finished", run.error
    frame = run.metrics
    assert list(frame.index) == list(range(1, 31))
    assert frame.loss.iloc[-5:].mean() < frame.loss.iloc[:5].mean()
    assert frame.val_loss.notna().sum() == 1
    assert (run.folder / "checkpoints" / "step-30" / "model.safetensors").is_file()
    environment = json.loads((run.folder / "environment.json").read_text())
    assert environment["threads"] >= 1
    assert environment["data"]["fingerprint"]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_killed_worker_is_noticed_and_its_run_goes_on_bit_for_bit(text: str) -> None:
    same = {**QUICK, **QUIET, "dropout": 0.1, "checkpoint_every": 20, "steps": 400}
    whole = nbllm.train("whole", data=text, queue=False, **same)
    cut = nbllm.train("cut", data=text, queue=False, **same)
    for target in (30, 150, 290):
        until(lambda target=target: cut.step >= target or cut.state == "failed", f"step {target}")
        os.kill(worker_pid(cut), signal.SIGKILL)
        asked = time.monotonic()
        until(lambda: cut.state == "lost", "notice of the death", 10)
        assert time.monotonic() - asked < 10
        assert "run.resume()" in cut.error
        cut.resume()
    cut.wait(SECONDS)
    whole.wait(SECONDS)
    assert (whole.state, cut.state) == ("finished", "finished")
    assert losses(whole) == losses(cut)
    a, b = whole.load().module.state_dict(), cut.load().module.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_commands_are_given_again_after_a_death(text: str) -> None:
    same = {**QUICK, **QUIET, "checkpoint_every": 1000, "steps": 100_000, "lr": 1e-3}
    run = nbllm.train("one", data=text, **same)
    until(lambda: run.step >= 20, "step 20")
    run.set(lr=2e-3, steps=1_000_000)
    until(lambda: '"command"' in (run.folder / "metrics.jsonl").read_text(), "the command")
    event = next(
        e for e in map(json.loads, (run.folder / "metrics.jsonl").read_text().splitlines()) if e["event"] == "command"
    )
    at = event["step"]
    until(lambda: run.step >= at + 20, "more steps")
    before = losses(run)
    os.kill(worker_pid(run), signal.SIGKILL)
    until(lambda: run.state == "lost", "notice")
    run.resume()
    until(lambda: run.step >= at + 20 and run.state == "training", "the same steps again")
    run.stop().wait(SECONDS)
    after = losses(run)
    assert {s: before[s] for s in range(1, at + 15)} == {s: after[s] for s in range(1, at + 15)}
    assert run.metrics.lr[at + 10] == pytest.approx(2e-3)


def test_pause_resume_stop_and_a_checkpoint_on_demand(text: str) -> None:
    run = nbllm.train("one", data=text, steps=1_000_000, **QUICK, **QUIET)
    model = run.load()  # before the first checkpoint is due: asked for
    assert model.step > 0
    assert len(model.generate("3 sheep", max_tokens=5, seed=0)) > 0
    run.pause()
    until(lambda: run.state == "paused", "the pause")
    step = run.step
    time.sleep(0.3)
    assert run.step == step
    assert step in RunFolder(run.folder).checkpoint_steps()
    run.resume()
    until(lambda: run.step > step, "going on")
    run.stop()
    run.wait(SECONDS)
    assert run.state == "stopped"
    with pytest.raises(RunError, match=r"is stopped.*resume"):
        run.pause()
    stopped_at = run.step
    run.resume(steps=stopped_at + 10)
    run.wait(SECONDS)
    assert (run.state, run.step) == ("finished", stopped_at + 10)
    with pytest.raises(RunError, match="has finished its"):
        run.resume()


def test_going_on_in_the_instant_after_a_stop(text: str) -> None:
    run = nbllm.train("one", data=text, steps=1_000_000, **QUICK, **QUIET)
    for _ in range(2):
        step = run.step
        until(lambda step=step: run.step > step + 5, "steps")
        before = worker_pid(run)
        run.stop().resume()
        assert worker_pid(run) != before, "the stop was obeyed, and another worker goes on"
        until(lambda: run.state == "training", "training again")
    run.stop().wait(SECONDS)
    assert list(run.metrics.index) == list(range(1, run.step + 1))


def test_going_on_while_a_worker_is_about_to_stop(text: str) -> None:
    """It has taken the stop, and has not yet said so: what it is asked now is not heard."""
    run = nbllm.train("one", data=text, steps=20, wait=True, **QUICK, **QUIET)
    folder = RunFolder(run.folder)
    status = folder.status()
    taken = threading.Event()

    def old_worker() -> None:
        with folder.writing():
            status.state = "training"
            write_status(folder.status_file, status)
            taken.set()
            until(lambda: control.waits(folder.control, "resume"), "the request")
            status.state = "stopped"
            write_status(folder.status_file, status)

    thread = threading.Thread(target=old_worker)
    thread.start()
    assert taken.wait(20)
    run.resume(steps=25)
    thread.join()
    run.wait(SECONDS)
    assert (run.state, run.step) == ("finished", 25)


def test_a_taken_name_is_refused_with_the_choices(text: str) -> None:
    run = nbllm.train("one", data=text, steps=5, wait=True, **QUICK, **QUIET)
    with pytest.raises(RunError, match=r"--resume .* --replace .* another name"):
        nbllm.train("one", data=text, steps=5, **QUICK)
    again = nbllm.train("one", data=text, steps=8, wait=True, replace=True, **QUICK, **QUIET)
    assert (again.state, again.step) == ("finished", 8)
    more = nbllm.train("one", resume=True, steps=12, wait=True)
    assert (more.step, len(losses(more))) == (12, 12)
    with pytest.raises(RunError, match=r"'model.width' .*cannot change"):
        nbllm.train("one", resume=True, **{"model.width": 8})
    assert run.folder == more.folder


def test_a_second_worker_on_a_run_is_refused(text: str) -> None:
    run = nbllm.train("one", data=text, steps=1_000_000, **QUICK, **QUIET)
    until(lambda: run.state == "training", "training")
    code = (
        "import sys; from pathlib import Path; from nbllm.runners.inline import run_inline; "
        "from nbllm.store.folder import RunFolder; run_inline(RunFolder(Path(sys.argv[1])))"
    )
    second = subprocess.run(
        [sys.executable, "-c", code, str(run.folder)], capture_output=True, text=True, timeout=SECONDS
    )
    assert "already has a worker" in second.stderr
    with pytest.raises(RunError, match="still at work"):
        nbllm.train("one", data=text, replace=True, **QUICK)
    assert run.state == "training"
    run.stop().wait(SECONDS)


def test_runs_queue_for_the_device_and_a_pause_lets_the_next_one_in(text: str) -> None:
    first = nbllm.train("first", data=text, steps=1_000_000, **QUICK, **QUIET)
    until(lambda: first.state == "training", "training")
    second = nbllm.train("second", data=text, steps=1_000_000, **QUICK, **QUIET)
    until(lambda: second.state == "queued", "the queue")
    third = nbllm.train("third", data=text, steps=10, queue=False, **QUICK, **QUIET)
    third.wait(SECONDS)
    assert third.state == "finished", "a run that does not queue goes at once"
    assert second.state == "queued"
    first.pause()
    until(lambda: second.state == "training", "its turn")
    first.resume()
    until(lambda: first.state == "queued", "waiting in its turn")
    second.stop()
    until(lambda: first.state == "training", "the turn of the first")
    first.stop().wait(SECONDS)


def test_stopping_in_the_queue(text: str) -> None:
    first = nbllm.train("first", data=text, steps=1_000_000, **QUICK, **QUIET)
    until(lambda: first.state == "training", "training")
    second = nbllm.train("second", data=text, steps=10, **QUICK, **QUIET)
    until(lambda: second.state == "queued", "the queue")
    second.stop().wait(SECONDS)
    assert second.state == "stopped"
    first.stop().wait(SECONDS)
    second.resume().wait(SECONDS)
    assert (second.state, second.step) == ("finished", 10)


MODEL_CELL = """
import sys, nbllm, torch
from torch import nn

@nbllm.models.register("bagofwords")
class Bag(nn.Module):
    def __init__(self, config, vocab_size, context):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, config.options["units"])
        self.head = nn.Linear(config.options["units"], vocab_size)
    def forward(self, tokens_BT):
        return self.head(torch.cumsum(self.embedding(tokens_BT), 1))

model = {"kind": "bagofwords", "options": {"units": 8}}
run = nbllm.train("mine", data=sys.argv[1], model=model, steps=30, context=16, wait=True)
print(run.state, run.error, len(run.load().generate("1", max_tokens=4)))
"""


def test_a_model_from_a_cell_trains_in_the_worker_and_says_which_cell_to_run(text: str, tmp_path: Path) -> None:
    script = tmp_path / "cell.py"
    script.write_text(MODEL_CELL)
    done = subprocess.run(
        [sys.executable, str(script), text], capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path
    )
    assert done.stdout.startswith("finished"), done.stdout + done.stderr
    assert "class Bag" in (nbllm.attach("mine").folder / "cells" / "model_bagofwords.py").read_text()
    with pytest.raises(ModelError, match=r'nbllm.models.register\("bagofwords"\).*model_bagofwords.py'):
        nbllm.load("mine")


def test_faults_of_the_worker_are_the_same_one_line(tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("abc")
    run = nbllm.train("short", data=str(short), **QUICK)
    run.wait(SECONDS)
    assert run.state == "failed"
    assert "\n" not in run.error
    assert "train.context" in run.error
    assert "Traceback" not in (run.folder / "log.txt").read_text()
    with pytest.raises(NbllmError, match="no checkpoint"):
        run.load()
    with pytest.raises(DataError):
        nbllm.train("none", data=str(tmp_path / "nothing.txt"))
    assert not (Path(os.environ["NBLLM_RUNS"]) / "none").exists()


def test_inline_is_the_same_run(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    away = nbllm.train("away", data=text, steps=25, wait=True, threads=1, **QUICK, **QUIET)
    here = nbllm.train("here", data=text, steps=25, runner="inline", threads=1, **QUICK, **QUIET)
    assert here.state == "finished"
    assert losses(away) == losses(here)
    assert "25 / 25 finished" in capsys.readouterr().out


def test_an_interrupt_of_an_inline_run_keeps_a_checkpoint(text: str, tmp_path: Path) -> None:
    code = (
        "import nbllm, sys\n"
        f"run = nbllm.train('one', data=sys.argv[1], steps=1000000, runner='inline', **{QUICK | QUIET})\n"
        "print('ended', run.state, len(run.load().generate('a', max_tokens=3)))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, text], stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: (Path(os.environ["NBLLM_RUNS"]) / "one" / "metrics.jsonl").exists(), "the run")
        run = nbllm.attach("one")
        until(lambda: run.step > 5, "steps")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert re.search(r"ended stopped [1-3]\b", out)


def test_the_newest_checkpoint_is_damaged_and_the_one_before_is_used(text: str) -> None:
    run = nbllm.train("one", data=text, steps=40, checkpoint_every=20, wait=True, **QUICK, **QUIET)
    (run.folder / "checkpoints/step-40/model.safetensors").write_bytes(b"torn")
    run.resume(steps=45).wait(SECONDS)
    assert (run.state, run.step) == ("finished", 45)
    assert "Trying the one before" in (run.folder / "log.txt").read_text()
    assert list(run.metrics.index) == list(range(1, 46))


def test_the_standby_takes_the_run_and_ends_with_its_kernel(text: str) -> None:
    assert standby.start()
    assert standby._idle is not None
    idle = standby._idle.pid
    run = nbllm.train("one", data=text, steps=5, wait=True, **QUICK, **QUIET)
    assert (run.state, worker_pid(run)) == ("finished", idle)
    standby.stop()
    code = "from nbllm.runners import standby; standby.start(); print(standby._idle.pid, flush=True); input()"
    kernel = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert kernel.stdout is not None
    pid = int(kernel.stdout.readline())
    kernel.kill()
    kernel.wait()
    until(lambda: not _runs(pid), "the end of the standby", 30)


def _runs(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
