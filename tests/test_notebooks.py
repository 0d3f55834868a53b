"""Every notebook runs from top to bottom in a real kernel, and what it leaves is small and can be looked at; the pages
beside them hold what they promise."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from PIL import Image

from nbllm.cli import tour
from nbllm.config import parse_yaml, resolve
from nbllm.magics.commands import COMMANDS
from nbllm.magics.layers import config_layers
from nbllm.magics.parse import parse
from tests import kernel

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PAGES = sorted(FOLDER.glob("*.md"))
LESSONS = [file for file in NOTEBOOKS if file.stem[0].isdigit()]
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


def words(file: Path) -> str:
    """All that is written to be read in a notebook or a page."""
    if file.suffix == ".md":
        return file.read_text(encoding="utf-8")
    cells = nbformat.read(file, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("file", LESSONS, ids=lambda file: file.stem)
def test_a_lesson_names_its_sources_and_ends_with_an_exercise(file: Path) -> None:
    before, *last = re.split(r"^## (?:Now you|轮到你了)$", words(file), flags=re.M)
    assert len(last) == 1, "no exercise, or two"
    assert before
    assert re.search(r"^(1\.|- )", last[0], re.M)
    assert re.search(r"(?<!\d)(19|20)\d\d(?!\d)", words(file)), "no source"


@pytest.mark.parametrize("file", [*NOTEBOOKS, *PAGES], ids=lambda file: file.name)
def test_links_lead_somewhere(file: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", words(file))
    assert [link for link in links if "://" not in link and not (FOLDER / link).is_file()] == []


def test_what_stands_beside_keras_can_be_trained() -> None:
    """Every cell and every setting that the page names is one that nbllm has."""
    page = (FOLDER / "from-keras.md").read_text(encoding="utf-8")
    cells = re.findall(r"```python\n%%llm_train(.*?)```", page, re.S)
    assert len(cells) >= 4
    for cell in cells:
        line, _, body = cell.partition("\n")
        resolve(config_layers(parse(COMMANDS["train"], line), body, {})[0])
    settings = re.findall(r"`((?:train|data|objective|model): \{[^`]+\})`", page)
    assert len(settings) >= 8
    for setting in settings:
        resolve([("page", parse_yaml(setting, "page"))])


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
    assert pictures or any(cell.source == "%llm_studio" for cell in executed.cells), "only an application draws nothing"
    for picture in pictures:
        image = Image.open(io.BytesIO(base64.b64decode(picture)))
        assert min(image.size) >= 100
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 8
    assert kernel.data(executed, "application/vnd.jupyter.widget-view+json") == []


def test_it_keeps_a_table_of_what_was_measured(executed: NotebookNode) -> None:
    tables = [shown for shown in kernel.data(executed, "text/html") if "<table" in shown]
    if any("run.metrics[[" in cell.source for cell in executed.cells):
        assert any("loss" in shown for shown in tables)
    elif any("pd.DataFrame" in cell.source for cell in executed.cells):
        assert tables


# The first notebook, which `nbllm demo` leaves as a page: the run's curve at its end, a sample, and the attention.


@pytest.fixture
def first(executed: NotebookNode) -> NotebookNode:
    if not any(cell.source.startswith("%%llm_train first ") for cell in executed.cells):
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
