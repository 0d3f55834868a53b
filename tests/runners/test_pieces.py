"""Objectives, metrics and callbacks from a cell: sent to the worker, kept as text, asked for again, harmless."""

from __future__ import annotations

import json
import linecache
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest
import torch

import nbllm
from nbllm.callbacks import Context, Ended, Evaluation, SaveCheckpoint, Started, Step, commands
from nbllm.errors import ConfigError, RunError
from nbllm.objectives.clm import NextToken
from nbllm.store.folder import RunFolder
from tests.runners.conftest import Killed

TINY: dict[str, Any] = {
    "size": "tiny", "layers": 1, "width": 16, "heads": 2, "context": 16, "batch_size": 4, "sample.every": 0,
    "probe.every": 0, "evaluate_tokens": 256, "schedule": "constant", "warmup": 0, "threads": 1,
}  # fmt: skip
TEXT = [f"{n} sheep jumped over the fence, then {n + 1} more." for n in range(300)]
INLINE = {**TINY, "runner": "inline", "data": TEXT}

HELPER = "def half(number):\n    return number / 2\n"
CELLS = """
import sys, nbllm, torch
sys.path.append("lib")
from helper import half
from nbllm.callbacks import Step
from nbllm.objectives.clm import NextToken

@nbllm.objectives.register("halved")
class Halved(NextToken):
    "Half the loss, and what it was."
    def loss(self, module, batch, step):
        loss, metrics = super().loss(module, batch, step)
        return half(loss), {**metrics, "whole": loss.detach()}

@nbllm.metrics.register("confidence")
def confidence(logits_NV, targets_N):
    return logits_NV.softmax(-1).amax(-1).mean()

@nbllm.callbacks.register("diary")
class Diary:
    def __init__(self):
        self.calls = 0
    def __call__(self, event, context):
        self.calls += 1
        line = f"{self.calls} {type(event).__name__} {event.step} {getattr(event, 'resumed', '')}\\n"
        with open(context.folder / "diary.txt", "a") as file:
            file.write(line)
        if isinstance(event, Step) and event.step == 20 and context.config.train.steps:
            return {"command": "stop"}

settings = {SETTINGS}
run = nbllm.train("mine", data="text.txt", objective="halved", metrics=["confidence", "accuracy"],
                  callbacks="diary", steps=30, evaluate_every=10, wait=True, **settings)
print(run.state, run.step, run.error)
run.resume().wait()
print(run.state, run.step, run.error)
"""


def test_pieces_of_a_cell_work_in_the_worker_and_go_there_again_on_resume(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helper.py").write_text(HELPER)
    (tmp_path / "text.txt").write_text("\n".join(TEXT))
    script = tmp_path / "cell.py"
    script.write_text(CELLS.replace("{SETTINGS}", repr(TINY)))
    done = subprocess.run([sys.executable, script.name], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.stdout.split("\n")[:2] == ["stopped 20 ", "finished 30 "], done.stdout + done.stderr
    run = nbllm.attach("mine")
    frame = run.metrics
    assert (frame.whole - 2 * frame.loss).abs().max() < 1e-6
    assert frame.confidence.dropna().between(0, 1).all()
    assert list(frame.accuracy.dropna().index) == [10, 20, 30]
    diary = [line.split(maxsplit=1)[1] for line in (run.folder / "diary.txt").read_text().splitlines()]
    assert diary[0] == "Started 0 False"
    assert diary.count("Started 20 True") == 1
    assert diary[-1].split() == ["Ended", "30"]
    assert [line.split()[1] for line in diary if line.startswith("Step ")] == [str(n) for n in range(1, 31)]
    assert "class Halved" in (run.folder / "cells" / "objective_halved.py").read_text()
    assert "def confidence" in (run.folder / "cells" / "metric_confidence.py").read_text()
    assert {path.suffix for path in run.folder.rglob("*") if path.is_file()} <= {
        ".yaml", ".json", ".jsonl", ".txt", ".py", ".bin", ".safetensors", ".npz", ".lock", "",
    }  # fmt: skip
    with pytest.raises(RunError, match=r'@nbllm.objectives.register\("halved"\) first.*objective_halved.py'):
        run.resume(steps=40)
    with pytest.raises(RunError, match=r'@nbllm.objectives.register\("halved"\)'):
        run.load()
    nbllm.objectives.register("halved")(NextToken)
    with pytest.raises(RunError, match=r'@nbllm.metrics.register\("confidence"\)'):
        run.resume(steps=40)
    assert len(run.load().generate("3 sheep", max_tokens=3)) > 0, "metrics and callbacks are not needed to read it"


def test_the_text_of_a_notebooks_class_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel's classes are of no file; it keeps its cells as lines of text."""
    text = "@register\nclass Noted:\n    # why\n    def __call__(self, event, context):\n        pass\n"
    cell = f"import torch\n\n{text}\nx = 1\n"
    monkeypatch.setitem(linecache.cache, "<cell 7>", (len(cell), None, cell.splitlines(keepends=True), "<cell 7>"))
    names: dict[str, Any] = {"__name__": "__main__", "register": nbllm.callbacks.register("noted")}
    exec(compile(cell, "<cell 7>", "exec"), names)
    run = nbllm.train("one", steps=2, callbacks="noted", **INLINE)
    assert (run.folder / "cells" / "callback_noted.py").read_text() == text


def test_one_that_stands_for_a_built_in_is_asked_for_again() -> None:
    nbllm.metrics.register("accuracy")(lambda logits_NV, targets_N: 7.0)
    run = nbllm.train("one", steps=5, metrics="accuracy", **INLINE)
    assert run.metrics.accuracy.dropna().tolist() == [7.0]
    del nbllm.registry.METRICS._found["accuracy"]
    with pytest.raises(RunError, match=r'@nbllm.metrics.register\("accuracy"\) first'):
        run.resume(steps=8, runner="inline")


def test_what_cannot_be_sent_is_refused_before_there_is_a_run(runs: Path) -> None:
    lock = threading.Lock()

    @nbllm.callbacks.register("locked")
    def locked(event: Any, context: Context) -> None:
        with lock:
            pass

    locked.__module__ = "__main__"  # as from a cell
    with pytest.raises(RunError, match=r"cannot be sent to the worker: callback 'locked' .*lock.*inline"):
        nbllm.train("one", data=TEXT, steps=5, callbacks=["locked"], **TINY)
    assert not runs.exists() or not any(runs.iterdir())


def test_what_the_worker_cannot_open_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ghost = types.ModuleType("ghost_of_a_module")
    exec("def seen(event, context): pass", ghost.__dict__)
    ghost.seen.__module__ = ghost.__name__
    monkeypatch.setitem(sys.modules, ghost.__name__, ghost)
    nbllm.callbacks.register("ghost")(ghost.seen)
    run = nbllm.train("one", data=TEXT, steps=5, callbacks="ghost", wait=True, **TINY)
    assert run.state == "failed"
    assert "cannot open what the notebook registered: ModuleNotFoundError" in run.error
    assert "\n" not in run.error


def test_names_that_are_columns_are_refused() -> None:
    with pytest.raises(ConfigError, match="'val_loss' is a column"):
        nbllm.metrics.register("val_loss")


def test_a_name_that_nobody_registered_names_the_cell() -> None:
    with pytest.raises(ConfigError, match=r'no callback .diary. .*@nbllm.callbacks.register\("diary"\)'):
        nbllm.train("one", callbacks="diary", **INLINE)
    with pytest.raises(ConfigError, match=r"no metric 'acuracy'.*'accuracy'"):
        nbllm.train("one", metrics=["acuracy"], **INLINE)


# Callbacks


def test_events_come_in_order() -> None:
    seen: list[str] = []

    @nbllm.callbacks.register("watch")
    def watch(event: Any, context: Context) -> None:
        seen.append(f"{type(event).__name__} {event.step}")
        if isinstance(event, Evaluation):
            assert event.val_loss > 0
        if isinstance(event, SaveCheckpoint):
            assert event.step in RunFolder(context.folder).checkpoint_steps()
        if isinstance(event, Ended):
            assert RunFolder(context.folder).status().state == "training", "the run is over when callbacks have had all"
        assert context.config.model.width == 16
        assert sum(p.numel() for p in context.module.parameters()) > 0

    run = nbllm.train("one", steps=4, checkpoint_every=2, evaluate_every=2, callbacks=["watch"], **INLINE)
    assert run.state == "finished"
    assert RunFolder(run.folder).status().advice == ""
    assert seen == [
        "Started 0", "Step 1", "Step 2", "Evaluation 2", "SaveCheckpoint 2", "Step 3", "Step 4", "Evaluation 4",
        "SaveCheckpoint 4", "Ended 4",
    ]  # fmt: skip


def test_a_run_with_callbacks_goes_on_bit_for_bit(at: dict[int, Any]) -> None:
    """The callback draws numbers, and sets the rate at steps 8 and 25; between them the user sets it, at 12."""

    @nbllm.callbacks.register("meddler")
    def meddler(event: Any, context: Context) -> Any:
        torch.rand(3)
        context.module.eval()
        if isinstance(event, Step) and event.step in (8, 25):
            return {"command": "set", "lr": 1e-3 / event.step}
        return None

    same = {**INLINE, "steps": 40, "model.dropout": 0.2, "checkpoint_every": 100, "callbacks": ["meddler"]}
    plain = nbllm.train("plain", **{**same, "callbacks": [], "steps": 8})
    at[12] = {"command": "set", "lr": 2e-3}
    whole = nbllm.train("whole", **same)
    assert plain.metrics.loss.to_dict() == whole.metrics.loss[:8].to_dict(), "looking changes nothing"
    at.update({12: {"command": "set", "lr": 2e-3}, 30: Killed})
    with pytest.raises(Killed):
        nbllm.train("cut", **same)
    cut = nbllm.attach("cut")
    at[10] = Killed
    with pytest.raises(Killed):
        cut.resume(runner="inline")
    cut.resume(runner="inline")
    assert cut.metrics.lr.to_dict() == whole.metrics.lr.to_dict()
    assert cut.metrics.loss.to_dict() == whole.metrics.loss.to_dict()
    assert whole.metrics.lr[26] == pytest.approx(1e-3 / 25)


def test_the_wish_of_a_callback_that_looks_at_the_clock_is_replayed_where_it_was(at: dict[int, Any]) -> None:
    wishes = iter([10, 5, 5])

    @nbllm.callbacks.register("moody")
    class Moody:
        def __init__(self) -> None:
            self.at = next(wishes)

        def __call__(self, event: Any, context: Context) -> Any:
            return {"command": "set", "lr": 1e-4} if isinstance(event, Step) and event.step == self.at else None

    same = {**INLINE, "steps": 20, "checkpoint_every": 100, "callbacks": ["moody"], "lr": 1e-3}
    at[15] = Killed
    with pytest.raises(Killed):
        nbllm.train("cut", **same)
    run = nbllm.attach("cut")
    run.resume(runner="inline")
    assert run.metrics.lr[10] == pytest.approx(1e-3)
    assert run.metrics.lr[11] == pytest.approx(1e-4)


def test_a_callback_may_stop_and_save() -> None:
    @nbllm.callbacks.register("enough")
    def enough(event: Any, context: Context) -> Any:
        if isinstance(event, Step) and event.step == 3:
            return {"command": "checkpoint"}
        return [{"command": "stop"}] if isinstance(event, Step) and event.step == 6 else None

    run = nbllm.train("one", steps=50, callbacks=["enough"], **INLINE)
    assert (run.state, run.step) == ("stopped", 6)
    assert RunFolder(run.folder).checkpoint_steps() == [3, 6]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: sys.exit(3), "SystemExit"),
        (lambda: "stop", "it returned 'stop'"),
        (lambda: {"command": "set", "lr": -1}, "it set lr to -1"),
    ],
)
def test_a_callback_that_fails_is_switched_off_and_the_run_goes_on(
    fault: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    @nbllm.callbacks.register("faulty")
    def faulty(event: Any, context: Context) -> Any:
        calls.append(event)
        return fault() if isinstance(event, Step) else None

    run = nbllm.train("one", steps=20, evaluate_every=5, callbacks=["faulty"], **INLINE)
    assert (run.state, run.step, len(calls)) == ("finished", 20, 2)
    advice = RunFolder(run.folder).status().advice
    assert f"callback 'faulty' is switched off: {said}" in advice or said in advice
    assert "\n" not in advice
    assert "faulty" in capsys.readouterr().out


def test_commands_are_checked() -> None:
    assert commands(None) == []
    assert commands([{"command": "set", "steps": 5}, {"command": "pause"}])[1] == {"command": "pause"}
    for wrong in ("stop", {"command": "delete"}, {"command": "stop", "now": True}, {"command": "set", "steps": 1.5}, 3):
        with pytest.raises(ValueError, match="it "):
            commands(wrong)


def test_a_metric_that_fails_is_left_out_and_the_run_goes_on() -> None:
    @nbllm.metrics.register("sometimes")
    def sometimes(logits_NV: Any, targets_N: Any) -> float:
        raise ValueError("no\nidea")

    run = nbllm.train("one", steps=10, evaluate_every=5, metrics=["sometimes", "top5"], **INLINE)
    assert run.state == "finished"
    assert RunFolder(run.folder).status().advice == "metric 'sometimes' is switched off: ValueError: no idea"
    assert "sometimes" not in run.metrics
    assert len(run.metrics.top5.dropna()) == 2
    events = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(event.get("event") != "resume" for event in events)
    assert Started(0, False).step == 0
