"""Every notebook runs from top to bottom in a real kernel, and what it leaves is small and can be looked at."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from PIL import Image

from nbllm.cli import tour
from tests import kernel

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(900)]  # a training a family


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda file: file.stem)
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    """A notebook run in an empty folder, with its budgets cut; a cell that fails fails every test of it."""
    folder = tmp_path_factory.mktemp(request.param.stem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_QUICK_STEPS", kernel.QUICK_STEPS)
        patch.setenv("NBLLM_RUNS", str(folder / "runs"))
        return kernel.execute(nbformat.read(request.param, as_version=4), folder)


def test_the_tour_begins_with_a_first_model() -> None:
    assert NOTEBOOKS[0].stem == tour.FIRST.removesuffix(".ipynb")


def test_every_cell_ran(executed: NotebookNode) -> None:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert [output for output in kernel.outputs(executed) if output.output_type == "error"] == []


def test_nothing_is_said_in_red(executed: NotebookNode) -> None:
    """A beginner's first notebook shows no warning of some library."""
    said = [output.text for output in kernel.outputs(executed) if output.get("name") == "stderr"]
    assert said == []


def test_it_saves_small(executed: NotebookNode) -> None:
    assert len(nbformat.writes(executed).encode()) < 300_000


def test_it_keeps_a_picture(executed: NotebookNode) -> None:
    """Pictures with something drawn in them, and no widget that is dead outside this kernel."""
    pictures = kernel.data(executed, "image/png")
    assert pictures
    for picture in pictures:
        image = Image.open(io.BytesIO(base64.b64decode(picture)))
        assert min(image.size) >= 100
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 8
    assert kernel.data(executed, "application/vnd.jupyter.widget-view+json") == []


def test_it_keeps_a_table(executed: NotebookNode) -> None:
    assert any("<table" in shown and "loss" in shown for shown in kernel.data(executed, "text/html"))


# The first notebook, which `nbllm demo` leaves as a page: the run's curve at its end, a sample, and the attention.


@pytest.fixture
def first(executed: NotebookNode) -> NotebookNode:
    if not any(cell.source.startswith("%%llm_train first") for cell in executed.cells):
        pytest.skip("another notebook")
    return executed


def cell_with(notebook: NotebookNode, words: str) -> NotebookNode:
    """A notebook with only the code cell that holds these words."""
    found = [cell for cell in notebook.cells if cell.cell_type == "code" and words in cell.source]
    assert len(found) == 1, words
    return nbformat.v4.new_notebook(cells=found)


def test_first_keeps_the_curve_of_the_finished_run(first: NotebookNode) -> None:
    """The display under the training cell is updated by its id, the last time when the run has ended."""
    cell = cell_with(first, "%%llm_train first")
    assert f"step {kernel.QUICK_STEPS}" in kernel.text(cell)
    assert kernel.data(cell, "image/png")


def test_first_goes_on_at_once_and_waits_where_it_says_so(first: NotebookNode) -> None:
    assert "2 + 2 = 4" in kernel.text(cell_with(first, "2 + 2"))
    assert f"finished, after {kernel.QUICK_STEPS} steps" in kernel.text(cell_with(first, "run.wait()"))


def test_first_writes_text(first: NotebookNode) -> None:
    assert len(kernel.text(cell_with(first, "%llm_generate"))) > 100


def test_first_shows_attention(first: NotebookNode) -> None:
    """As a picture: a page made from the notebook has no script to draw a Plotly figure."""
    assert kernel.data(cell_with(first, ".attention("), "image/png")
