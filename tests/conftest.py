"""What every test stands on: folders of its own, few threads, the order of the tests, a browser or a plain reason.

Nothing of the user's is read or written: the runs, the caches and Jupyter's folders all lie under a temporary folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from nbllm import registry
from nbllm.store.folder import RunFolder
from nbllm.store.status import read_status

THREADS = str(min(2, os.cpu_count() or 1))
ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
STATE: Path | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before any test module imports torch or Jupyter; kernels and workers inherit it.

    They find nbllm on PYTHONPATH, so that it is this checkout that is tested, whatever is installed.
    """
    global STATE
    STATE = Path(tempfile.mkdtemp(prefix="nbllm-tests-"))
    folders = {
        "NBLLM_HOME": "home",
        "NBLLM_RUNS": "runs",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "jupyter-config",
        "JUPYTER_DATA_DIR": "jupyter-data",
        "JUPYTER_RUNTIME_DIR": "jupyter-runtime",
        "XDG_CONFIG_HOME": "config",
        "HF_HOME": "hf",
    }
    os.environ.update({name: str(STATE / folder) for name, folder in folders.items()})
    os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYDEVD_DISABLE_FILE_VALIDATION": "1"})
    os.environ.update({"OMP_NUM_THREADS": THREADS, "MKL_NUM_THREADS": THREADS, "GOMP_SPINCOUNT": "1000"})
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    for name in ("NBLLM_DISPLAY", "NBLLM_QUICK_STEPS", "JPY_SESSION_NAME"):
        os.environ.pop(name, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what tests have left behind, and remove the folders."""
    if STATE is not None:
        end_workers(STATE)
        shutil.rmtree(STATE, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick tests first, then the notebooks, then the browser: a plain fault shows in the first minute. Of several
    processes one begins with the browser, as its tests are long."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    ranks = {"browser": -1 if parallel else 2, "notebooks": 1}
    items.sort(key=lambda item: next((rank for kind, rank in ranks.items() if kind in item.keywords), 0))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several processes (pytest-xdist) one takes all browser tests; the others take a file, or a notebook, at a
    time, so that what its tests share is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            if file.startswith("tests/browser/"):
                return "browser"
            return f"{file} {test.partition('[')[2]}" if file.endswith("test_notebooks.py") else file

    return Together(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A browser test needs a Chromium: without one it is skipped, or fails where NBLLM_REQUIRE_BROWSER=1 demands it."""
    if "browser" in item.keywords and find_browser() is None:
        reason = f"no Chromium on the PATH ({', '.join(BROWSERS)})"
        if os.environ.get("NBLLM_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{reason}, and NBLLM_REQUIRE_BROWSER=1", pytrace=False)
        pytest.skip(reason)


def find_browser() -> str | None:
    """The path of a Chromium or Chrome, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def end_workers(folder: Path) -> None:
    """End the workers that still hold a run under `folder`: a test that failed half-way leaves one training."""
    for path in folder.rglob("status.json"):
        run = RunFolder(path.parent)
        worker = read_status(path).worker
        if worker and worker["pid"] != os.getpid() and run.alive():
            psutil.Process(worker["pid"]).kill()


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for the runs of one test; workers that still train there are ended after it."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("NBLLM_RUNS", str(folder))
    yield folder
    if folder.is_dir() and any(folder.iterdir()):
        end_workers(folder)


@pytest.fixture(autouse=True)
def _own_names() -> Iterator[None]:
    """What a test registers is gone after it."""
    tables = [table for table in vars(registry).values() if isinstance(table, registry.Registry)]
    before = [dict(table._found) for table in tables]
    yield
    for table, found in zip(tables, before, strict=True):
        table._found.clear()
        table._found.update(found)


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    """Threads of torch in this process; workers take theirs from the environment."""
    import torch

    torch.set_num_threads(int(THREADS))


@pytest.fixture(scope="session")
def browser_path() -> str:
    """The Chromium that browser tests drive."""
    path = find_browser()
    assert path is not None, "pytest_runtest_setup lets no browser test come here without one"
    return path
