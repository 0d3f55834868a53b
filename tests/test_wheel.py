"""The wheel, installed where nothing of the checkout can be seen, copies the tour and trains the first notebook."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clean import ROOT, Clean

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    return Clean(tmp_path_factory.mktemp("clean"))


def test_it_is_the_wheel_that_is_used(clean: Clean) -> None:
    found = json.loads(
        clean.python(
            "import json, sys, nbllm; from importlib.metadata import version; from nbllm.dashboards import frontend; "
            "print(json.dumps([nbllm.__file__, version('nbllm'), str(frontend.folder()), sys.path]))"
        )
    )
    file, version, front_end, paths = found
    assert not Path(file).is_relative_to(ROOT / "nbllm")
    assert str(ROOT) not in paths
    assert clean.nbllm("--version").strip() == f"nbllm {version}"
    assert Path(front_end) == Path(file).parent / "_widgets"
    assert (Path(file).parent / "py.typed").is_file()


def test_the_first_notebook_runs(clean: Clean) -> None:
    said = clean.nbllm("tour", "lessons")
    ours = {file.name for file in (ROOT / "notebooks").glob("*.ipynb")}
    assert {file.name for file in (clean.work / "lessons").glob("*.ipynb")} == ours
    assert "Copied" in said
    clean.nbllm("demo", "--output", "out")
    page = next((clean.work / "out").glob("*.html")).read_text(encoding="utf-8")
    assert "image/png" in page
    assert (clean.work / "runs" / "first" / "status.json").is_file()
