"""An environment in which nothing of the checkout can be seen, with the wheel in it.

A whole install takes minutes, so the environment is new and empty but for two things: the wheel, and a path that shows
it the libraries of the environment that runs this. Packages on such a path are found, but its .pth files are not
read, so that an editable nbllm stays hidden. The whole install from nothing is measured by `make figures ARGS=binder`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests import kernel

ROOT = Path(__file__).resolve().parent.parent


class Clean:
    """An environment with the wheel in it, and a folder to work in."""

    def __init__(self, folder: Path):
        self.work = folder / "work"
        self.work.mkdir()
        home = folder / "environment"
        venv.create(home, with_pip=False)
        self.scripts = home / ("Scripts" if os.name == "nt" else "bin")
        built = folder / "dist"
        self._call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built), cwd=ROOT)
        pip = [sys.executable, "-m", "pip", "--python", str(self.scripts / "python"), "install", "--quiet"]
        self._call(*pip, "--no-deps", "--no-index", *map(str, built.glob("*.whl")), cwd=folder)
        places = self.python("import sysconfig; print(sysconfig.get_path('purelib'))")
        (Path(places.strip()) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")

    def python(self, code: str) -> str:
        """What code prints."""
        return self._call(str(self.scripts / "python"), "-c", code)

    def nbllm(self, *words: str) -> str:
        """What a command prints."""
        return self._call(str(self.scripts / "nbllm"), *words)

    def _call(self, *command: str, cwd: Path | None = None) -> str:
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "NBLLM_RUNS")}
        env |= {"NBLLM_QUICK_STEPS": kernel.QUICK_STEPS, "NBLLM_STANDBY": "0", "PYTHONUTF8": "1"}
        env["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")  # nbconvert's templates are data, not modules
        done = subprocess.run(
            command, cwd=cwd or self.work, env=env, capture_output=True, text=True, encoding="utf-8", timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
