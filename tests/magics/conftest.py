"""The shell of these tests: one for the process, as IPython wants it; each test has empty names and nbllm loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from tests.magics.shell import give_run


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("NBLLM_STANDBY", "0")
    monkeypatch.setenv("NBLLM_DISPLAY", "text")
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    for name in set(shell.user_ns) - set(shell.user_ns_hidden):
        del shell.user_ns[name]
    shell.config.pop("NbLLM", None)
    shell.run_line_magic("load_ext", "nbllm")
    yield shell
    shell.run_line_magic("unload_ext", "nbllm")


@pytest.fixture
def tiny(runs: Path) -> Path:
    """A finished run called tiny."""
    return give_run(runs)
