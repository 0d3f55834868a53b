"""How quickly text is written, beside transformers' `generate` and the speed of memory; medians of 5 rounds."""

from __future__ import annotations

from typing import Any

from tests.benchmarks import generation

COLUMNS = ("what", "against", "ratio", "lowest", "highest", "goal")


def measure() -> list[dict[str, Any]]:
    """Every part of the benchmark of the same name; of absolute speeds only the ratios hold on a shared machine."""
    rows = [row for part in generation.PARTS.values() for row in part(5)]
    return [{column: row[column] for column in COLUMNS} for row in rows]
