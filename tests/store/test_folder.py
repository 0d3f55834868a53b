"""The run folder: names, life by the lock, control files, packing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from nbllm.config import RunConfig
from nbllm.errors import RunError
from nbllm.store import archive, control
from nbllm.store.files import write_json
from nbllm.store.folder import RunFolder, check_name, find_run, free_name, list_runs
from nbllm.store.status import Status, read_status, write_status

HOLDER = """
import sys, time
from pathlib import Path
from nbllm.store.folder import RunFolder
with RunFolder(Path(sys.argv[1])).writing():
    print("held", flush=True)
    time.sleep(60)
"""


def make(root: Path, name: str, state: str = "finished") -> RunFolder:
    folder = RunFolder(root / name)
    folder.path.mkdir(parents=True)
    folder.config.write_text(RunConfig().to_yaml())
    write_status(folder.status_file, Status(state, worker={"pid": 1}))
    return folder


def test_life_is_the_lock_and_ends_with_its_process(tmp_path: Path) -> None:
    folder = make(tmp_path, "one", "training")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder.path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        assert folder.alive()
        assert folder.status().state == "training"
        with pytest.raises(RunError, match="already has a worker"), folder.writing(timeout=0.1):
            pass
        with pytest.raises(RunError, match="still at work"):
            folder.delete()
    finally:
        holder.kill()
    # not reaped: it is a zombie now, whose pid is still there
    folder.log.write_text("first\nlast words\n")
    until = time.monotonic() + 10
    while folder.alive() and time.monotonic() < until:
        time.sleep(0.01)
    assert folder.status().state == "lost"
    assert "last words" in folder.status().message
    holder.wait()
    folder.delete()
    assert not folder.path.exists()


def test_a_damaged_status_is_a_failed_run_with_advice(tmp_path: Path) -> None:
    folder = make(tmp_path, "one")
    folder.status_file.write_text('{"state": ')
    status = folder.status()
    assert status.state == "failed"
    assert "damaged" in status.error["message"]
    write_json(folder.status_file, {"format": 99, "state": "training"})
    assert "format 99" in read_status(folder.status_file).error["message"]


def test_commands_come_in_order_once_and_broken_ones_are_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "control"
    assert control.take(folder) == []
    control.send(folder, "pause")
    control.send(folder, "set", lr=0.1)
    (folder / "00-broken.json").write_text("{")
    write_json(folder / "01-unknown.json", {"command": "explode"})
    assert control.take(folder) == [{"command": "pause"}, {"command": "set", "lr": 0.1}]
    assert control.take(folder) == []


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a\\b", ".hidden", "-x", "x" * 101, "a b", "nul\0", "dot."])
def test_names_that_cannot_be_folders(name: str) -> None:
    with pytest.raises(RunError, match="cannot name a run"):
        check_name(name)


@pytest.mark.parametrize("name", ["shakespeare", "run-2", "a.b+c", "莎士比亚", "x_1"])
def test_names_that_can(name: str) -> None:
    assert check_name(name) == name


def test_finding_runs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run"):
        find_run("last", tmp_path)
    make(tmp_path, "shakespeare")
    second = make(tmp_path, "second")
    os.utime(second.config, (2e9, 2e9))
    assert find_run("last", tmp_path).name == "second"
    assert [run.name for run in list_runs(tmp_path)] == ["shakespeare", "second"]
    assert find_run(tmp_path / "second", tmp_path / "elsewhere").name == "second"
    with pytest.raises(RunError, match="Did you mean 'shakespeare'"):
        find_run("shakespear", tmp_path)
    for number in range(30):
        make(tmp_path, f"word-{number}")
    with pytest.raises(RunError, match=r"no run 'poem'\. %llm_runs lists"):
        find_run("poem", tmp_path)
    assert free_name("second", tmp_path) == "second-1"


def test_packing_and_unpacking_elsewhere(tmp_path: Path) -> None:
    folder = make(tmp_path, "one")
    folder.samples.write_text("你好\n")
    control.send(folder.control, "stop")
    packed = archive.pack(folder, tmp_path / "one")
    assert packed.name == "one.zip"
    again = archive.unpack(packed, tmp_path / "there", "two")
    assert again.name == "two"
    assert again.samples.read_text() == "你好\n"
    assert not again.control.exists()
    with pytest.raises(RunError, match="is there already"):
        archive.unpack(packed, tmp_path / "there", "two")
    with pytest.raises(RunError, match="is there already"):
        archive.pack(folder, packed)


@pytest.mark.parametrize("member", ["../../evil", "/etc/evil", "one/../../evil", "one\\..\\evil", "C:/evil"])
def test_a_packed_file_cannot_leave_its_folder(tmp_path: Path, member: str) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("one/config.yaml", "format: 1")
        file.writestr(member, "x")
    with pytest.raises(RunError, match="not a packed run"):
        archive.unpack(path, tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("**/*")) if (tmp_path / "runs").exists() else True


def test_a_bomb_and_a_text_are_no_packed_runs(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("one/config.yaml", "format: 1")
        file.writestr("one/data/x", b"\0" * 50_000_000)
    (tmp_path / "text.zip").write_text("hello")
    for path in (bomb, tmp_path / "text.zip", tmp_path / "missing.zip"):
        with pytest.raises(RunError, match="pack"):
            archive.unpack(path, tmp_path / "runs")


def test_pruning_keeps_the_last_and_the_best(tmp_path: Path) -> None:
    folder = make(tmp_path, "one")
    for step, loss in ((10, 3.0), (20, 1.0), (30, 2.0), (40, 2.5)):
        folder.checkpoint(step).mkdir(parents=True)
        write_json(folder.checkpoint(step) / "state.json", {"val_loss": loss})
    assert [step for step, _ in archive.prunable(folder, keep=1)] == [10, 30]


def test_a_project_with_a_config_is_no_run(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "config.yaml").write_text("port: 80")
    with pytest.raises(RunError, match="no run"):
        find_run(app, tmp_path / "runs")
    with pytest.raises(RunError, match="no run"):
        find_run("app", tmp_path)


def test_looking_whether_a_run_lives_makes_nothing_and_disturbs_nobody(tmp_path: Path) -> None:
    folder = make(tmp_path, "one")
    assert not folder.alive()
    assert not (folder.path / ".lock").exists()
    with folder.writing():
        assert folder.alive()
    assert [folder.alive() for _ in range(3)] == [False] * 3
    assert not RunFolder(tmp_path / "gone").alive()
    assert not (tmp_path / "gone").exists()


def test_values_of_another_kind_in_a_status_are_left_out(tmp_path: Path) -> None:
    folder = make(tmp_path, "one")
    write_json(folder.status_file, {"state": "finished", "step": "many", "seconds": None, "worker": 3, "steps": [1]})
    status = folder.status()
    assert (status.state, status.step, status.seconds, status.worker, status.steps) == ("finished", 0, 0.0, {}, None)
