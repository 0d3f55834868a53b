"""A real InteractiveShell with nbllm loaded, and a small trained run to use the magics on."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from nbllm import api

TEXT = ["To be, or not to be, that is the question. 你好，世界。今天天气很好。\n" * 10] * 12
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Ran:
    """What a cell did: its value, what it printed, and the exception that ended it."""

    value: Any
    printed: str
    error: BaseException | None

    @property
    def error_lines(self) -> list[str]:
        """The lines that IPython showed for the exception."""
        shown = _COLOUR.sub("", self.printed)
        return shown[shown.rindex("Error: ") :].strip().splitlines() if "Error: " in shown else []


def run_cell(shell: InteractiveShell, code: str) -> Ran:
    """Run a cell as a notebook does, input transformers included."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        result = shell.run_cell(code, store_history=True)
    return Ran(result.result, printed.getvalue(), result.error_in_exec or result.error_before_exec)


@functools.cache
def _trained() -> Path:
    """One short run, trained once for all tests of the process."""
    folder = Path(os.environ["NBLLM_HOME"]) / "trained"  # conftest removes it with all the rest
    settings = {"train.steps": 6, "train.checkpoint_every": 3, "sample.every": 0, "probe.every": 0, "train.context": 16}
    with contextlib.redirect_stdout(io.StringIO()):
        run = api.train("made-once", data=TEXT, size="tiny", layers=1, runner="inline", config=settings)
    assert run.state == "finished", run.error
    shutil.copytree(run.folder, folder)
    shutil.rmtree(run.folder)
    return folder


def give_run(runs: Path, name: str = "tiny") -> Path:
    """Put the trained run into the folder of runs, under that name."""
    return Path(shutil.copytree(_trained(), runs / name))
