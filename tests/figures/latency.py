"""How long a person waits, in a real JupyterLab with Chromium, medians of 5."""

from __future__ import annotations

from typing import Any

from tests.benchmarks import latency

COLUMNS = ("what", "median, ms", "goal, ms", "worst, ms")


def measure() -> list[dict[str, Any]]:
    """Every part of the benchmark of the same name."""
    rows = [row for part in latency.PARTS.values() for row in part(5)]
    return [{column: row[column] for column in COLUMNS} for row in rows]
