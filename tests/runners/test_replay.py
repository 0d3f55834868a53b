"""What happens to a course that was changed, when the run is interrupted again and again. Inline, so to the step."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nbllm
from nbllm.errors import DataError, NbllmError, RunError
from nbllm.store.folder import RunFolder
from tests.runners.conftest import Killed

TINY: dict[str, Any] = {
    "size": "tiny", "layers": 1, "width": 16, "heads": 2, "context": 16, "batch_size": 4, "runner": "inline",
    "sample.every": 0, "probe.every": 0, "evaluate_tokens": 256, "schedule": "constant", "warmup": 0,
}  # fmt: skip
TEXT = [f"{n} sheep jumped over the fence, then {n + 1} more." for n in range(300)]


def die(action: Any) -> None:
    with pytest.raises(Killed):
        action()


def rates(run: nbllm.Run) -> dict[int, float]:
    return run.metrics.lr.to_dict()


def test_a_change_survives_a_second_interruption_before_it(at: dict[int, Any]) -> None:
    same = {**TINY, "steps": 30, "checkpoint_every": 100, "lr": 5e-3}
    at[15] = {"command": "set", "lr": 1e-4}
    whole = nbllm.train("whole", data=TEXT, **same)
    at.update({15: {"command": "set", "lr": 1e-4}, 20: Killed})
    die(lambda: nbllm.train("cut", data=TEXT, **same))
    cut = nbllm.attach("cut")
    at[10] = Killed
    die(lambda: cut.resume(runner="inline"))
    cut.resume(runner="inline")
    assert rates(cut) == rates(whole)
    assert rates(whole)[16] == pytest.approx(1e-4)
    assert cut.metrics.loss.to_dict() == whole.metrics.loss.to_dict()


def test_a_rate_given_on_resume_is_not_set_back_by_an_old_one(at: dict[int, Any]) -> None:
    at.update({15: {"command": "set", "lr": 0.5}, 20: Killed})
    die(lambda: nbllm.train("one", data=TEXT, steps=30, checkpoint_every=100, **TINY))
    run = nbllm.attach("one")
    run.resume(lr=1e-3, runner="inline")
    assert set(rates(run).values()) == {1e-3}


def test_a_budget_in_minutes_is_fixed_once_and_can_be_extended(at: dict[int, Any], monkeypatch: Any) -> None:
    from nbllm.training import loop

    monkeypatch.setattr(loop, "CALIBRATION_SECONDS", 0.05)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=itertools.count(0, 0.04).__next__))  # its own clock
    at[30] = Killed
    die(lambda: nbllm.train("one", data=TEXT, minutes=0.08, checkpoint_every=10_000, **TINY))
    run = nbllm.attach("one")
    budget = next(e for e in events(run) if e["event"] == "budget")
    assert budget["step"] < 30
    run.resume(runner="inline")
    assert {e["steps"] for e in events(run) if e["event"] == "budget"} == {budget["steps"]}
    done = run.step
    run.resume(steps=done + 10, runner="inline")
    assert (run.state, run.step) == ("finished", done + 10)


def test_a_batch_that_does_not_fit_is_cut_smaller_said_and_stays_so(at: dict[int, Any]) -> None:
    import torch

    @nbllm.models.register("greedy")
    class Greedy(torch.nn.Module):
        def __init__(self, config: Any, vocab_size: int, context: int):
            super().__init__()
            self.table = torch.nn.Embedding(vocab_size, vocab_size)

        def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
            if self.training and len(tokens_BT) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return self.table(tokens_BT)

    at[15] = Killed
    die(lambda: nbllm.train("one", data=TEXT, model="greedy", steps=20, checkpoint_every=10, **TINY))
    run = nbllm.attach("one")
    said = json.loads((run.folder / "status.json").read_text())["advice"]
    assert said == "memory ran out after step 0: a batch is now worked through in 2 parts"
    run.resume(runner="inline")
    assert (run.state, run.step) == ("finished", 20), run.error
    assert [e["accumulate"] for e in events(run) if e["event"] == "batch"] == [2]


def events(run: nbllm.Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def test_a_damaged_old_checkpoint_does_not_end_a_healthy_run() -> None:
    run = nbllm.train("one", data=TEXT, steps=30, checkpoint_every=10, **TINY)
    (run.folder / "checkpoints/step-30/optimizer.safetensors").write_bytes(b"torn")
    run.resume(steps=60, runner="inline")
    assert (run.state, run.step) == ("finished", 60), run.error
    assert run.load().step == 60


def test_a_corpus_that_is_too_short_stays_too_short_on_resume() -> None:
    run = nbllm.train("one", data=["0123456789" * 15], steps=5, **TINY)
    assert run.state == "failed"
    first = run.error
    run.resume(runner="inline")
    assert (run.state, run.error) == ("failed", first)


def test_what_replaces_a_run_is_ready_before_the_run_goes() -> None:
    run = nbllm.train("one", data=TEXT, steps=5, **TINY)
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError):
        nbllm.train("one", data=pandas.DataFrame({"a": TEXT}), text_column="b", replace=True, steps=5, **TINY)
    assert run.load().step == 5
    assert [path.name for path in run.folder.parent.iterdir()] == ["one"]


def test_two_who_resume_at_once_get_one_worker(tmp_path: Path) -> None:
    from nbllm.runners.claim import claim

    run = nbllm.train("one", data=TEXT, steps=5, **TINY)
    folder = RunFolder(run.folder)
    seen = folder.status().worker
    with claim(folder, seen):
        pass
    again = {**seen, "pid": -1}
    with pytest.raises(RunError, match="Another worker"), claim(folder, again):
        pass


def test_a_moved_run_with_records_of_its_own_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = nbllm.train("one", data=TEXT, steps=5, **TINY)
    shutil.move(run.folder, tmp_path / "elsewhere" / "one")
    monkeypatch.setenv("NBLLM_RUNS", str(tmp_path / "elsewhere"))
    for path in (tmp_path / "elsewhere" / "one" / "data").glob("*.*"):
        if path.name != "records.jsonl":
            path.unlink()
    moved = nbllm.attach("one")
    moved.resume(steps=8, runner="inline")
    assert (moved.state, moved.step) == ("finished", 8), moved.error


@pytest.mark.parametrize("values", [{"lr": -1.0}, {"lr": "fast"}, {"steps": 0}, {"lr": float("inf")}])
def test_values_that_cannot_be_set(values: dict[str, Any]) -> None:
    run = nbllm.train("one", data=TEXT, steps=3, **TINY)
    with pytest.raises(NbllmError, match=f"{next(iter(values))} is"):
        run.resume(**values)
    with pytest.raises(RunError, match="cannot name"):
        run.rename("last")
