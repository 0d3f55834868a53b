"""Runs that several processes share: as exact as others, ended with a line where one of them dies, refused in time."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

import nbllm
from nbllm.config import RunConfig, resolve
from nbllm.errors import ConfigError, RunError
from nbllm.runners.machine import pick_devices
from nbllm.runners.team import MEETING
from tests.runners.test_process import QUIET, SECONDS, losses, until, worker_pid

SAME: dict[str, Any] = {
    "model": "own", "context": 16, "batch_size": 5, "schedule": "constant", "warmup": 0, "evaluate_every": 10,
    "checkpoint_every": 1000, "device": "cpu", "threads": 1, "queue": False, **QUIET,
}  # fmt: skip


class Own(torch.nn.Module):
    """A model of a cell."""

    def __init__(self, config: Any, vocab_size: int, context: int):
        super().__init__()
        self.table = torch.nn.Embedding(vocab_size, vocab_size)

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self.table(tokens_BT)


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "corpus.txt"
    path.write_text("".join(f"{n} sheep jumped over the fence, and then {n + 1} more.\n" for n in range(400)))
    return str(path)


def followers(run: nbllm.Run) -> list[psutil.Process]:
    """The other processes of a run."""
    return [p for p in psutil.Process(worker_pid(run)).children() if "nbllm.runners.follower" in p.cmdline()]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_run_of_two_processes_is_that_of_one_and_outlives_both(text: str) -> None:
    nbllm.models.register("own")(Own)
    run = nbllm.train("two", data=text, gpus=2, steps=1_000_000, **SAME)
    until(lambda: run.step >= 10 or run.state == "failed", "step 10")
    (other,) = followers(run)
    heard = [each for pid in (worker_pid(run), other.pid) for each in psutil.Process(pid).net_connections("inet")]
    assert {each.laddr.ip for each in heard} == {"127.0.0.1"}, "nothing listens beyond this machine"
    run.pause()
    until(lambda: run.state == "paused", "the pause")
    paused = run.step
    run.resume()
    until(lambda: run.step >= paused + 10, "the way on")
    other.kill()
    until(lambda: run.state == "failed", "the notice", 20)
    assert run.error == (
        "Process 2 of 2 (cpu) has ended: killed by signal 9. The last checkpoint is kept. Type: run.resume()"
    )
    run.wait(SECONDS)
    assert not (run.folder / MEETING).exists()
    first, found = losses(run), run.metrics
    run.resume()
    until(lambda: run.step >= paused + 10 and run.state == "training", "the same steps")
    (other,) = followers(run)
    os.kill(worker_pid(run), signal.SIGKILL)
    until(lambda: not other.is_running() or other.status() == psutil.STATUS_ZOMBIE, "the end of the other", 10)
    again = losses(run)
    both = first.keys() & again.keys()
    assert max(both) >= paused + 8
    assert {step: first[step] for step in both} == {step: again[step] for step in both}
    alone = nbllm.train("one", data=text, runner="inline", steps=10, **SAME).metrics
    for column in ("loss", "val_loss", "grad_norm", "tokens", "lr"):
        wanted = alone[column].dropna().to_dict()
        assert found[column][list(wanted)].to_dict() == pytest.approx(wanted, rel=1e-5), column


def config(**settings: Any) -> RunConfig:
    return resolve([("call", {f"train.{key}": value for key, value in settings.items()})])


def test_what_cannot_be_shared_is_refused_in_a_line(text: str, runs: Path) -> None:
    assert (config(gpus="2").train.gpus, config(gpus="all").train.gpus, config().train.gpus) == (2, "all", 1)
    assert RunConfig.from_yaml(config(gpus=3).to_yaml()).train.gpus == 3
    for settings, said in [
        ({"gpus": 0}, "'0' is no number of GPUs. Use a number from 1 on, or all."),
        ({"gpus": "two"}, "'two' is no number of GPUs"),
        ({"gpus": True}, "'True' is no number of GPUs"),
        ({"gpus": 2, "device": "cuda:1"}, "device cuda:1 is one GPU, and gpus is 2. Use device: cuda, or gpus: 1"),
        ({"gpus": "all", "device": "mps"}, "device mps is one GPU"),
        ({"gpus": 4, "batch_size": 2}, "4 GPUs cannot share a batch_size of 2. Use batch_size: 4 or more"),
    ]:
        with pytest.raises(ConfigError) as refusal:
            config(**settings)
        assert said in str(refusal.value)
    with pytest.raises(ConfigError, match="Use free_bits: 0, or gpus: 1"):
        resolve([("call", {"model": "vae", "train.gpus": 2})])
    with pytest.raises(RunError, match=r"in this very process, and train.gpus is 2\. Leave out runner=inline"):
        nbllm.train("one", data=text, runner="inline", device="cpu", gpus=2)
    assert not (runs / "one").exists()


def test_a_process_for_each_gpu_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what torch says of a machine, for want of one with several."""
    names = {0: "A100", 1: "A100", 2: "L4"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(names))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_name", names.__getitem__)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_devices("auto", 2) == ["cuda:0", "cuda:1"]
    assert pick_devices("cuda", 1) == ["cuda:0"]
    assert pick_devices("cpu", 3) == ["cpu"] * 3
    with pytest.raises(ConfigError, match=r"different kinds \(A100, L4\)"):
        pick_devices("cuda", "all")
    with pytest.raises(ConfigError, match=r"train\.gpus is 4 and this machine has 3 GPUs\. Use gpus: all"):
        pick_devices("auto", 4)
    del names[2]
    assert pick_devices("auto", "all") == ["cuda:0", "cuda:1"]
    names.clear()
    assert pick_devices("auto", "all") == ["cpu"]
    with pytest.raises(ConfigError, match=r"train\.gpus is 2 and this machine has no GPU\."):
        pick_devices("auto", 2)
