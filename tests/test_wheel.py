"""The wheel, installed where nothing of the checkout can be seen, copies the tour and trains the first notebook.

A whole install takes minutes, so the environment is new and empty but for two things: the wheel, and a path that shows
it the libraries of the environment that runs this test. Packages on such a path are found, but its .pth files are not
read, so that an editable nbllm stays hidden. The whole install from nothing is measured by `make figures ARGS=binder`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests import kernel

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(300)]


class Clean:
    """An environment with the wheel in it, and a folder to work in."""

    def __init__(self, folder: Path):
        self.work = folder / "work"
        self.work.mkdir()
        home = folder / "environment"
        venv.create(home, with_pip=False)
        self._scripts = home / ("Scripts" if os.name == "nt" else "bin")
        built = folder / "dist"
        self._call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built), cwd=ROOT)
        pip = [sys.executable, "-m", "pip", "--python", str(self._scripts / "python"), "install", "--quiet"]
        self._call(*pip, "--no-deps", "--no-index", *map(str, built.glob("*.whl")), cwd=folder)
        places = self.python("import sysconfig; print(sysconfig.get_path('purelib'))")
        (Path(places.strip()) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")

    def python(self, code: str) -> str:
        """What code prints."""
        return self._call(str(self._scripts / "python"), "-c", code)

    def nbllm(self, *words: str) -> str:
        """What a command prints."""
        return self._call(str(self._scripts / "nbllm"), *words)

    def _call(self, *command: str, cwd: Path | None = None) -> str:
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "NBLLM_RUNS")}
        env |= {"NBLLM_QUICK_STEPS": kernel.QUICK_STEPS, "NBLLM_STANDBY": "0", "PYTHONUTF8": "1"}
        env["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")  # nbconvert's templates are data, not modules
        done = subprocess.run(
            command, cwd=cwd or self.work, env=env, capture_output=True, text=True, encoding="utf-8", timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    return Clean(tmp_path_factory.mktemp("clean"))


def test_it_is_the_wheel_that_is_used(clean: Clean) -> None:
    found = json.loads(
        clean.python(
            "import json, sys, nbllm; from importlib.metadata import version; from nbllm.dashboards import frontend; "
            "print(json.dumps([nbllm.__file__, version('nbllm'), str(frontend.folder()), sys.path]))"
        )
    )
    file, version, front_end, paths = found
    assert not Path(file).is_relative_to(ROOT / "nbllm")
    assert str(ROOT) not in paths
    assert clean.nbllm("--version").strip() == f"nbllm {version}"
    assert Path(front_end) == Path(file).parent / "_widgets"
    assert (Path(file).parent / "py.typed").is_file()


def test_the_first_notebook_runs(clean: Clean) -> None:
    said = clean.nbllm("tour", "lessons")
    ours = {file.name for file in (ROOT / "notebooks").glob("*.ipynb")}
    assert {file.name for file in (clean.work / "lessons").glob("*.ipynb")} == ours
    assert "Copied" in said
    clean.nbllm("demo", "--output", "out")
    page = next((clean.work / "out").glob("*.html")).read_text(encoding="utf-8")
    assert "image/png" in page
    assert (clean.work / "runs" / "first" / "status.json").is_file()
