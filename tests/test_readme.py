"""The README's commands work: its Python and magics run in a kernel, in order; its shell lines are run or checked.

What would install gigabytes or open a browser is checked without being run: a make target by `make -n`, a pip line by
its files, extras and pins, `nbllm demo` and `nbllm lab` by their help (CI runs `make test`; the first notebook, that
`nbllm demo` executes, has a test of its own).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import kernel
from tests.figures.run import rewrite

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "README.md"
README = FILE.read_text(encoding="utf-8") if FILE.is_file() else ""
TARGETS = ("setup", "demo", "lab", "test", "figures", "bench")
OPENS_OR_LASTS = ("demo", "lab")
INDEXES = ("https://download.pytorch.org/whl/",)


def blocks(*languages: str) -> list[str]:
    """The contents of the README's fenced blocks in these languages."""
    found = re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", README, re.M | re.S)
    return [content for language, content in found if language in languages]


def shell_lines() -> list[str]:
    """Every command of the README's shell blocks, once: comments off, continued lines joined, `&&` parted."""
    lines = []
    for block in blocks("sh", "bash", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"(^|\s)#.*", "", line.removeprefix("$ "))
            lines += [part.strip() for part in command.split("&&") if part.strip()]
    return list(dict.fromkeys(lines))


def program(line: str) -> str:
    """What a line calls, without its folder: `.venv/bin/pip install x` calls pip."""
    return re.split(r"[/\\]", line.split()[0])[-1]


LINES = shell_lines()


def starting(name: str) -> list[str]:
    """The shell lines that call this program."""
    return [line for line in LINES if program(line) == name]


def test_the_readme_names_every_target() -> None:
    named = {word for line in starting("make") for word in shlex.split(line)[1:] if "=" not in word}
    assert set(TARGETS) <= named


def test_every_shell_line_is_known_to_these_tests() -> None:
    """A line of a new kind needs a check of its own here."""
    known = {"make", "pip", "python", "python3", "nbllm", "git", "cd", "source", ".", "activate", "bash"}
    known |= {"ruff", "mypy", "lint-imports", "pytest", "pre-commit"}
    assert [line for line in LINES if program(line) not in known] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this system")
@pytest.mark.parametrize("line", starting("make"))
def test_make_line(line: str) -> None:
    done = subprocess.run([*shlex.split(line), "-n"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this system")
def test_make_help_lists_the_targets() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    listed = re.findall(r"^  (\w+) ", done.stdout, re.M)
    assert {*TARGETS, "help"} <= set(listed)


@pytest.mark.parametrize("line", [line for line in LINES if "pip install" in line])
def test_pip_line(line: str) -> None:
    """Its files exist, its extras are ours, its index is PyTorch's, and a pinned torch is the tested one."""
    words = shlex.split(line)
    words = words[words.index("install") + 1 :]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    takes_value = {"-c", "-r", "--constraint", "--index-url", "--extra-index-url"}
    for option, value in zip(words, [*words[1:], ""], strict=True):
        if option in ("-c", "-r", "--constraint"):
            assert (ROOT / value).is_file()
        elif option in ("--index-url", "--extra-index-url"):
            assert value.startswith(INDEXES)
    places = [w for before, w in zip(["", *words], words, strict=False) if before not in takes_value]
    for place in (p for p in places if not p.startswith("-")):
        found = re.fullmatch(r"(\.|nbllm|torch|pip|uv)(?:\[([\w,]+)\])?(==[\w.]+)?", place)
        assert found, f"{place}: teach this test about it"
        assert set((found[2] or "").split(",")) - {""} <= set(extras)
        if found[1] == "torch" and found[3]:
            assert f"torch{found[3]}\n" in (ROOT / "binder" / "constraints.txt").read_text(encoding="utf-8")


@pytest.mark.skipif(not README, reason="README.md is not written yet")
def test_the_pip_lines_do_what_make_does() -> None:
    """For people without make: an environment, torch, nbllm with the pins, and the tests' extras."""
    pip = " ; ".join(line for line in LINES if "pip install" in line)
    assert any(re.search(r"-m venv \.venv", line) for line in LINES)
    assert "torch" in pip
    assert "-c binder/constraints.txt" in pip
    assert ".[test]" in pip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all of the README: the terminal finds what the notebook trained."""
    return tmp_path_factory.mktemp("readme")


def surroundings(place: Path) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    extra = {"NBLLM_RUNS": str(place / "runs"), "NBLLM_QUICK_STEPS": kernel.QUICK_STEPS, "PYTHONUTF8": "1"}
    return {**os.environ, **extra, "PATH": scripts + os.pathsep + os.environ.get("PATH", "")}


@pytest.mark.notebooks
@pytest.mark.timeout(900)  # a training or two a block
def test_the_python_blocks_run_in_order(place: Path) -> None:
    cells = blocks("python", "ipython", "py")
    assert cells, "README.md has no ```python block"
    (place / "input.txt").write_text("To be, or not to be, that is the question:\n" * 400, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in surroundings(place).items():
            patch.setenv(name, value)
        executed = kernel.execute(kernel.notebook_of(cells), place)
    assert [output for output in kernel.outputs(executed) if output.output_type == "error"] == []


@pytest.mark.notebooks
@pytest.mark.parametrize("line", starting("nbllm"))
def test_terminal_line(line: str, place: Path) -> None:
    """Runs after the blocks above, in the same folder."""
    words = shlex.split(line)
    if len(words) > 1 and words[1] in OPENS_OR_LASTS:
        words = [*words[:2], "--help"]
    command = [sys.executable, "-c", "from nbllm.cli import main; raise SystemExit(main())", *words[1:]]
    done = subprocess.run(
        command, cwd=place, env=surroundings(place), capture_output=True, encoding="utf-8", timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tables_are_written_from_the_figures() -> None:
    """No figure that no command prints: every marked table is what `make figures` writes from figures/NAME.json."""
    marked = re.findall(r"<!-- figures:([\w-]+) -->", README)
    assert [name for name in marked if not (ROOT / "figures" / f"{name}.json").is_file()] == []
    assert rewrite(README, ROOT / "figures") == README


def test_every_link_into_the_project_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", README)
    inside = [t for t in targets if not re.match(r"\w+://|mailto:", t)]
    assert [target for target in inside if not (ROOT / target).exists()] == []
