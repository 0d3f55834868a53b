"""What keeping every attention weight adds to a forward pass, goal 15 %; medians of 25 turns, and nothing when off."""

from __future__ import annotations

from typing import Any

from tests.benchmarks import attention

CASES = (("4 layers of 128", 128), ("4 layers of 128", 512), ("12 layers of 768", 128))


def measure() -> list[dict[str, Any]]:
    """A row a network and length."""
    rows = []
    for shape, tokens in CASES:
        found = attention.times(shape, tokens, 25)
        rows.append(
            {
                "network": shape,
                "tokens": tokens,
                "plain, ms": round(found["ms"]["plain"], 2),
                "kept": f"{found['over_plain']['float32']:+.0%}",
                "kept as float16": f"{found['over_plain']['float16']:+.0%}",
                "off again": f"{found['over_plain']['before and after']:+.0%}",
            }
        )
    return rows
