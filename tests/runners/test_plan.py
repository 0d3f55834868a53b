"""Making run folders: many at once from several processes, and over what is left of others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nbllm.config import resolve
from nbllm.errors import RunError
from nbllm.runners import plan
from nbllm.store.folder import RunFolder, list_runs

PROCESSES, EACH = 4, 12
MAKE = """
import sys, time
from pathlib import Path
from nbllm.config import resolve
from nbllm.runners import plan
go, number, each = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
config = resolve([("line", {"size": "tiny"})])
print("ready", flush=True)
while not go.exists(): time.sleep(0.001)
for count in range(each):
    print(plan.create(None, config, command=f"{number}-{count}").name, f"{number}-{count}", flush=True)
"""


def test_unnamed_runs_made_at_once_by_several_processes_get_names_of_their_own(tmp_path: Path) -> None:
    go = tmp_path / "go"
    makers = [
        subprocess.Popen([sys.executable, "-c", MAKE, str(go), str(number), str(EACH)], stdout=-1, stderr=-1, text=True)
        for number in range(PROCESSES)
    ]
    try:
        for maker in makers:
            assert maker.stdout is not None
            assert maker.stdout.readline() == "ready\n"
        go.touch()
        ended = [maker.communicate(timeout=120) for maker in makers]
    finally:
        for maker in makers:
            maker.kill()
    assert [fault for _, fault in ended] == [""] * PROCESSES
    made = dict(line.split() for said, _ in ended for line in said.splitlines())
    assert len(made) == PROCESSES * EACH, "two got the same name"
    found = {run.name: json.loads(run.environment.read_text())["command"] for run in list_runs()}
    assert found == made, "a run was lost, or lies under another's name"
    assert not [path for path in list_runs()[0].path.parent.iterdir() if path.name.startswith(".")]


def test_a_run_that_took_the_name_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes between the last look at the name and the taking of it."""
    config = resolve([("line", {"size": "tiny"})])
    look, other = plan._check_free, []

    def too_early(folder: RunFolder, replace: bool) -> None:
        look(folder, replace)
        if made_first and not other:
            other.append("meanwhile")
            plan.create("same", config, command="the other")

    made_first: list[str] = []
    monkeypatch.setattr(plan, "_check_free", too_early)
    monkeypatch.setattr(plan, "fill", lambda *given, fill=plan.fill: (fill(*given), made_first.append("made")))
    with pytest.raises(RunError, match="'same' is there already"):
        plan.create("same", config, command="mine")
    assert json.loads(list_runs()[0].environment.read_text())["command"] == "the other"
    assert len(list_runs()) == 1


def test_a_folder_with_nothing_but_an_old_lock_is_taken(tmp_path: Path) -> None:
    config = resolve([("line", {"size": "tiny"})])
    run = plan.create("old", config)
    for path in (run.config, run.environment, run.status_file):
        path.unlink()
    run.data.rmdir()
    (run.path / ".lock").touch()
    assert plan.create("old", config).exists()
    run.config.unlink()
    run.status_file.unlink()
    with pytest.raises(RunError, match="is not a run"):
        plan.create("old", config)
