"""A real JupyterLab in headless Chromium for the browser tests.

    with Lab(folder) as lab:
        page = lab.open("story", ["1 + 1", "print('hello')"])
        lab.run_cell(0)
        assert "2" in lab.output_text(0)

Everything it writes lies in the folder; it ends only the processes it started.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

SCREENSHOTS = Path(__file__).parent / "screenshots"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
_KERNEL = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel"
_RUN = """async (i) => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = i;
    await window.jupyterapp.commands.execute('notebook:run-cell'); }"""
_START = """(i) => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = i;
    window.jupyterapp.commands.execute('notebook:run-cell'); }"""
_TEXT = """(i) => window.jupyterapp.shell.currentWidget.content.widgets[i].node
    .querySelector('.jp-Cell-outputArea')?.innerText ?? ''"""
_STAR = """(i) => window.jupyterapp.shell.currentWidget.content.widgets[i].node
    .querySelector('.jp-InputPrompt')?.textContent.includes('*') ?? false"""
_POINTS = """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap((plot) => plot.data ?? [])
    .reduce((sum, trace) => sum + (trace.y?.length ?? trace.z?.length ?? 0), 0)"""


class Lab:
    """JupyterLab on a free port with scratch settings, and one browser page on it."""

    program = "jupyterlab"
    address = "lab/tree/{name}.ipynb?token=t&reset"
    ready = "api?token=t"  # answers as soon as the server does

    def __init__(
        self,
        work: Path,
        *,
        dark: bool = False,
        width: int = 1300,
        height: int = 2200,
        env: dict[str, str] | None = None,
        python: Path | None = None,
    ):
        """`python` is that of another environment, which sees this one's libraries, and not the checkout."""
        self.work = Path(work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.errors: list[str] = []
        self.page: Page
        self._size = {"width": width, "height": height}
        self._name = ""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        folders = {
            f"JUPYTER_{kind}_DIR": str(self.work / ".jupyter" / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")
        }
        settings = self.work / ".jupyter" / "settings"
        extension = settings / "@jupyterlab" / "apputils-extension"
        extension.mkdir(parents=True, exist_ok=True)
        theme = "JupyterLab Dark" if dark else "JupyterLab Light"
        (extension / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
        (extension / "notification.jupyterlab-settings").write_text(
            json.dumps({"fetchNews": "false", "checkForUpdates": False})
        )
        checkout = "" if python else str(Path(__file__).resolve().parents[2])
        self._env = {
            **os.environ, **folders, "IPYTHONDIR": str(self.work / ".jupyter" / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(settings), "NBLLM_RUNS": str(self.work / "runs"),
            "PYTHONPATH": os.pathsep.join([checkout, os.environ.get("PYTHONPATH", "")]).strip(os.pathsep),
            **(_borrowed() if python else {}), **(env or {}),
        }  # fmt: skip
        self._log = open(self.work / "lab.log", "w")  # noqa: SIM115 - lives as long as the server
        call = [
            str(python or sys.executable),
            "-m",
            self.program,
            "--no-browser",
            f"--port={self.port}",
            *self._arguments(),
        ]
        self._server = subprocess.Popen(call, env=self._env, stdout=self._log, stderr=self._log)
        try:
            self._await_server()
            self._playwright = sync_playwright().start()
            chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
            self._browser = self._playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        except BaseException:
            self._server.terminate()
            raise

    def _arguments(self) -> list[str]:
        """How the program is called, beside its port."""
        return [
            "--allow-root", "--expose-app-in-browser", "--ip=127.0.0.1", "--IdentityProvider.token=t",
            f"--ServerApp.root_dir={self.work}",
        ]  # fmt: skip

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None and getattr(self, "page", None) is not None:
            self.screenshot(f"failed-{self._name}")
        self.close()

    def _await_server(self) -> None:
        until = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{self.ready}", timeout=1).close()
                return
            except OSError:
                if self._server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(
                        f"{self.program} did not start:\n{(self.work / 'lab.log').read_text()[-2000:]}"
                    ) from None
                time.sleep(0.2)

    def open(self, name: str, cells: list[str]) -> Page:
        """Make a notebook of these cells, or take the one that is there; open it, and wait for its kernel."""
        self._write(name, cells)
        self.page = self._browser.new_page(viewport=self._size)  # type: ignore[arg-type]
        self.page.on("pageerror", lambda error: self.errors.append(str(error)[:400]))
        self.page.on("console", self._hear)
        self._load()
        return self.page

    def _write(self, name: str, cells: list[str]) -> None:
        self._name = name
        if not cells:
            return  # one that is there already
        empty: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = {
            "nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel},
            "cells": [{**empty, "id": f"c{i}", "source": cell} for i, cell in enumerate(cells)],
        }  # fmt: skip
        (self.work / f"{name}.ipynb").write_text(json.dumps(notebook))

    def _hear(self, message: Any) -> None:
        if message.type == "error" and "favicon" not in message.text:
            self.errors.append(message.text[:400])

    def _load(self) -> None:
        self.page.goto(f"http://127.0.0.1:{self.port}/{self.address.format(name=self._name)}")
        self.page.wait_for_selector(".jp-Notebook", timeout=90_000)
        self.wait_idle()

    def wait_idle(self, seconds: float = 90) -> None:
        """Wait until the kernel has nothing to do."""
        self.page.wait_for_function(f"() => {_KERNEL}?.status === 'idle'", timeout=seconds * 1000)

    def reload(self) -> None:
        """Open the page anew on the living kernel; console errors count from here."""
        self.errors.clear()
        self._load()

    def save(self) -> Path:
        """Save the notebook; returns its file."""
        self.page.evaluate("async () => { await window.jupyterapp.commands.execute('docmanager:save') }")
        return self.work / f"{self._name}.ipynb"

    def run_cell(self, index: int) -> None:
        """Run a cell and wait for its end."""
        self.page.evaluate(_RUN, index)

    def start_cell(self, index: int) -> None:
        """Run a cell without waiting."""
        self.page.evaluate(_START, index)

    def is_running(self, index: int) -> bool:
        """Whether a cell waits or runs. (The page's word for its kernel may be idle meanwhile: messages of widgets are
        answered in a thread of their own.)"""
        return bool(self.page.evaluate(_STAR, index))

    def output_text(self, index: int) -> str:
        """What the output of a cell says, as it can be read."""
        return str(self.page.evaluate(_TEXT, index))

    def points(self) -> int:
        """Points of all Plotly charts in the page."""
        return int(self.page.evaluate(_POINTS))

    def console_errors(self) -> list[str]:
        """Errors in the browser's console since opening, or since the last reload."""
        return list(self.errors)

    def restart_kernel(self) -> None:
        """Restart the kernel, and wait for it."""
        self.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.restartKernel() }")
        self.wait_idle()

    def screenshot(self, name: str, selector: str | None = None) -> Path:
        """A picture of the page, or of one element."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        if selector:
            self.page.locator(selector).first.screenshot(path=str(path))
        else:
            self.page.screenshot(path=str(path))
        return path

    def close(self) -> None:
        """End kernels, browser and server."""
        try:
            self._browser.close()
            self._playwright.stop()
        finally:
            self._server.terminate()
            try:
                self._server.wait(20)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._log.close()


def _borrowed() -> dict[str, str]:
    """Where a server finds the pages of Jupyter's programs, which are data of this environment and no modules."""
    share = Path(sys.prefix) / "share" / "jupyter"
    return {
        "JUPYTER_PATH": str(share), "JUPYTERLAB_DIR": str(share / "lab"),
        "JUPYTER_CONFIG_PATH": str(Path(sys.prefix) / "etc" / "jupyter"),
    }  # fmt: skip
