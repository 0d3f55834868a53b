"""What a notebook waits for before its first cell can use nbllm: `import nbllm`, and `%load_ext nbllm`.

    python -m tests.benchmarks.imports [OUT.json] [--repeats 9]

Each in a fresh process of its own, timed inside of it, after Python (and for the second IPython, with its shell) is up;
these and `import numpy`, as a yardstick of the machine, take turns. Goals: 0.3 and 0.5 seconds, and no torch, pandas
or transformers loaded by then. Medians, with the range.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Any

from tests.benchmarks.table import options, tell
from tests.figures.run import ROOT

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
    asked = options(__doc__, repeats=9)
    tell(measure(asked.repeats), asked.out, protocol=__doc__)


if __name__ == "__main__":
    main()
