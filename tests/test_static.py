"""Where no page sits behind the kernel, a run leaves a picture and a table: papermill, and nbconvert to HTML."""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill
import pytest
from nbconvert import HTMLExporter

from tests import kernel

pytestmark = [pytest.mark.notebooks]
CELLS = [
    "%load_ext nbllm",
    "steps = 1",
    "%llm_train poem --data poem.txt --size tiny --layers 1 --width 16 --heads 2 --context 16 --steps {{steps}}",
    "import nbllm\nnbllm.attach('poem').wait()",
    "%llm_runs",
]


def test_papermill_and_nbconvert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_STANDBY", "0")
    (tmp_path / "poem.txt").write_text("床前明月光，疑是地上霜。\n" * 200, encoding="utf-8")
    notebook = kernel.notebook_of(CELLS)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.cells[1].metadata.tags = ["parameters"]
    nbformat.write(notebook, tmp_path / "in.ipynb")
    out = tmp_path / "out.ipynb"
    papermill.execute_notebook(
        tmp_path / "in.ipynb", out, parameters={"steps": 30}, cwd=tmp_path, kernel_name="python3", progress_bar=False
    )
    done = nbformat.read(out, as_version=4)
    assert kernel.data(done, "image/png")
    assert "step 30" in kernel.text(done)
    assert kernel.data(done, "application/vnd.jupyter.widget-view+json") == []
    page, _ = HTMLExporter().from_notebook_node(done)
    assert "data:image/png;base64," in page
    assert page.count("<table") >= 2
    assert "poem" in page
