"""Watch and Feed: what the page is given is what the folder says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from nbllm.dashboards.feed import Feed
from nbllm.dashboards.follower import Follower
from nbllm.dashboards.watch import Watch
from nbllm.plots.decimate import Thinned
from nbllm.store.folder import RunFolder
from tests.dashboards.synthetic import CHINESE, HOSTILE, Writer, long_log, step_event


def rows(packed: bytes, columns: int) -> np.ndarray:
    return np.frombuffer(packed, np.float64).reshape(-1, columns)


def steps_shown(feed: Feed) -> list[int]:
    width = len(Thinned.COLUMNS)
    both = [rows(feed.values[name], width)[:, 0] for name in ("base", "tail")]
    return np.concatenate(both).astype(int).tolist()


def fed(folder: Path) -> tuple[Watch, Feed]:
    watch = Watch(RunFolder(folder))
    feed = Feed(watch)
    feed.refresh(watch.look())
    return watch, feed


def test_everything_of_a_run(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "r").writing():
        writer = Writer(tmp_path / "r").until(250)
        writer.metrics.append({"event": "checkpoint", "step": 200, "path": "checkpoints/step-200"})
        writer.metrics.sync()
        _, feed = fed(tmp_path / "r")
    values = feed.values
    assert steps_shown(feed) == list(range(1, 251))
    assert rows(values["held"], 4)[:, 0].tolist() == [50, 100, 150, 200, 250]
    assert rows(values["held"], 4)[0].tolist()[1:3] == [51_200, 2.5]
    status = values["status"]
    assert (status["state"], status["step"], status["steps"]) == ("training", 250, 2000)
    assert status["left"] == pytest.approx(1750 * 0.05, abs=1)
    assert status["checkpoint"] == 200
    assert status["lr"] == 5e-3
    assert values["summary"] == "transformer 4×128, 0.80M parameters, cpu"
    assert [s["step"] for s in values["samples"]] == [200, 100]
    assert values["probe"]["tokens"] == CHINESE
    assert values["probe"]["kept"] == [50, 100, 150, 200, 250]
    assert len(values["maps"]) == 5 * 4 * 4 * len(CHINESE) ** 2
    assert ["source", "python-docs"] in values["data"]
    assert ["fingerprint.vocabulary", "65"] in values["data"]
    changed = {row[0] for row in values["network"]["rows"] if row[2]}
    assert "train.steps" in changed
    assert "train.clip" not in changed
    json.dumps({name: value for name, value in values.items() if not isinstance(value, bytes)})


def test_only_what_changed_is_remade(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "r").until(120)
    watch, feed = fed(tmp_path / "r")
    before = dict(feed.values)
    writer.metrics.append(step_event(121))
    writer.metrics.sync()
    feed.refresh(watch.look())
    different = {name for name, value in feed.values.items() if before.get(name) is not value}
    assert different == {"tail", "status"}
    assert steps_shown(feed)[-1] == 121
    assert feed.watch.look() == set()


def test_the_base_is_sent_again_only_now_and_then(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "r")
    watch, feed = fed(tmp_path / "r")
    bases = []
    for start in range(1, 2001, 10):
        for step in range(start, start + 10):
            writer.metrics.append(step_event(step))
        writer.metrics.sync()
        feed.refresh(watch.look())
        bases.append(feed.values["base"])
        assert len(feed.values["tail"]) <= (150 + 4 * 3) * 64
    assert len({id(base) for base in bases}) < 25
    assert len(feed.values["base"]) < 2000 * 64


def test_a_resume_takes_back_what_lay_beyond(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "r").until(200)
    watch, feed = fed(tmp_path / "r")
    for log in (writer.metrics, writer.samples):
        log.append({"event": "resume", "step": 120})
    writer.until(150, start=121)
    feed.refresh(watch.look())
    assert steps_shown(feed) == list(range(1, 151))
    assert rows(feed.values["held"], 4)[:, 0].tolist() == [50, 100, 150]
    assert [s["step"] for s in feed.values["samples"]] == [100]


def test_another_run_in_the_same_folder_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    Writer(folder).until(200).close()
    follower = Follower.of(folder)
    follower.look()
    RunFolder(folder).delete()
    Writer(folder).until(7).close()
    follower.look()
    assert steps_shown(follower.feed) == list(range(1, 8))
    assert follower.feed.values["samples"] == []


def test_another_run_in_the_very_same_file_is_noticed(tmp_path: Path) -> None:
    """A file system may give the new file the number of the old one, and it may be the longer one when it is seen."""
    folder = tmp_path / "r"
    Writer(folder).until(20).close()
    follower = Follower(RunFolder(folder))
    follower.look()
    other = b"".join(
        json.dumps({"t": 2.0e9, **step_event(step), "loss": 1.0}).encode() + b"\n" for step in range(1, 101)
    )
    with open(folder / "metrics.jsonl", "r+b") as file:
        file.write(other)
    follower.look()
    assert follower.watch.metrics.train.columns["loss"] == [1.0] * 100


def test_an_end_is_never_seen_without_what_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker writes its last step and its end while the folder is being read."""
    with RunFolder(tmp_path / "r").writing():
        writer = Writer(tmp_path / "r").until(30)
        watch = Watch(writer.run)
        watch.look()
        read = watch._look_metrics

        def then_ends() -> bool:
            found = read()
            if writer.state.state != "finished":
                writer.until(31, start=31)
                writer.status("finished")
            return found

        monkeypatch.setattr(watch, "_look_metrics", then_ends)
        for _ in range(3):
            monkeypatch.setattr(watch, "_lock_looked", -10.0)
            watch.look()
            if watch.status.state == "finished":
                assert watch.metrics.train.steps[-1] == 31
    assert watch.status.state == "finished"


def test_a_run_that_is_deleted_keeps_what_was_seen_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    writer = Writer(folder).until(60)
    writer.status("finished")
    writer.close()
    follower = Follower(RunFolder(folder))
    follower.look()
    assert follower.feed.values["status"]["advice"] == ""
    RunFolder(folder).delete()
    follower.look()
    status = follower.feed.values["status"]
    assert (status["state"], status["step"], status["error"]["message"]) == ("finished", 60, "")
    assert "deleted or renamed" in status["advice"]
    assert steps_shown(follower.feed) == list(range(1, 61))
    Writer(folder).until(5).close()
    follower.look()
    assert steps_shown(follower.feed) == list(range(1, 6))
    assert follower.feed.values["status"]["advice"] == ""


def test_a_dead_worker_is_lost(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "r").writing():
        Writer(tmp_path / "r").until(5)
        assert fed(tmp_path / "r")[1].values["status"]["state"] == "training"
    status = fed(tmp_path / "r")[1].values["status"]
    assert status["state"] == "lost"
    assert "worker started" in status["message"]


def test_gates_and_maps_by_step(tmp_path: Path) -> None:
    Writer(tmp_path / "r", kind="gates").until(100)
    watch, feed = fed(tmp_path / "r")
    assert feed.values["probe"]["kind"] == "gates"
    assert feed.values["probe"]["shape"] == [2, 4, len(CHINESE), 32]
    assert feed.values["probe"]["gates"] == ["input", "forget", "output", "cell"]
    units = feed.values["probe"]["units"]
    assert (units[0], units[-1], len(units)) == (0, 127, 32), "32 units that stand for a layer of 128"
    assert watch.map(50) is not None
    assert watch.map(51) is None


def test_many_maps_are_thinned_to_the_newest_and_even_ones(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "r", tokens=list("ab" * 32))
    for step in range(50, 50 * 31, 50):
        writer.probe(step)
    _, feed = fed(tmp_path / "r")
    probe = feed.values["probe"]
    assert len(probe["steps"]) == 30
    assert probe["kept"][0] == 50
    assert probe["kept"][-1] == 1500
    assert len(feed.values["maps"]) == len(probe["kept"]) * 65_536 <= 600_000


def test_broken_files_are_lived_with(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    writer = Writer(folder).until(60)
    writer.run.config.write_text("size: [", encoding="utf-8")
    (folder / "probes" / "step-50.npz").write_bytes(b"no zip")
    (folder / "probes" / "probe.json").write_text("{", encoding="utf-8")
    writer.run.status_file.write_text("{}", encoding="utf-8")
    writer.run.environment.write_text("[1, 2", encoding="utf-8")
    _, feed = fed(folder)
    assert feed.values["status"]["state"] == "failed"
    assert feed.values["network"]["rows"] == []
    assert steps_shown(feed) == list(range(1, 61))


def test_hostile_text_travels_as_text(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "r")
    writer.sample(1, "", HOSTILE)
    writer.samples.sync()
    assert fed(tmp_path / "r")[1].values["samples"][0]["text"] == HOSTILE


def test_a_long_run_updates_as_quickly_as_a_short_one(tmp_path: Path) -> None:
    took = {}
    for name, steps in (("short", 2_000), ("long", 100_000)):
        writer = Writer(tmp_path / name)
        long_log(tmp_path / name / "metrics.jsonl", steps)
        watch, feed = fed(tmp_path / name)
        spent = []
        for step in range(steps + 1, steps + 41):
            writer.metrics.append(step_event(step))
            writer.metrics.sync()
            started = time.process_time()
            feed.refresh(watch.look())
            spent.append(time.process_time() - started)
        took[name] = sorted(spent)[len(spent) // 2]
    assert took["long"] < 3 * took["short"] + 0.002, took
