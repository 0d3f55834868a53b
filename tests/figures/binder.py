"""A Binder: what its notebooks take under 2 GB, and the first in 1 GB on one core; seconds are those of processors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from tests.figures.box import Box, Took

ROOT = Path(__file__).resolve().parents[2]
FIRST, TASKS = "01-first-model.ipynb", "09-tasks.ipynb"
REPO2DOCKER = "jupyter-repo2docker==2026.4.0"
STEPS = ("fonts-noto-cjk", "binder/requirements.txt", "binder/postBuild", "binder/start", "python=3.11")
GOAL = 1500  # MB
_CELL = 600  # seconds a cell may take


def measure() -> list[dict[str, Any]]:
    """Rows of what was done, seconds that processors worked for it, and the most megabytes at once, with their goal.

    The steps are repo2docker's, by the files of binder/, but for Docker, apt.txt and the line of requirements.txt that
    names PyTorch's index, which is left out here.
    """
    with tempfile.TemporaryDirectory() as place, Box(2000) as box, Box(1000, cores={0}) as small:
        folder = Path(place)
        project = _copy(folder / "project")
        venv.create(folder / "environment", with_pip=True)
        env = _surroundings(folder)
        _accepts(project, folder)
        lines = (project / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
        wanted = folder / "requirements.txt"
        wanted.write_text("\n".join(line for line in lines if "index-url" not in line) + "\n", encoding="utf-8")
        pip = ["python", "-m", "pip", "install", "--no-cache-dir", "-q", "-r", str(wanted)]
        rows = [
            _row("requirements.txt: torch for the CPU", box.run(pip, project, env)),
            _row("postBuild: the package, notebook 1 and an LSTM", box.run(["binder/postBuild"], project, env)),
        ]
        _check(project)
        work = project / "notebooks"
        for number, name in ((1, FIRST), (9, TASKS)):
            rows.append(_row(f"notebook {number}", box.run(_execute(project, name), work, env), GOAL))
        one = small.run(_execute(project, FIRST), work, env)
        rows.append(_row("notebook 1, on one core and 1 GB", one, 1000))
    return rows


def _accepts(project: Path, folder: Path) -> None:
    """repo2docker reads the project and means to do what is done here. It needs no Docker to say so."""
    venv.create(folder / "repo2docker", with_pip=True)
    scripts = folder / "repo2docker" / "bin"
    subprocess.run([scripts / "python", "-m", "pip", "install", "-q", REPO2DOCKER], check=True)
    call = [scripts / "jupyter-repo2docker", "--no-build", "--debug", str(project)]
    done = subprocess.run(call, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    missing = [step for step in STEPS if step not in said]
    assert not missing, f"repo2docker does not mean to do: {missing}\n{said}"


def _copy(target: Path) -> Path:
    """The project as git has it, changes that are not committed included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def _surroundings(folder: Path) -> dict[str, str]:
    """Nothing of this environment but the system's; home and Jupyter's folders are new."""
    scripts = folder / "environment" / "bin"
    gone = ("PYTHONPATH", "VIRTUAL_ENV", "NBLLM_", "JUPYTER_", "IPYTHON", "OMP_", "MKL_", "HF_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(gone)}
    home = folder / "home"
    home.mkdir()
    return {**env, "PATH": f"{scripts}{os.pathsep}{env['PATH']}", "HOME": str(home), "XDG_CACHE_HOME": str(home)}


def _execute(project: Path, name: str) -> list[str]:
    """A notebook run from top to bottom as `start` begins a Binder's Jupyter."""
    call = ["python", "-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", str(project / "executed")]
    return [str(project / "binder" / "start"), *call, f"--ExecutePreprocessor.timeout={_CELL}", name]


def _check(project: Path) -> None:
    """What a visitor finds: two runs, and a first notebook with pictures in it."""
    runs = {folder.name for folder in (project / "runs").iterdir() if (folder / "status.json").is_file()}
    assert {"first", "first-lstm"} <= runs, runs
    assert "image/png" in (project / "notebooks" / FIRST).read_text(encoding="utf-8")


def _row(what: str, took: Took, goal: int | None = None) -> dict[str, Any]:
    assert goal is None or took.megabytes < goal, f"{what}: {took.megabytes} MB, over {goal}"
    return {"what": what, "seconds": took.processor, "most memory, MB": took.megabytes, "goal, MB": goal}


if __name__ == "__main__":
    print(*measure(), sep="\n", file=sys.stderr)
