"""The benchmarks run: at sizes that say nothing of speed, but that find what is broken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks import generation, gpu
from tests.figures import growth, scaling


def whole(rows: list[dict[str, Any]]) -> bool:
    return bool(rows) and all(row["tokens/s"] > 0 and row["its tokens/s"] > 0 for row in rows)


def test_generation_beside_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    assert whole(generation.small(1, layers=1, width=32, count=4))
    assert whole(generation.batch(1, layers=1, width=32, count=4, rows=2))
    rows = generation.large(1, layers=1, width=48, vocabulary=300, count=3)
    assert whole(rows)
    assert [row["against"] for row in rows] == ["copy bound", "transformers' Qwen3", "nbllm", "nbllm"]


def test_what_a_gpu_is_measured_by(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    sizes = gpu.Sizes(tiny=True)
    sizes.rounds = 1
    for part in gpu.PARTS.values():
        assert whole(part(sizes))


def test_growth_and_scaling() -> None:
    ways = [growth.step_of(context, 32, 1, 16) for context in (8, 16)]
    assert all(ms > 0 and times > 0 for ms, times in growth.grown(ways, 2))
    assert growth.flops_of(64, 64, 4, 256) > growth.flops_of(64, 64, 2, 256)
    sizes = [1_000, 10_000, 100_000]
    power, scale = scaling.fit(sizes, [3 * size**-0.1 for size in sizes])
    assert (power, scale) == pytest.approx((0.1, 3.0))
