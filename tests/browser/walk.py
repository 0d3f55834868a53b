"""A newcomer's first hour, walked in a real browser by what the README says, with a picture at each step.

    make walk                                      all of it, into output/walk
    python -m tests.browser.walk FOLDER form tasks these chapters alone

nbllm comes from a wheel in an environment of its own, the notebooks from `nbllm tour`, the cells from the README. The
pictures are there to be looked at, as a teacher would before a lesson: `index.html` shows them in order. What a page
says in its console, and what a cell says in red, is printed. Budgets are cut (NBLLM_QUICK_STEPS).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

from tests.browser.camera import Camera
from tests.browser.chapters import CHAPTERS
from tests.browser.notebooks import Notebooks
from tests.clean import Clean

STEPS = "60"


@contextmanager
def opened(kind: type[Notebooks], clean: Clean, steps: str = STEPS) -> Iterator[Notebooks]:
    """A server of the clean environment in the folder of the tour, with every cell of a notebook in its page."""
    settings = clean.work / "lessons" / ".jupyter" / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}', encoding="utf-8")
    env = {"NBLLM_QUICK_STEPS": steps, "NBLLM_HOME": str(clean.work / "home")}
    with kind(clean.work / "lessons", env=env, height=1500, python=clean.scripts / "python") as lab:
        yield lab
        lab.end_runs()


def walk(clean: Clean, camera: Camera, names: list[str]) -> list[str]:
    """Walk these chapters; gives back what went wrong."""
    wrong: list[str] = []
    kinds = dict.fromkeys(CHAPTERS[name][0] for name in names)
    for kind in kinds:
        with opened(kind, clean) as lab:
            for name in (each for each in names if CHAPTERS[each][0] is kind):
                began, camera.chapter = time.monotonic(), name
                try:
                    CHAPTERS[name][1](lab, camera)
                except Exception as error:  # the other chapters are walked all the same
                    wrong.append(f"{name}: {type(error).__name__}: {str(error)[:600]}")
                wrong += [f"{name}, console: {each}" for each in lab.console_errors()]
                lab.errors.clear()
                print(f"{name}: {time.monotonic() - began:.0f} s, {len(camera.taken)} pictures", flush=True)
    return wrong


def words_of(folder: Path) -> str:
    """A text of one's own, as the README asks for: what the English notebooks say."""
    cells = [
        cell for file in sorted(folder.glob("[01]*.ipynb")) if ".zh" not in file.name
        for cell in nbformat.read(file, as_version=4).cells
    ]  # fmt: skip
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def main() -> int:
    """The walk, and where its pictures are."""
    folder, *names = sys.argv[1:] or ["output/walk"]
    if unknown := set(names) - set(CHAPTERS):
        print(f"There is no chapter {', '.join(unknown)}: take some of {', '.join(CHAPTERS)}.")
        return 2
    began, camera = time.monotonic(), Camera(Path(folder))
    with tempfile.TemporaryDirectory() as place:
        clean = Clean(Path(place))
        print(clean.nbllm("tour", "lessons"))
        (clean.work / "lessons" / "input.txt").write_text(words_of(clean.work / "lessons"), encoding="utf-8")
        all_of_it = [name for name in CHAPTERS if name != "before"]
        first = [] if {"start"} & set(names) or set(names) <= {"form", "lessons"} else ["before"]
        wrong = walk(clean, camera, [*first, *names] if names else all_of_it)
    print("\n".join(wrong))
    print(f"{camera.index()}: {len(camera.taken)} pictures in {time.monotonic() - began:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
