"""The project as a whole: dependencies, layers, what an import costs, public names, the wheel, the files."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import pkgutil
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nbllm

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = ROOT / "nbllm"
MODULES = sorted(m.name for m in pkgutil.walk_packages([str(PACKAGE)], "nbllm.") if not m.name.endswith("__main__"))
HEAVY = ("torch", "transformers", "pandas", "plotly", "ipywidgets", "IPython")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=240)


def requirements() -> set[str]:
    """Names of the hard dependencies."""
    return {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}


def tracked() -> list[Path]:
    """The files of the project: what git knows, and what it would take in."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


# Dependencies


@pytest.mark.parametrize("name", ["torch", "ipywidgets", "jupyterlab", "transformers", "plotly", "pandas", "anywidget"])
def test_package_of_the_mission_is_a_hard_dependency(name: str) -> None:
    assert name in requirements()


def test_everything_imported_is_declared() -> None:
    """What `nbllm` imports comes with its dependencies or with an extra, never by luck of this environment."""
    declared = requirements()
    for extra in ("hub", "zh", "parquet"):
        declared |= {canonicalize_name(Requirement(line).name) for line in PROJECT["optional-dependencies"][extra]}
    owners = importlib.metadata.packages_distributions()
    missing = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for top in {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"nbllm", "google"}:
                if not {canonicalize_name(owner) for owner in owners.get(top, [top])} & declared:
                    missing.add(f"{top} ({file.relative_to(ROOT)})")
    assert not missing, "imported and not in pyproject.toml: " + ", ".join(sorted(missing))


def test_every_extra_that_a_refusal_names_is_there() -> None:
    named = {
        found
        for file in PACKAGE.rglob("*.py")
        for found in re.findall(r'\brequire\("[\w.]+", (?:extra=)?"(\w+)"', file.read_text(encoding="utf-8"))
    }
    assert {"hub", "lora", "umap"} <= named <= set(PROJECT["optional-dependencies"])


def test_the_pins_are_portable_and_hold_every_dependency() -> None:
    lines = (ROOT / "binder" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    wanted = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) and pin.url is None for pin in pins)
    for need in wanted:
        if canonicalize_name(need.name) == "nbllm":
            continue
        found = [pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(need.name)]
        assert found, f"{need.name} is not pinned: make pin"
        assert all(need.specifier.contains(str(pin.specifier)[2:]) for pin in found), f"{need} and {found[0]}"


def test_a_binder_installs_the_same_torch() -> None:
    pin = re.search(r"^torch==\S+$", (ROOT / "binder" / "constraints.txt").read_text(encoding="utf-8"), re.M)
    assert pin is not None
    assert pin[0] in (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()


# Layers and imports


def test_layers_hold() -> None:
    done = run(sys.executable, "-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())")
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_is_light() -> None:
    done = run(sys.executable, "-c", f"import sys, nbllm; print([m for m in {HEAVY} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_packages_are_light() -> None:
    """Opening any package of nbllm brings no heavy library: only the modules in it that need one do."""
    packages = [m.name for m in pkgutil.walk_packages([str(PACKAGE)], "nbllm.") if m.ispkg]
    code = (
        "import importlib, sys\n"
        f"for name in {packages}:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'torch', 'transformers'} & set(sys.modules), name\n"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", MODULES)
def test_module_imports(name: str) -> None:
    importlib.import_module(name)


def test_every_public_name_resolves() -> None:
    """After every module is imported: a submodule of the same name would by now hide a function."""
    for name in MODULES:
        importlib.import_module(name)
    assert nbllm.__all__ == sorted(nbllm.__all__)
    assert len(set(nbllm.__all__)) == len(nbllm.__all__)
    for name in nbllm.__all__:
        assert getattr(nbllm, name) is not None
        assert name in dir(nbllm)


def test_no_public_name_is_a_subpackage() -> None:
    inside = {module.name for module in pkgutil.iter_modules([str(PACKAGE)])}
    assert set(nbllm.__all__) & inside <= {"tasks", "models", "objectives", "metrics", "callbacks"}


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_carries_code_widgets_and_notebooks(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    code = {f.relative_to(ROOT).as_posix() for f in PACKAGE.rglob("*.py")}
    widgets = {f"nbllm/_widgets/{f.relative_to(ROOT / 'widgets').as_posix()}" for f in files_in("widgets")}
    notebooks = {f"nbllm/_notebooks/{f.relative_to(ROOT / 'notebooks').as_posix()}" for f in files_in("notebooks")}
    assert "nbllm/_notebooks/01-first-model.ipynb" in notebooks
    assert any(name.endswith(".js") for name in widgets)
    assert code | widgets | notebooks <= names
    assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]


def test_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    text = wheel.read(next(n for n in wheel.namelist() if n.endswith("METADATA"))).decode()
    assert f"Name: nbllm\nVersion: {PROJECT['version']}\n" in text
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_sdist_carries_all_that_a_wheel_is_made_of(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    parts = ("nbllm", "widgets", "notebooks", "tests", "figures", "binder")
    wanted = {f.relative_to(ROOT).as_posix() for part in parts for f in files_in(part)}
    assert wanted | {"CITATION.cff", "CHANGELOG.md", "LICENSE", "README.md"} <= names
    assert not [name for name in names if name.startswith(("runs/", "notebooks/runs/", "output/", ".venv/"))]


def files_in(folder: str) -> list[Path]:
    """Tracked files of a folder."""
    return [f for f in tracked() if f.is_relative_to(ROOT / folder)]


# The files


def test_notebooks_hold_no_output() -> None:
    for file in files_in("notebooks"):
        if file.suffix != ".ipynb":
            continue
        notebook = json.loads(file.read_text(encoding="utf-8"))
        assert notebook["metadata"]["kernelspec"]["name"] == "python3"
        assert "widgets" not in notebook["metadata"]
        ids = [cell["id"] for cell in notebook["cells"]]
        assert len(set(ids)) == len(ids)
        for cell in notebook["cells"]:
            assert cell["cell_type"] == "markdown" or (cell["outputs"] == [] and cell["execution_count"] is None)


def test_no_file_is_large() -> None:
    assert [str(f.relative_to(ROOT)) for f in tracked() if f.stat().st_size > 1_000_000] == []


def test_no_file_names_somebodys_folder_or_a_registry() -> None:
    """A path of one machine, or a registry's address, works nowhere else."""
    homes = "|".join(["root", "work", r"home/\w+", r"Users/\w+", "opt/wheels", "opt/pypi"])
    places = re.compile(rf"""(?<![\w.~-])/({homes})/|C:\\Users\\\w""")
    hosts = re.compile(r"\b(pypi|files\.pythonhosted|registry\.npmjs|deb\.debian)\.org\b")
    found = []
    for file in tracked():
        if file == Path(__file__) or b"\0" in (content := file.read_bytes())[:8000]:
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
            if places.search(line) or hosts.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_scripts_are_executable() -> None:
    for name in (".ci/run", "binder/postBuild"):
        assert (ROOT / name).stat().st_mode & 0o111 or sys.platform == "win32"
        assert (ROOT / name).read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
