"""A notebook run from top to bottom in a kernel of its own, with a bar that also moves while a cell waits for a run."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from nbllm.errors import RunError
from nbllm.store.folder import list_runs

_WIDTH = 20
_LINE = 96  # letters of a line in a terminal
_LIVE_SECONDS = 0.5  # between two looks in a terminal
_QUIET_SECONDS = 10.0  # between two lines elsewhere


def execute(notebook: Path, folder: Path) -> Path:
    """Execute a notebook in a real kernel, cell by cell; writes the notebook and its HTML page, and returns the page.

    Raises RunError where a cell fails; what was done until then is written.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from nbconvert import HTMLExporter

    content = nbformat.read(notebook, as_version=4)
    with Bar(len(content.cells)) as bar:
        client = NotebookClient(
            content,
            timeout=1800,
            kernel_name="python3",
            extra_arguments=["--IPKernelApp.log_level=40"],  # no notes of the kernel's own between the cells
            resources={"metadata": {"path": str(Path.cwd())}},
            on_cell_start=lambda cell, cell_index: bar.turn(cell_index, cell.source),
        )
        failure = None
        try:
            client.execute()
        except CellExecutionError as error:
            failure = f"{error.ename}: {error.evalue}"
        except DeadKernelError:
            failure = "the kernel died"
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(content, folder / notebook.name)
        page = folder / f"{notebook.stem}.html"
        page.write_text(HTMLExporter().from_notebook_node(content)[0], encoding="utf-8")
        if failure:
            raise RunError(f"A cell of {notebook.name} failed: {failure}.", f"See {page}, and type: nbllm doctor")
        bar.turn(len(content.cells), "done")
    return page.absolute()


class Bar:
    """How far a notebook is: by its cells, and within a cell by the run that trains meanwhile.

    One line that is rewritten in a terminal; elsewhere a line for each cell, and every ten seconds while a run trains.
    """

    def __init__(self, cells: int):
        self._cells = max(1, cells)
        self._cell, self._source = 0, ""
        self._began = time.time()
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="nbllm-bar", daemon=True)

    def __enter__(self) -> Bar:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        print(end="\n" if sys.stdout.isatty() else "", flush=True)

    def turn(self, cell: int, source: str) -> None:
        """The next cell begins."""
        self._cell, self._source = cell, (source.strip().splitlines() or [""])[0]
        self._print(self._line(0.0, ""))

    def _watch(self) -> None:
        while not self._done.wait(_LIVE_SECONDS if sys.stdout.isatty() else _QUIET_SECONDS):
            try:
                part, said = self._training()
            except OSError:  # a run that is being replaced
                continue
            if said:
                self._print(self._line(part, said))

    def _training(self) -> tuple[float, str]:
        """The share done of the newest run that was made meanwhile and still trains, and what to say of it."""
        for run in reversed(list_runs()):
            if run.config.stat().st_mtime < self._began - 1:
                break
            status = run.status()
            if status.live:
                if not status.steps:
                    return 0.0, f"{run.name} {status.state}"
                part = min(1.0, status.step / status.steps)
                return part, f"{run.name} [{_bar(part)}] {status.step:,} / {status.steps:,}"
        return 0.0, ""

    def _line(self, part: float, said: str) -> str:
        line = f"[{_bar((self._cell + part) / self._cells)}] {self._cell:>2} / {self._cells}  "
        room = _LINE - len(line) - (len(said) + 2 if said else 0)
        return f"{line}{self._source[:room]}{f'  {said}' if said else ''}"

    def _print(self, line: str) -> None:
        with self._lock:
            print(f"\r{line:<{_LINE}}", end="", flush=True) if sys.stdout.isatty() else print(line, flush=True)


def _bar(share: float) -> str:
    done = round(_WIDTH * min(1.0, share))
    return "#" * done + "." * (_WIDTH - done)
