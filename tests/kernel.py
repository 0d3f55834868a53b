"""Run a notebook in a real Jupyter kernel, as `nbllm demo`, papermill and nbconvert do: no page, so no live widget."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
from nbformat import NotebookNode

QUICK_STEPS = "40"  # NBLLM_QUICK_STEPS cuts every budget to so many steps
CELL_SECONDS = 240


def execute(notebook: NotebookNode, folder: Path, seconds: int = CELL_SECONDS) -> NotebookNode:
    """The notebook with its outputs, run in `folder`, a cell for so many seconds at most.

    Raises CellExecutionError with the failing cell's own words.
    """
    client = nbclient.NotebookClient(
        notebook, timeout=seconds, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute()


def notebook_of(cells: list[str]) -> NotebookNode:
    """A notebook with these code cells."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    """All outputs of a notebook, in order."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def data(notebook: NotebookNode, mime: str) -> list[str]:
    """Everything displayed with this type."""
    return [output["data"][mime] for output in outputs(notebook) if mime in output.get("data", {})]


def text(notebook: NotebookNode) -> str:
    """Everything shown as plain text."""
    shown = [output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs(notebook)]
    return "\n".join(shown)
