"""The quiet tiers in real kernels: what nbclient saves, and what a kernel sends when no page ever speaks."""

from __future__ import annotations

import base64
import contextlib
import os
import queue
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from nbllm.store.status import read_status
from tests.kernel import execute, notebook_of

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).resolve().parents[2]
SHOW = """\
import pathlib
from nbllm.dashboards import dashboard
from tests.dashboards.synthetic import SyntheticRun
dashboard(SyntheticRun(pathlib.Path({folder!r})))"""
WAIT = """\
import time
from nbllm.store.status import read_status
while read_status(pathlib.Path({folder!r}) / "status.json").state != "finished":
    time.sleep(0.01)"""
STEP = """\
import time
from nbllm.store.status import read_status
while read_status(pathlib.Path({folder!r}) / "status.json").step < {step}:
    time.sleep(0.01)"""


def writing(folder: Path, steps: int, hertz: int) -> subprocess.Popen[bytes]:
    """A process that writes a run, once its status is there."""
    arguments = [str(folder), "--steps", str(steps), "--hertz", str(hertz)]
    process = subprocess.Popen([sys.executable, "-m", "tests.dashboards.synthetic", *arguments], cwd=ROOT)
    while not (folder / "status.json").exists():
        assert process.poll() is None
        time.sleep(0.05)
    return process


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels find this checkout, and no sign of a page."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "NBLLM_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def test_an_executed_notebook_keeps_the_last_state(tmp_path: Path, checkout: None) -> None:
    folder = tmp_path / "story"
    process = writing(folder, steps=150, hertz=15)
    try:
        cells = [text.format(folder=str(folder)) for text in (SHOW, WAIT)]
        notebook = execute(notebook_of(cells), tmp_path)
    finally:
        process.terminate()
        process.wait(10)
    outputs = [output for output in notebook.cells[0].outputs if "data" in output]
    assert len(outputs) == 1, "one display, no widget"
    data = outputs[0]["data"]
    assert "<em>finished</em>" in data["text/html"]
    assert data["text/plain"].startswith("story: finished, step 150 / 150")
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert notebook.cells[1].outputs == []


def test_a_run_that_goes_on_after_the_last_cell_is_kept_as_it_was_then(tmp_path: Path, checkout: None) -> None:
    folder = tmp_path / "story"
    process = writing(folder, steps=100_000, hertz=50)
    try:
        cells = [SHOW.format(folder=str(folder)), STEP.format(folder=str(folder), step=200)]
        notebook = execute(notebook_of(cells), tmp_path)
    finally:
        process.terminate()
        process.wait(10)
    data = next(output["data"] for output in notebook.cells[0].outputs if "data" in output)
    assert int(data["text/plain"].split("step ")[1].split(" /")[0]) >= 200
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")


def test_a_kernel_that_is_shut_down_leaves_the_picture_of_now(tmp_path: Path, checkout: None) -> None:
    folder = tmp_path / "story"
    process = writing(folder, steps=100_000, hertz=50)
    kernel, client = start_new_kernel(kernel_name="python3", env={**os.environ, "NBLLM_DISPLAY": "widget"})
    try:
        client.execute_interactive(SHOW.format(folder=str(folder)), timeout=60, output_hook=lambda message: None)
        asked = read_status(folder / "status.json").step
        client.shutdown()
        pictures = []
        with contextlib.suppress(queue.Empty):  # the kernel is gone
            while True:
                message = client.get_iopub_msg(timeout=5)
                if message["msg_type"] == "update_display_data":
                    pictures.append(message["content"]["data"])
        assert int(pictures[-1]["text/plain"].split("step ")[1].split(" /")[0]) >= asked
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
        process.terminate()
        process.wait(10)


def test_where_no_page_speaks_the_picture_moves_in_the_widgets_place(tmp_path: Path, checkout: None) -> None:
    folder = tmp_path / "story"
    process = writing(folder, steps=100_000, hertz=20)
    kernel, client = start_new_kernel(kernel_name="python3", env={**os.environ, "NBLLM_DISPLAY": "widget"})
    try:
        shown = client.execute(SHOW.format(folder=str(folder)))
        updates: list[dict[str, Any]] = []
        first = None
        end = time.monotonic() + 60
        while len(updates) < 2 and time.monotonic() < end:
            message = client.get_iopub_msg(timeout=60)
            content = message["content"]
            assert message["msg_type"] != "error", content
            if message["msg_type"] == "display_data" and "text/html" in content["data"]:
                first = content
            if message["msg_type"] == "update_display_data":
                assert message["parent_header"]["msg_id"] == shown
                updates.append(content)
        assert first is not None
        assert len(updates) >= 2
        assert updates[0]["transient"] == first["transient"]
        assert updates[0]["data"]["text/plain"] != updates[1]["data"]["text/plain"]
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
        process.terminate()
        process.wait(10)
