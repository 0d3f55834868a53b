"""What all runs together may take on the disk: said when it is nearly used up, refused when it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbllm.errors import ConfigError, RunError
from nbllm.runners import quota
from nbllm.runners.doctor import doctor


def test_without_a_limit_nothing_is_said(runs: Path) -> None:
    quota.check(runs)
    assert quota.note() == ""


def test_a_limit_that_is_near_is_said_and_one_that_is_passed_refuses(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs / "one").mkdir(parents=True)
    (runs / "one" / "weights").write_bytes(bytes(950_000))
    monkeypatch.setenv("NBLLM_DISK_GB", "0.01")
    assert quota.note() == ""
    monkeypatch.setenv("NBLLM_DISK_GB", "0.001")
    quota.check(runs)
    assert "0.00095 of 0.001 GB" in quota.note()
    assert "%llm_runs --prune" in quota.note()
    found = next(check for check in doctor().checks if check.name == "runs folder")
    assert found.state == "warn"
    assert "a new one is refused" in found.advice
    (runs / "one" / "more").write_bytes(bytes(100_000))
    with pytest.raises(RunError, match=r"limit is 0\.001 GB"):
        quota.check(runs)


@pytest.mark.parametrize("given", ["much", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_one_line(given: str, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_DISK_GB", given)
    with pytest.raises(ConfigError, match="a number of gigabytes"):
        quota.check(runs)
