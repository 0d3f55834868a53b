"""Runs on a stream: every window once a pass, the same batch for a step however one comes there, killed and resumed bit
for bit in a worker of their own."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nbllm
from nbllm.config import RunConfig, resolve
from nbllm.data.make_stream import open_stream
from nbllm.data.prepare import prepare
from nbllm.data.tokenizers import load
from nbllm.errors import DataError
from nbllm.objectives.make import make
from nbllm.runners.corpus import open_corpus
from nbllm.runners.streamed import StreamCorpus
from tests.runners.test_process import QUICK, QUIET, SECONDS, losses, until, worker_pid

STREAMED: dict[str, Any] = {**QUICK, **QUIET, "data.streaming": True, "data.shuffle": 40}
LINES = [f"{n} sheep jumped over the fence, and then {n + 1} more.\n" for n in range(500)]


@pytest.fixture
def shards(tmp_path: Path) -> str:
    """A folder of Parquet files; its name as a data set."""
    datasets = pytest.importorskip("datasets")
    (tmp_path / "shards").mkdir()
    for part in range(3):
        rows = [{"text": "".join(LINES[i : i + 1 + i % 5]), "id": i} for i in range(part, 170, 3)]
        datasets.Dataset.from_list(rows).to_parquet(tmp_path / "shards" / f"{part}.parquet", batch_size=20)
    return f"hf:{tmp_path / 'shards'}"


def prepared(base: Path, source: str, **settings: Any) -> tuple[RunConfig, Path]:
    """A configuration and a run folder whose stream is ready."""
    layer = {**STREAMED, "data.source": source, "tokenizer": "byte", **settings}
    config = resolve([("test", {k: v for k, v in layer.items() if v is not None})])
    folder = base / "prepared"
    folder.mkdir(exist_ok=True)
    prepare(config, base, folder, None, lambda what, share: None)
    return config, folder


def opened(base: Path, config: RunConfig, folder: Path) -> StreamCorpus:
    objective = make(config, load(folder / "tokenizer.json"))
    corpus = open_corpus(folder / "data", config, objective, base)
    assert isinstance(corpus, StreamCorpus)
    return corpus


def windows(corpus: StreamCorpus, step: int) -> np.ndarray:
    """(B, C + 1) the windows of a step."""
    batch = corpus.batch(step)
    return torch.cat([batch["tokens"], batch["targets"][:, -1:]], 1).numpy()


@pytest.mark.parametrize(("shuffle", "stride"), [(40, None), (1, 12), (12, 40)])
def test_a_batch_is_the_same_however_one_comes_to_its_step(tmp_path: Path, shuffle: int, stride: int | None) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in LINES[:100]))
    config, folder = prepared(tmp_path, "rows.jsonl", **{"data.shuffle": shuffle, "data.stride": stride})
    one = opened(tmp_path, config, folder)
    in_order, states = [], []
    for step in range(120):
        states.append(json.loads(json.dumps(one.state(step))))
        in_order.append(windows(one, step))
        assert np.array_equal(windows(one, step), in_order[-1]), "a step that is tried again"
    assert one.state(119)["place"]["epoch"] >= 1
    for step in (0, 1, 9, 10, 57, 100):
        resumed = opened(tmp_path, config, folder)
        resumed.load_state(states[step])
        assert resumed.state(step) == states[step]
        for later in range(step, min(step + 15, 120)):
            assert np.array_equal(windows(resumed, later), in_order[later])
    for step in (70, 3, 71):
        assert np.array_equal(windows(one, step), in_order[step]), "a step further back or ahead"
        assert one.state(step) == states[step]


def test_a_pass_shows_every_token_once_and_the_held_out_ones_never(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(LINES))
    config, folder = prepared(tmp_path, "a.txt")
    text, start = open_stream(folder / "data", config, tmp_path, None)
    train = b"".join(block.text for block in text.blocks(start)).replace(b"\xff", b"")
    corpus = opened(tmp_path, config, folder)
    steps = 10 * (len(train) // (10 * 4 * 16))  # whole groups of the first pass
    seen = [windows(corpus, step)[:, :-1] for step in range(steps)]
    inputs = Counter(bytes(row.astype(np.uint8)) for row in np.concatenate(seen))
    expected = Counter(train[i : i + 16] for i in range(0, steps * 4 * 16, 16))
    assert inputs == expected
    assert bytes(np.concatenate(seen).astype(np.uint8).ravel()) != train[: steps * 64], "shuffled"
    held = bytes(corpus.held_ids.astype(np.uint8))
    assert "".join(LINES).encode().startswith(held)
    assert train == "".join(LINES).encode()[len(held) :].rstrip()


def test_windows_overlap_by_one_and_are_packed(tmp_path: Path) -> None:
    """Documents one after another with <eos> between; the last target of a window is the first input of the next."""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in LINES))
    config, folder = prepared(tmp_path, "rows.jsonl", batch_size=1, **{"data.shuffle": 1})
    corpus = opened(tmp_path, config, folder)
    rows = [windows(corpus, step)[0] for step in range(60)]
    assert all(a[-1] == b[0] for a, b in pairwise(rows))
    ids = np.concatenate([row[:-1] for row in rows])
    assert (ids == 256).sum() > 5
    packed = bytes(np.where(ids == 256, 10, ids).astype(np.uint8)).decode()
    assert packed in "".join(LINES)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_killed_worker_goes_on_bit_for_bit(shards: str) -> None:
    same = {**STREAMED, "dropout": 0.1, "checkpoint_every": 25, "steps": 1500, "queue": False}
    whole = nbllm.train("whole", data=shards, **same)
    cut = nbllm.train("cut", data=shards, **same)
    for target in (60, 400):
        until(lambda target=target: cut.step >= target or cut.state == "failed", f"step {target}")
        os.kill(worker_pid(cut), signal.SIGKILL)
        until(lambda: cut.state == "lost", "notice of the death", 20)
        cut.resume()
    cut.wait(SECONDS)
    whole.wait(SECONDS)
    assert (whole.state, cut.state) == ("finished", "finished"), (whole.error, cut.error)
    assert losses(whole) == losses(cut)
    assert whole.metrics["val_loss"].dropna().to_dict() == cut.metrics["val_loss"].dropna().to_dict()
    a, b = whole.load().module.state_dict(), cut.load().module.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    state = json.loads((cut.folder / "checkpoints" / "step-1500" / "state.json").read_text())
    assert state["data"]["place"]["epoch"] >= 1, "it went on in a second pass"
    again = [
        e for e in map(json.loads, (cut.folder / "metrics.jsonl").read_text().splitlines()) if e["event"] == "resume"
    ]
    assert len(again) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "lstm"},
        {"model": "transformer", "objective": "prefix-lm"},
        {"model": "bert", "tokenizer": "bpe", "tokenizer.vocab_size": 300},
        {"model": "seq2seq", "objective": "span", "layers": None},
    ],
)
def test_every_objective_of_running_text_learns_from_a_stream(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "a.txt").write_text("".join(LINES))
    layer = {**STREAMED, "sample.every": 15, "sample.max_tokens": 5, "context": 32, "evaluate_every": 15, **settings}
    if settings["model"] == "lstm":
        del layer["heads"]
    call = {key: value for key, value in layer.items() if value is not None}
    run = nbllm.train("one", data=str(tmp_path / "a.txt"), steps=30, runner="inline", **call)
    assert run.state == "finished", run.error
    loss = run.metrics["loss"]
    assert loss.iloc[-5:].mean() < loss.iloc[:5].mean()
    assert run.metrics["val_loss"].notna().sum() == 2
    assert len(run.samples) >= 2


def test_a_table_of_the_notebook_can_be_streamed(tmp_path: Path) -> None:
    run = nbllm.train("one", data=LINES, steps=20, runner="inline", **STREAMED)
    assert run.state == "finished", run.error
    run.resume(steps=30, runner="inline")
    assert (run.state, run.step) == ("finished", 30)


def test_a_torn_shard_is_said_where_it_is_met_and_the_rest_follows_when_it_is_mended(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    (tmp_path / "shards").mkdir()
    for part in range(3):
        rows = [{"text": "".join(LINES[i : i + 50])} for i in range(part, 400, 3)]
        datasets.Dataset.from_list(rows).to_parquet(tmp_path / "shards" / f"{part}.parquet", batch_size=20)
    torn = tmp_path / "shards" / "2.parquet"
    good = torn.read_bytes()
    damage = slice(len(good) // 5, len(good) // 2)  # the size stays, and the table of contents at the end
    torn.write_bytes(good[: damage.start] + bytes(damage.stop - damage.start) + good[damage.stop :])
    config, folder = prepared(tmp_path, "hf:shards", context=64, batch_size=64, **{"data.shuffle": 256})
    corpus = opened(tmp_path, config, folder)
    last = 0

    def read() -> None:
        nonlocal last
        for last in range(1000):
            corpus.batch(last)

    with pytest.raises(DataError, match=r"broke off: .*--resume"):
        read()
    assert last > 40
    torn.write_bytes(good)
    again = opened(tmp_path, config, folder)
    again.load_state(corpus.state(last))
    whole = opened(tmp_path, config, folder)
    assert np.array_equal(windows(again, last + 4), windows(whole, last + 4))


def test_a_run_does_not_go_on_in_another_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(LINES))
    run = nbllm.train("one", data=str(path), steps=20, runner="inline", **STREAMED)
    path.write_text("".join(LINES) + "more\n")
    run.resume(steps=40, runner="inline")
    assert run.state == "failed"
    assert "not what it was when the run began" in run.error
    path.unlink()
    with pytest.raises(DataError, match="no file"):
        opened(tmp_path, run.config, run.folder)
