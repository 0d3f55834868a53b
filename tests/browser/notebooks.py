"""Several notebooks in one JupyterLab, with what training in them needs: their kernels, their cells, their runs.

with Notebooks(folder) as lab, lab.notebook("one", ["%load_ext nbllm", "%%llm_train one --steps 100"]):
    lab.run_cell(0)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import Error, Page

from nbllm.store.folder import RunFolder
from nbllm.store.status import Status, read_status
from tests.browser.harness import Lab
from tests.conftest import end_workers

_SESSION = "window.jupyterapp.shell.currentWidget.sessionContext"
_CELL = "window.jupyterapp.shell.currentWidget.content.widgets[%d].node"
# A cell that keeps its kernel busy until the file is there: no clock decides when it ends.
BUSY = "import pathlib, time\nwhile not pathlib.Path({file!r}).exists(): time.sleep(0.05)"


class Notebooks(Lab):
    """A Lab that opens one notebook after the other, or several at once; one is the current one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()  # pictures of faults are taken by `notebook`, while its page is still open

    @property
    def runs(self) -> Path:
        """The folder of all runs of these notebooks."""
        return self.work / "runs"

    @contextmanager
    def notebook(self, name: str, cells: list[str]) -> Iterator[Page]:
        """A notebook that is open for the block. On a fault a picture is kept; its kernel is ended, its page closed."""
        before, before_name = vars(self).get("page"), self._name
        self.errors.clear()
        page = self.open(name, cells)
        try:
            yield page
        except BaseException:
            with suppress(Error):
                self.screenshot(f"failed-{name}")
            raise
        finally:
            with suppress(Error):
                page.evaluate(f"async () => {{ await {_SESSION}.shutdown() }}")
            page.close()
            if before is not None:
                self.page, self._name = before, before_name

    def turn_to(self, page: Page, name: str) -> None:
        """Make another open notebook the current one."""
        self.page, self._name = page, name
        page.bring_to_front()

    def end_runs(self) -> None:
        """End every worker that still trains."""
        if self.runs.is_dir():
            end_workers(self.runs)

    def status(self, run: str) -> Status:
        """What the worker of a run says, or that it is lost."""
        return RunFolder(self.runs / run).status()

    def worker(self, run: str) -> psutil.Process:
        """The process that trains a run."""
        return psutil.Process(read_status(self.runs / run / "status.json").worker["pid"])

    def kernel_state(self) -> str:
        """What the page knows of its kernel: idle, busy, restarting ..."""
        return str(self.page.evaluate(f"() => {_SESSION}.session?.kernel?.status ?? 'none'"))

    def kernel_file(self) -> Path:
        """The connection file of the current notebook's kernel."""
        number = self.page.evaluate(f"() => {_SESSION}.session.kernel.id")
        return Path(self._env["JUPYTER_RUNTIME_DIR"]) / f"kernel-{number}.json"

    def kernel_process(self) -> psutil.Process:
        """The process of the current notebook's kernel."""
        name = self.kernel_file().name
        server = psutil.Process(self._server.pid)
        return next(child for child in server.children() if any(name in part for part in child.cmdline()))

    @contextmanager
    def client(self) -> Iterator[BlockingKernelClient]:
        """A client of the current notebook's kernel, past the server and the page."""
        client = BlockingKernelClient(connection_file=str(self.kernel_file()))
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=60)
            yield client
        finally:
            client.stop_channels()

    def in_cell(self, index: int, expression: str) -> Any:
        """A JavaScript expression over `cell`, the node of a cell, and `d`, its Plotly chart where it has one."""
        node = _CELL % index
        return self.page.evaluate(
            f"() => {{ const cell = {node}, d = cell.querySelector('.js-plotly-plot'); return {expression}; }}"
        )

    def state_text(self, index: int) -> str:
        """The words of the dashboard's state in a cell; empty where no live one is to be seen."""
        seen = "[...cell.querySelectorAll('.nbllm-live .nbllm-state')].filter((state) => state.checkVisibility())"
        return str(self.in_cell(index, f"{seen}[0]?.innerText ?? ''"))

    def press(self, index: int, label: str) -> None:
        """Click a button of the dashboard in a cell, as soon as it can be clicked."""
        cell = self.page.locator(".jp-Notebook .jp-Cell").nth(index)
        cell.get_by_role("button", name=label, exact=True).click(timeout=30_000)

    def drawn_steps(self, index: int) -> list[float]:
        """Steps of the points of the train loss in a cell's chart; [] where nothing is drawn."""
        return list(self.in_cell(index, "d?.data?.[0]?.type === 'scatter' ? Array.from(d.data[0].x ?? []) : []"))


def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait for something that a page or a process does; what did not come about is named."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)
