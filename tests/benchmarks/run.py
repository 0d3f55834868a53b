"""Run and print the benchmarks: `make bench`, or `python -m tests.benchmarks.run [NAME ...]`.

A script tests/benchmarks/NAME.py says in the first line of its docstring what it measures, and has `main()` that gives
its rows as `tests.figures.run` describes them. The rows go to output/benchmarks/NAME.json too, which is not kept in git.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.figures import run as figures


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks named, or all. Returns 1 when one failed, after the others have run."""
    here = Path(__file__).resolve().parent
    known = [name for name in figures.scripts(here, "main") if name != "run"]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run", description="Run the benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scripts of tests/benchmarks; all where none is given")
    failed = []
    for name in figures.chosen(parser.parse_args(arguments).names, known):
        print(f"\n{name}: running ...", flush=True)
        try:
            found = figures.measured("tests.benchmarks", name, "main")
        except subprocess.CalledProcessError:
            failed.append(name)
            continue
        figures.save(found, figures.ROOT / "output" / "benchmarks" / f"{name}.json")
        print(figures.table(found), flush=True)
    if failed:
        print(f"Failed: {', '.join(failed)}. Its own message stands above.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
