"""Run and print the benchmarks: `make bench`, or `python -m tests.benchmarks.run [NAME ...]`.

A script tests/benchmarks/NAME.py is called as `python -m tests.benchmarks.NAME OUT.json` in a process of its own: its
`main()` measures, prints a table and writes its figures as JSON. They go to output/benchmarks/, which is not in git.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.figures.run import ROOT, chosen, scripts


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks named, or all. Returns 1 when one failed, after the others have run."""
    known = [name for name in scripts(Path(__file__).resolve().parent, "main") if name != "run"]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run", description="Run the benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scripts of tests/benchmarks; all where none is given")
    folder = ROOT / "output" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    failed = []
    for name in chosen(parser.parse_args(arguments).names, known):
        print(f"\n{name}: running ...", flush=True)
        command = [sys.executable, "-m", f"tests.benchmarks.{name}", str(folder / f"{name}.json")]
        if subprocess.run(command, cwd=ROOT, env=env, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}. Its own message stands above.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
