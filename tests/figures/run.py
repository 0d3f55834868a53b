"""Measure what the README's tables show: `make figures`, or `python -m tests.figures.run [--again] [NAME ...]`.

A script tests/figures/NAME.py says in the first line of its docstring what its table shows, and has

    measure() -> list of rows, each a dict from column name to a number or a text

Each script runs in a process of its own, so that one's memory, threads and faults are not another's, and its rows go to
figures/NAME.json with the date, the commit and the machine. What was measured today or at this commit is not measured
again, so an interrupted call goes on where it stopped. Every call writes the README's tables anew from the files,
between the lines `<!-- figures:NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent
Row = dict[str, Any]


def scripts(folder: Path, entry: str) -> list[str]:
    """Names of the scripts in a folder that define `entry`, sorted."""
    return sorted(
        f.stem for f in folder.glob("*.py") if re.search(rf"^def {entry}\(", f.read_text(encoding="utf-8"), re.M)
    )


def chosen(names: list[str], known: list[str]) -> list[str]:
    """The scripts asked for, or all; ends the program with one line for a name that is none."""
    wrong = [name for name in names if name not in known]
    if wrong:
        sys.exit(f"There is no script '{wrong[0]}'. Known: {', '.join(known) or 'none yet'}.")
    return names or known


def measured(package: str, name: str, entry: str) -> dict[str, Any]:
    """Run one script in its own process: its rows with title, date, commit, machine and seconds."""
    code = (
        "import importlib, inspect, json, sys; sys.stdout, out = sys.stderr, sys.stdout; "
        f"m = importlib.import_module('{package}.{name}'); rows = m.{entry}() or []; "
        "json.dump({'title': (inspect.getdoc(m) or '').partition('\\n')[0], 'rows': rows}, out, ensure_ascii=False)"
    )
    start = time.perf_counter()
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    seconds = round(time.perf_counter() - start, 1)
    return {"name": name, **json.loads(done.stdout), "seconds": seconds, **circumstances()}


def circumstances() -> dict[str, Any]:
    """When, at which commit, on what."""
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "jupyterlab", "ipykernel")}
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": {
            "system": platform.system(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            **versions,
        },
    }


def commit() -> str:
    """The short name of the commit that is checked out; empty where there is none."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def is_done(file: Path) -> bool:
    """Whether a file of figures is of today or of this commit."""
    if not file.is_file():
        return False
    found = json.loads(file.read_text(encoding="utf-8"))
    return found["date"] == datetime.date.today().isoformat() or (found["commit"] != "" and found["commit"] == commit())


def save(figures: dict[str, Any], file: Path) -> None:
    """Write a file of figures whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".tmp")
    beside.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(file)


def table(figures: dict[str, Any]) -> str:
    """The rows as a Markdown table, with a line that says when and by which command they were made."""
    machine = figures["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores"
    note = f"{figures['title'].rstrip('.')}. Measured {figures['date']} on {where}."
    return "\n".join([note, "", markdown(figures["rows"])] if any(figures["rows"]) else [note])


def markdown(rows: list[Row]) -> str:
    """The rows as a Markdown table, a column for each of their keys."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    right = {c for c in columns if all(_is_number(row.get(c)) or row.get(c) is None for row in rows)}
    lines = [
        "| " + " | ".join(columns) + " |",
        "| " + " | ".join("---:" if c in right else "---" for c in columns) + " |",
        *("| " + " | ".join(_cell(row.get(c)) for c in columns) + " |" for row in rows),
    ]
    return "\n".join(lines)


def rewrite(readme: str, folder: Path) -> str:
    """The README's text with every marked table written from its file; a table without a file yet stays as it is."""

    def fill(found: re.Match[str]) -> str:
        file = folder / f"{found[1]}.json"
        if not file.is_file():
            return found[0]
        content = table(json.loads(file.read_text(encoding="utf-8")))
        return f"<!-- figures:{found[1]} -->\n{content}\n<!-- end -->"

    return re.sub(r"<!-- figures:([\w-]+) -->\n.*?<!-- end -->", fill, readme, flags=re.S)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    """A value as a reader wants it: three digits that count, thousands parted."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _processor() -> str:
    """The processor's name; on Linux `platform` knows only its family."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.M)
        if found:
            return " ".join(found[1].split())
    return platform.processor() or platform.machine()


def main(arguments: list[str] | None = None) -> int:
    """Measure, save, write the tables. Returns 1 when a script failed, after the others have run."""
    parser = argparse.ArgumentParser(prog="python -m tests.figures.run", description="Measure the README's tables.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scripts of tests/figures; all where none is given")
    parser.add_argument("--again", action="store_true", help="measure also what is already measured")
    options = parser.parse_args(arguments)
    folder = ROOT / "figures"
    failed = []
    for name in chosen(options.names, scripts(SCRIPTS, "measure")):
        file = folder / f"{name}.json"
        if is_done(file) and not options.again:
            print(f"{name}: measured already (figures/{name}.json)")
            continue
        print(f"{name}: measuring ...", flush=True)
        try:
            save(measured("tests.figures", name, "measure"), file)
        except subprocess.CalledProcessError:
            failed.append(name)
            continue
        print(table(json.loads(file.read_text(encoding="utf-8"))), flush=True)
    readme = ROOT / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        written = rewrite(text, folder)
        if written != text:
            readme.write_text(written, encoding="utf-8")
            print("README.md: tables written")
    if failed:
        print(f"Failed: {', '.join(failed)}. Its own message stands above.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
