"""What a notebook waits for before its first cell can use nbllm: `import nbllm`, and `%load_ext nbllm`.

    python -m tests.benchmarks.imports [OUT.json] [--repeats 9]

Each in a fresh process of its own, timed inside of it, after Python (and for the second IPython, with its shell) is up;
these and `import numpy`, as a yardstick of the machine, take turns. Goals: 0.3 and 0.5 seconds, and no torch, pandas
or transformers loaded by then. Medians, with the range.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.figures.run import ROOT, circumstances

_TOLD = "print(seconds, *sorted({'torch', 'pandas', 'transformers'} & set(loaded)))"
CODES = {
    "import numpy": f"""
import sys, time
start = time.perf_counter()
import numpy
seconds, loaded = time.perf_counter() - start, ()
{_TOLD}
""",
    "import nbllm": f"""
import sys, time
start = time.perf_counter()
import nbllm
seconds, loaded = time.perf_counter() - start, set(sys.modules)
{_TOLD}
""",
    "import nbllm; nbllm.train": f"""
import sys, time
start = time.perf_counter()
import nbllm
nbllm.train
seconds, loaded = time.perf_counter() - start, set(sys.modules)
{_TOLD}
""",
    "%load_ext nbllm": f"""
import sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
start = time.perf_counter()
shell.run_line_magic("load_ext", "nbllm")
seconds, loaded = time.perf_counter() - start, set(sys.modules)
{_TOLD}
""",
}
GOALS = {"import nbllm": 0.3, "%load_ext nbllm": 0.5}


def measure(repeats: int) -> list[dict[str, Any]]:
    """A row each."""
    taken: dict[str, list[float]] = {name: [] for name in CODES}
    heavy: dict[str, set[str]] = {name: set() for name in CODES}
    for _ in range(repeats):
        for name, code in CODES.items():
            done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
            seconds, *found = done.stdout.split()
            taken[name].append(float(seconds))
            heavy[name].update(found)
    return [
        {
            "what": name,
            "seconds": round(statistics.median(values), 3),
            "lowest": round(min(values), 3),
            "highest": round(max(values), 3),
            "goal": GOALS.get(name),
            "loaded by then": ", ".join(sorted(heavy[name])),
        }
        for name, values in taken.items()
    ]


def main() -> None:
    """Measure, print, and write the figures where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    rows = measure(arguments.repeats)
    for each in rows:
        print("  ".join(f"{key} {value}" for key, value in each.items()))
    if arguments.out:
        arguments.out.write_text(json.dumps({"rows": rows, "protocol": __doc__, **circumstances()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
