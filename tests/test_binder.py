"""What a Binder, a release and a citation are made of hangs together; `make figures ARGS=binder` performs the steps."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from binder import badges
from nbllm.cli import main, tour
from nbllm.cli.table import COMMANDS
from nbllm.magics.layers import config_layers
from nbllm.magics.parse import from_arguments, parse
from tests.figures.box import Box

ROOT = Path(__file__).resolve().parent.parent
BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
on_posix = pytest.mark.skipif(os.name == "nt", reason="a Binder is Linux")


def lines(file: str) -> list[str]:
    """What a file of binder/ says, without comments and empty lines."""
    found = (BINDER / file).read_text(encoding="utf-8").splitlines()
    return [line for line in found if line.strip() and not line.startswith("#")]


def test_requirements_name_torch_and_its_index_alone() -> None:
    """Installed before the project is copied; torch's pin is checked with the constraints."""
    assert [line.split()[0].partition("==")[0] for line in lines("requirements.txt")] == ["--extra-index-url", "torch"]
    assert lines("runtime.txt") == ["python-3.11"]
    assert all(re.fullmatch(r"[a-z0-9.+-]+", line) for line in lines("apt.txt"))


def test_post_build_installs_what_there_is() -> None:
    install = next(line for line in lines("postBuild") if "pip install" in line)
    extras = re.search(r"\.\[([\w,]+)\]", install)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
    assert "-c binder/constraints.txt" in install
    assert f"first=notebooks/{tour.FIRST}" in lines("postBuild")
    assert lines("postBuild")[0].startswith("set -e")


def test_post_build_trains_by_commands_that_are_understood() -> None:
    trained = [shlex.split(line) for line in lines("postBuild") if line.startswith("nbllm ")]
    assert trained
    for _, name, *words in trained:
        parsed = parse(COMMANDS[name][0], list(from_arguments(words)))
        assert config_layers(parsed, "", {})
        assert parsed.names


@on_posix
def test_start_sets_the_folder_of_runs_and_starts_what_it_is_given(tmp_path: Path) -> None:
    assert lines("start")[-1] == 'exec "$@"'
    code = "import os, sys; print(os.environ['NBLLM_RUNS'], os.environ['NBLLM_STANDBY'], *sys.argv[1:])"
    call = [str(BINDER / "start"), sys.executable, "-c", code, "a b", "c"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{ROOT / 'runs'} 0 a b c\n"


@on_posix
def test_a_box_measures_and_holds_its_limit(tmp_path: Path) -> None:
    """The box in which the steps are performed."""
    env = {**os.environ, "PYTHONPATH": ""}

    def fill(megabytes: int) -> list[str]:
        code = f"x = b'1' * {megabytes * 1_000_000}; import time; time.sleep(0.5)"
        return [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"]

    with Box(400, cores={0}) as box:
        took = box.run(fill(100), tmp_path, env)
        assert 100 < took.megabytes < 200
        assert 0 <= took.processor < took.seconds
        with pytest.raises(RuntimeError, match="ended with 3"):
            box.run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, env)
    with Box(100) as box:
        tight = [sys.executable, "-c", "x = b'1' * 300_000_000; import time; time.sleep(5)"]
        with pytest.raises(RuntimeError, match=r"over its memory|ended with -9"):
            box.run(tight, tmp_path, env)


# The address, the badges, the citation, the release


def test_the_address_is_one_setting() -> None:
    address = badges.address()
    assert re.fullmatch(r"https://[\w.-]+/[\w-]+/[\w-]+", address)
    assert all(url.startswith(address) for url in PROJECT["urls"].values())
    assert badges.rewrite(README, address) == README, "type: python binder/badges.py"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert badges.cite(citation, address) == citation, "type: python binder/badges.py"
    elsewhere = badges.rewrite(README, "https://example.org/some/fork")
    assert "mybinder.org/v2/gh/some/fork/" in elsewhere
    assert "example.org" in badges.cite(citation, "https://example.org/some/fork")


def test_the_badges_lead_to_notebooks() -> None:
    to = badges.links("https://example.org/owner/name")
    assert to["binder"] == f"https://mybinder.org/v2/gh/owner/name/main?labpath=notebooks%2F{tour.FIRST}"
    assert to["studio"].endswith("/main?urlpath=voila%2Frender%2Fnotebooks%2Fstudio.ipynb")
    assert to["colab"].endswith(f"/github/owner/name/blob/main/notebooks/{tour.FIRST}")
    assert f"notebooks/{tour.FIRST}" == badges.FIRST
    assert (ROOT / badges.STUDIO).is_file()
    assert all(link in README for link in badges.links(badges.address()).values())


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["title"] == PROJECT["name"]


def test_a_release_keeps_no_secret() -> None:
    """It publishes by trusted publishing, from a tag, what one job has built and tried."""
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    release = yaml.safe_load(text)
    publish = release["jobs"]["publish"]
    assert release[True] == {"push": {"tags": ["v*"]}}  # YAML reads `on` as true
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == "build"
    assert "secrets." not in text
    assert main(["--version"]) == 0
