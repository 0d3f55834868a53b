"""What benchmarks do with their rows: a table to read, and a file that says when and on what they were measured."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tests.figures.run import circumstances, markdown

Row = dict[str, Any]


def options(doc: str | None, **usual: Any) -> argparse.Namespace:
    """The command line: a file to write where one is named, and an option for each of these, which are what it is where
    nothing is said; a type stands for nothing."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path)
    for name, value in usual.items():
        known = isinstance(value, type)
        parser.add_argument(f"--{name}", type=value if known else type(value), default=None if known else value)
    return parser.parse_args()


def tell(rows: list[Row], out: Path | None, **more: Any) -> None:
    """Print the rows, and write them where a file is named."""
    print(markdown(rows))
    write(rows, out, **more)


def write(rows: list[Row], out: Path | None, **more: Any) -> None:
    """Write the rows with when, at which commit and on what they were measured; nothing where no file is named."""
    if out is not None:
        found = {"rows": rows, **more, **circumstances()}
        out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
