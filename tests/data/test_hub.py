"""Data sets of the hub, from a stand-in on this machine: asked for before they are fetched, streamed piece by piece,
and gone on with in the commit that the run began with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data import hub

A, B = "a" * 40, "b" * 40
SCRIPT = """
import json, sys
from pathlib import Path
from nbllm.config import DataConfig
from nbllm.data import remote
from nbllm.data.text_stream import TextStream
from nbllm.errors import DataError

def tried(call):
    try:
        return call()
    except DataError as error:
        return str(error)

base, pinned = Path.cwd(), sys.argv[1]
asked = [DataConfig(source="hf:me/set", streaming=streaming) for streaming in (False, True)]
agreed = DataConfig(source="hf:me/set", streaming=True, allow_download=True)
if pinned == "refused":
    print(json.dumps([tried(lambda: len(list(remote.read_dataset(data, base)))) for data in asked]))
else:
    revision = remote.revision_of(agreed, base) if pinned == "newest" else pinned
    blocks = list(TextStream(agreed, base, revision=revision).blocks(size=1, piece=100))
    again = TextStream(agreed, base, revision=revision).blocks(blocks[41].place, 1, 100)
    same = [block.text for block in again] == [block.text for block in blocks[41:]]
    print(json.dumps([revision, blocks[0].text.decode(), len(blocks), same]))
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[hub.Hub]:
    datasets = pytest.importorskip("datasets")

    def commit(word: str) -> dict[str, bytes]:
        for part in range(2):
            rows = [{"text": f"{word} {part} {i}"} for i in range(20)]
            datasets.Dataset.from_list(rows).to_parquet(tmp_path / f"train-{part}.parquet")
        return {"README.md": b"# set\n", **{p.name: p.read_bytes() for p in sorted(tmp_path.glob("*.parquet"))}}

    with hub.running(hub.Hub({A: commit("old"), B: commit("new")}, main=A)) as running:
        yield running


def ask(served: hub.Hub, place: Path, pinned: str) -> list[object]:
    """What the script says in a process that takes the stand-in for the hub."""
    environment = {
        **os.environ, "HF_ENDPOINT": served.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(place / "home"),
        "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, pinned], cwd=place, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found: list[object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_nothing_is_fetched_before_the_user_agrees(served: hub.Hub, tmp_path: Path) -> None:
    for said in ask(served, tmp_path, "refused"):
        assert "is not on this machine" in str(said)
        assert "allow_download: true" in str(said)
    assert served.fetched(".parquet") == []


def test_a_stream_goes_on_in_the_commit_it_began_with(served: hub.Hub, tmp_path: Path) -> None:
    assert ask(served, tmp_path, "newest") == [A, "old 0 0", 80, True]
    served.main = B
    assert ask(served, tmp_path, A) == [A, "old 0 0", 80, True]
    assert served.fetched(".parquet")
    assert list(tmp_path.rglob("*.arrow")) == [], "no copy of it is made"
