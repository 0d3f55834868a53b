"""What a kernel sends while a run trains with its dashboard in a page that was closed."""

from __future__ import annotations

from typing import Any

from tests.benchmarks import unseen


def measure() -> list[dict[str, Any]]:
    """Five minutes, scaled to an hour."""
    with unseen.bench({"NBLLM_STANDBY": "0"}) as lab:
        return unseen.measure(lab, 5)
