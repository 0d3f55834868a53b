"""A run goes to the page in pieces and comes back as the same run."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbllm
from nbllm.dashboards import download
from nbllm.errors import RunError

QUICK = {"size": "tiny", "layers": 1, "width": 16, "heads": 2, "context": 16, "sample.every": 0, "probe.every": 0}


def test_pieces_make_the_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "poem.txt").write_text("床前明月光，疑是地上霜。\n" * 200, encoding="utf-8")
    run = nbllm.train("诗", data=str(tmp_path / "poem.txt"), steps=3, runner="inline", **QUICK)
    assert run.state == "finished", run.error
    monkeypatch.setattr(download, "PIECE", 4000)
    given = download.Download(run)
    content, [piece] = given.piece(0)
    assert content["name"] == "诗.zip"
    assert content["parts"] > 3
    pieces = [piece, *(given.piece(part)[1][0] for part in range(1, content["parts"]))]
    with pytest.raises(RunError, match="Press Download again"):
        given.piece(1)  # the packed file is gone once it was given
    (tmp_path / "back.zip").write_bytes(b"".join(pieces))
    again = nbllm.unpack(tmp_path / "back.zip", "again")
    assert again.load().generate("床前", max_tokens=5, seed=1) == run.load().generate("床前", max_tokens=5, seed=1)


def test_a_run_too_large_for_a_page_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "poem.txt").write_text("床前明月光，疑是地上霜。\n" * 200, encoding="utf-8")
    run = nbllm.train("large", data=str(tmp_path / "poem.txt"), steps=1, runner="inline", **QUICK)
    monkeypatch.setattr(download, "MOST", 1000)
    with pytest.raises(RunError, match=r"%llm_runs --pack large large\.zip"):
        download.Download(run).piece(0)
