"""Trackers, for real: what they keep is read back with their own readers. Nothing is sent, and no port is opened."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import nbllm
from nbllm.config import RunConfig
from nbllm.errors import ConfigError
from nbllm.runners.loggers.base import settings
from nbllm.store.folder import RunFolder

TINY: dict[str, Any] = {
    "size": "tiny", "layers": 1, "width": 16, "heads": 2, "context": 16, "batch_size": 4, "probe.every": 0,
    "evaluate_tokens": 256, "evaluate_every": 10, "threads": 1, "sample.every": 10, "sample.max_tokens": 5,
    "data": [f"{n} sheep jumped over the fence, then {n + 1} more." for n in range(300)], "sample.prompt": "<b>3 sheep",
}  # fmt: skip


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No name is looked up, no connection leaves this process or its children, and no port opens in them."""
    tried: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        tried.append(arguments)
        raise OSError("closed for this test")

    def unless_local(real: Any) -> Any:
        def call(self: socket.socket, *arguments: Any) -> Any:
            local = self.family == getattr(socket, "AF_UNIX", None)
            return real(self, *arguments) if local else refuse(self, *arguments)

        return call

    monkeypatch.setattr(socket.socket, "connect", unless_local(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "listen", unless_local(socket.socket.listen))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert tried == []
    children = psutil.Process().children(recursive=True)
    assert [child.net_connections("inet") for child in children] == [[] for _ in children]


def advice(run: nbllm.Run) -> str:
    return RunFolder(run.folder).status().advice


def events(run: nbllm.Run) -> Any:
    """TensorBoard's own reading of the run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def steps(found: Any, tag: str) -> list[int]:
    return [event.step for event in found.Scalars(tag)]


@pytest.mark.usefixtures("closed")
def test_tensorboard_holds_scalars_samples_and_hyper_parameters() -> None:
    pytest.importorskip("tensorboard")
    run = nbllm.train("one", steps=20, metrics="accuracy", loggers="tensorboard", runner="inline", **TINY)
    assert (run.state, advice(run)) == ("finished", "")
    found, frame = events(run), run.metrics
    assert {"loss", "lr", "grad_norm", "tokens", "val_loss", "bits_per_byte", "accuracy"} <= set(
        found.Tags()["scalars"]
    )
    assert steps(found, "loss") == list(range(1, 21))
    assert steps(found, "val_loss") == [10, 20]
    assert [e.value for e in found.Scalars("loss")] == pytest.approx(frame.loss.tolist(), rel=1e-6)
    assert [e.value for e in found.Scalars("accuracy")] == pytest.approx(frame.accuracy.dropna().tolist())
    samples = found.Tensors("sample/text_summary")
    assert [sample.step for sample in samples] == [10, 20]
    assert samples[0].tensor_proto.string_val[0].decode().startswith("    <b>3 sheep")
    assert "_hparams_/session_start_info" in found.summary_metadata
    start = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"model.width" in start
    assert b"train.lr" in start


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_tensorboard_has_every_step_once_after_a_death_and_a_resume() -> None:
    pytest.importorskip("tensorboard")
    quiet = {**TINY, "sample.every": 0, "evaluate_every": 1000}
    run = nbllm.train("cut", steps=300, checkpoint_every=50, loggers=["tensorboard"], **quiet)
    end = time.monotonic() + 120
    while run.step < 120 and run.state != "failed":
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(RunFolder(run.folder).status().worker["pid"], signal.SIGKILL)
    while run.state != "lost":
        assert time.monotonic() < end
        time.sleep(0.01)
    run.resume().wait(120)
    assert (run.state, "logger" in advice(run)) == ("finished", False)
    assert len(list((run.folder / "tensorboard").iterdir())) == 2
    assert steps(events(run), "loss") == list(range(1, 301))


def test_a_tracker_that_is_not_installed_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    run = nbllm.train("one", steps=3, loggers="wandb,tensorboard", runner="inline", **TINY)
    assert run.state == "finished"
    assert advice(run) == (
        "logger 'wandb' is switched off: This needs the package 'wandb', which is not installed. "
        'Type: pip install "nbllm[wandb]"'
    )
    assert steps(events(run), "loss") == [1, 2, 3], "the others go on"
    with pytest.raises(ConfigError, match=r"no logger 'tensorbord'.*'tensorboard'"):
        nbllm.train("two", steps=3, loggers=["tensorbord"], **TINY)


def test_a_tracker_that_fails_half_way_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    from nbllm.runners.loggers.tensorboard import TensorBoard

    def full(self: Any, step: int, values: dict[str, float]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TensorBoard, "numbers", full)
    run = nbllm.train("one", steps=5, loggers=["tensorboard"], runner="inline", **TINY)
    assert (run.state, run.step) == ("finished", 5)
    assert advice(run) == "logger 'tensorboard' is switched off: OSError: [Errno 28] No space left on device"


def test_settings_are_flat_numbers_and_words() -> None:
    flat = settings(RunConfig.model_validate({"train": {"metrics": ["accuracy", "top5"]}}))
    assert flat["model.width"] == 128
    assert flat["train.metrics"] == "accuracy, top5"
    assert "train.tokens" not in flat
    assert all(isinstance(value, str | int | float) for value in flat.values())


def wandb_records(data: bytes) -> Iterator[bytes]:
    """The records of a .wandb file, LevelDB's log format: 7 bytes of header, blocks of 32 kB with crc, length, type."""
    block, at, parts = 32768, 7, b""
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        if not kind:
            return
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or last part
            yield parts
            parts = b""


@pytest.mark.usefixtures("closed")
def test_wandb_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2 as messages

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    run = nbllm.train("one", steps=20, loggers="wandb", runner="inline", **TINY)
    assert (run.state, advice(run)) == ("finished", "")
    run.resume(steps=25, runner="inline")
    assert (run.step, advice(run)) == (25, "")
    kept: dict[str, list[tuple[int, float]]] = {}
    for file in sorted((run.folder / "wandb").glob("offline-run-*/*.wandb")):
        message, name = messages.Record(), ""
        for data in wandb_records(file.read_bytes()):
            message.ParseFromString(data)
            name = message.run.display_name or name
            row = {(i.key or i.nested_key[0]): i.value_json for i in message.history.item}
            if "loss" in row:
                kept.setdefault(name, []).append((int(row["_step"]), float(row["loss"])))
    assert [step for step, _ in kept["one"]] == list(range(1, 21))
    assert [step for step, _ in kept["one from 20"]] == list(range(21, 26))
    assert [loss for _, loss in kept["one"]] == pytest.approx(run.metrics.loss[:20].tolist(), rel=1e-6)


@pytest.mark.usefixtures("closed")
def test_mlflow_in_a_database_beside_the_runs(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = nbllm.train("one", steps=20, loggers="mlflow", runner="inline", **TINY)
    assert (run.state, advice(run)) == ("finished", "")
    run.resume(steps=25, runner="inline")
    assert nbllm.runs().index.tolist() == ["one"], "what MLflow keeps is not taken for a run"
    client = mlflow.MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("nbllm").experiment_id
    kept = {each.info.run_name: each for each in client.search_runs([experiment])}
    assert set(kept) == {"one", "one from 20"}
    first = kept["one"]
    assert first.info.status == "FINISHED"
    assert first.data.params["model.width"] == "16"
    history = sorted(client.get_metric_history(first.info.run_id, "loss"), key=lambda each: each.step)
    assert [each.step for each in history] == list(range(1, 21))
    assert [each.value for each in history] == pytest.approx(run.metrics.loss[:20].tolist())
    assert {file.path for file in client.list_artifacts(first.info.run_id, "samples")} == {
        "samples/step-10.txt", "samples/step-20.txt",
    }  # fmt: skip


@pytest.mark.usefixtures("closed")
def test_trackio_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("HF_TOKEN", "hf_a_token_that_must_not_be_asked_about")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    run = nbllm.train("one", steps=20, loggers="trackio", runner="inline", **TINY)
    assert (run.state, advice(run)) == ("finished", "")
    run.resume(steps=25, runner="inline")
    assert set(SQLiteStorage.get_runs("nbllm")) == {"one", "one from 20"}
    rows = [row for row in SQLiteStorage.get_logs("nbllm", "one") if "loss" in row]
    assert [row["step"] for row in rows] == list(range(1, 21))
    assert [row["loss"] for row in rows] == pytest.approx(run.metrics.loss[:20].tolist())
