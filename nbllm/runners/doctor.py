"""doctor: does the installation fit, what is there to train on, and what to do where something is missing.

It looks at files and versions and imports nothing heavy but torch, and that only to ask for devices.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from importlib import metadata
from pathlib import Path

from nbllm.errors import NbllmError
from nbllm.runners import machine, quota
from nbllm.store.files import folder_size
from nbllm.store.folder import runs_root, user_folder

OK, WARN, FAIL = "ok", "warn", "fail"
_PACKAGES = (
    "torch", "transformers", "ipywidgets", "anywidget", "plotly", "jupyterlab", "pandas", "tokenizers", "safetensors",
)  # fmt: skip
_EXTRAS = {"hub": "datasets", "zh": "jieba", "parquet": "pyarrow"}
_GIB = 2**30


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, how it stands (ok, warn, fail), what was found, what to do."""

    name: str
    state: str
    found: str
    advice: str = ""


@dataclass
class DoctorReport:
    """All findings, as text and as an HTML table."""

    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(check.state != FAIL for check in self.checks)

    @property
    def summary(self) -> str:
        """The whole in one sentence."""
        bad = sum(check.state == FAIL for check in self.checks)
        odd = sum(check.state == WARN for check in self.checks)
        if bad:
            return f"{bad} of {len(self.checks)} checks failed: do what their lines say."
        return f"Ready to train, with {odd} hint{'s' if odd > 1 else ''}." if odd else "Ready to train."

    def __str__(self) -> str:
        width = max((len(check.name) for check in self.checks), default=0)
        lines = [
            f"{check.state:<4}  {check.name:<{width}}  {check.found}{f'  -> {check.advice}' if check.advice else ''}"
            for check in self.checks
        ]
        return "\n".join([*lines, self.summary])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        marks = {OK: ("✓", "ok"), WARN: ("!", "hint"), FAIL: ("✗", "failed")}
        rows = "".join(
            f'<tr><td style="text-align:center" title="{marks[check.state][1]}">'
            f'<span aria-label="{marks[check.state][1]}">{marks[check.state][0]}</span></td>'
            + "".join(
                f'<td style="text-align:left">{escape(text)}</td>' for text in (check.name, check.found, check.advice)
            )
            + "</tr>"
            for check in self.checks
        )
        head = "".join(f'<th scope="col" style="text-align:left">{name}</th>' for name in ("", "what", "found", "do"))
        return (
            f'<p>{escape(self.summary)}</p><table class="nbllm-doctor"><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table>"
        )


def doctor() -> DoctorReport:
    """Look at everything. A check that breaks is itself a finding, so that the others are still seen."""
    report = DoctorReport()
    for look in (_python, _packages, _devices, _processor, _memory, _runs, _cache, _front_end, _fonts, _extras):
        report.checks += _safely(look)
    return report


def _safely(look: Callable[[], list[Check]]) -> list[Check]:
    try:
        return look()
    except NbllmError as error:
        return [Check(look.__name__.strip("_").replace("_", " "), FAIL, error.message, error.advice)]
    except Exception as error:  # whatever is wrong with this machine is what doctor is asked for
        name = look.__name__.strip("_").replace("_", " ")
        return [Check(name, FAIL, f"{type(error).__name__}: {error}", "Install nbllm anew: pip install -U nbllm")]


def _python() -> list[Check]:
    return [Check("Python", OK, f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.prefix}")]


def _packages() -> list[Check]:
    wanted = _requirements()
    return [_package(name, wanted.get(name, "")) for name in _PACKAGES]


def _requirements() -> dict[str, str]:
    """Name to version range of our hard dependencies, as the installed package states them."""
    try:
        lines = metadata.requires("nbllm") or []
    except metadata.PackageNotFoundError:
        return {}
    found = {}
    for line in lines:
        match = re.fullmatch(r"([\w.-]+)\s*([^;]*)", line)
        if match:
            found[match[1].lower()] = match[2].strip()
    return found


def _package(name: str, wanted: str) -> Check:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, FAIL, "not installed", f'Type: pip install "{name}{wanted}"')
    if not _fits(version, wanted):
        return Check(name, FAIL, f"{version}, wanted {wanted}", f'Type: pip install "{name}{wanted}"')
    return Check(name, OK, version)


def _fits(version: str, wanted: str) -> bool:
    """Whether a version lies in a range such as `>=2.9,<3`, the only form in our pyproject. Only the numbers count."""
    have = _numbers(version)
    for part in filter(None, (piece.strip() for piece in wanted.split(","))):
        sign, bound = re.fullmatch(r"(>=|<)\s*(.*)", part).groups()  # type: ignore[union-attr]
        limit = _numbers(bound)
        if (sign == ">=" and have < limit) or (sign == "<" and have >= limit):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"\d+", version.split("+")[0])]
    return tuple([*numbers, 0, 0, 0][:3])


def _devices() -> list[Check]:
    import torch

    if torch.cuda.is_available():
        cards = []
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            cards.append(f"cuda:{index} {card.name} {card.total_memory / _GIB:.0f} GB")
        return [Check("device", OK, ", ".join(cards))]
    if torch.backends.mps.is_available():
        return [Check("device", OK, "mps (Apple)")]
    hint = ""
    if shutil.which("nvidia-smi"):
        hint = "There is an NVIDIA driver but a torch without CUDA: install torch for CUDA (see pytorch.org)."
    return [Check("device", WARN if hint else OK, "cpu", hint)]


def _processor() -> list[Check]:
    count, total = machine.cores(), os.cpu_count() or 1
    share = "" if count == total else f" of {total} (this process's share)"
    hint = "" if count > 1 else "Training and the notebook share one core: use --size tiny."
    return [Check("CPU threads", OK if count > 1 else WARN, f"{count}{share}", hint)]


def _memory() -> list[Check]:
    free, limit = machine.memory_free(), machine.memory_limit()
    found = f"{free / _GIB:.1f} GB free of {limit / _GIB:.1f} GB"
    if free < 1 * _GIB:
        return [Check("memory", FAIL, found, "Shut down other kernels; a run needs about 1 GB.")]
    if free < 3 * _GIB:
        return [Check("memory", WARN, found, "Enough for small runs; no warm worker is kept below 3 GB.")]
    return [Check("memory", OK, found)]


def _runs() -> list[Check]:
    root = runs_root()
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return [Check("runs folder", FAIL, f"{root}: {error.strerror}", "Set another: %config NbLLM.runs = 'FOLDER'")]
    free = shutil.disk_usage(there).free
    found = f"{root}, {free / _GIB:.1f} GB free"
    if free < _GIB:
        return [Check("runs folder", WARN, found, "Make room: %llm_runs --prune")]
    if nearly_full := quota.note():
        return [Check("runs folder", WARN, found, nearly_full)]
    return [Check("runs folder", OK, found)]


def _cache() -> list[Check]:
    folder = user_folder("tokens")
    size = folder_size(folder) / 2**20
    hint = f"Old tokens may be deleted: {folder}" if size > 5000 else ""
    return [Check("token cache", WARN if hint else OK, f"{size:,.0f} MB in {folder}", hint)]


def _front_end() -> list[Check]:
    return [_front_end_kind(), *(_extension(*each) for each in (
        ("live widgets", "@jupyter-widgets/jupyterlab-manager", "jupyterlab_widgets"),
        ("live charts", "anywidget", "anywidget"),
    ))]  # fmt: skip


def _front_end_kind() -> Check:
    if os.environ.get("NBLLM_DISPLAY"):
        return Check("front end", OK, f"display set to {os.environ['NBLLM_DISPLAY']}")
    if os.environ.get("JPY_SESSION_NAME"):
        return Check("front end", OK, "a notebook of Jupyter")
    if any(name in os.environ for name in ("VSCODE_PID", "VSCODE_CWD")):
        return Check("front end", OK, "VS Code")
    if "google.colab" in sys.modules:
        return Check("front end", OK, "Colab")
    if "ipykernel" in sys.modules:
        return Check("front end", OK, "a kernel without a page: dashboards are HTML")
    return Check("front end", OK, "a terminal: dashboards are lines of text")


def _extension(name: str, extension: str, package: str) -> Check:
    """Whether the front end's part of a widget library lies where JupyterLab looks."""
    roots = [Path(sys.prefix), Path(sys.base_prefix), Path.home() / ".local", Path("/usr/local"), Path("/usr")]
    named = [Path(part) for part in os.environ.get("JUPYTER_PATH", "").split(os.pathsep) if part]
    folders = [place / "labextensions" / extension for place in (*named, *(root / "share/jupyter" for root in roots))]
    found = next((folder for folder in folders if (folder / "package.json").is_file()), None)
    if found:
        return Check(name, OK, extension)
    advice = f"Install it where JupyterLab runs: pip install {package}, then reload the page."
    return Check(name, WARN, f"no {extension} beside this Python", advice)


def _fonts() -> list[Check]:
    folders = [
        Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".fonts",
        Path.home() / ".local/share/fonts", Path("/System/Library/Fonts"), Path("/Library/Fonts"),
        Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts",
    ]  # fmt: skip
    pattern = re.compile(
        r"cjk|wqy|pingfang|msyh|simsun|heiti|songti|sourcehan|droidsansfallback|uming|ukai", re.IGNORECASE
    )
    for folder in folders:
        for _, _, names in os.walk(folder):
            for name in names:
                if pattern.search(name) and name.lower().endswith((".ttf", ".ttc", ".otf")):
                    return [Check("Chinese in pictures", OK, name)]
    advice = "Install a font such as Noto Sans CJK (Debian: apt install fonts-noto-cjk)."
    return [Check("Chinese in pictures", WARN, "no font with Chinese found", advice)]


def _extras() -> list[Check]:
    missing = [extra for extra, package in _EXTRAS.items() if importlib.util.find_spec(package) is None]
    if not missing:
        return [Check("extras", OK, ", ".join(_EXTRAS))]
    return [
        Check("extras", OK, f"without {', '.join(missing)}", f'Where wanted: pip install "nbllm[{",".join(missing)}]"')
    ]
