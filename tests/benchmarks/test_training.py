"""The benchmarks of training run, at sizes that say nothing of speed; and their peers do what their sources say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.benchmarks import lstm, overhead, peers, step


def test_nanogpts_rate_warms_up_and_falls_as_a_cosine() -> None:
    assert peers.recipe_rate(0) == pytest.approx(1e-3 / 101)
    assert peers.recipe_rate(100) == pytest.approx(1e-3)
    assert peers.recipe_rate(1050) == pytest.approx((1e-3 + 1e-4) / 2)
    assert peers.recipe_rate(2000) == pytest.approx(1e-4)


def test_the_whole_held_out_text_is_read_once() -> None:
    class Even(nn.Module):
        def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
            seen.append(tokens_BT)
            return torch.zeros(*tokens_BT.shape, 5)

    seen: list[torch.Tensor] = []
    ids = np.arange(1000) % 5
    assert peers.whole_loss(module := Even(), module, ids) == pytest.approx(math.log(5))
    assert torch.cat(seen).flatten().tolist() == ids[: 999 // 64 * 64].tolist()


def test_steps_beside_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    monkeypatch.setattr(peers, "BATCH", 2)
    rows = step.measure(rounds=1, steps=2)
    assert len(rows) == 5
    assert all(row["tokens/s"] > 0 and row["times the Trainer"] > 0 for row in rows)


def test_the_engine_beside_a_bare_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_RUNS", "")  # so that what the benchmark sets is taken back
    monkeypatch.setattr(overhead, "CASES", {"lstm": {"model": "lstm", "size": "tiny", "data.limit_mb": 0.05}})
    (row,) = overhead.measure(rounds=1, steps=12)
    assert row["with the engine, ms"] > 0
    assert row["added"].endswith("%")


def test_our_lstm_and_a_peer_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(lstm, "STEPS", 1)
    monkeypatch.setattr(lstm, "UNITS", 16)
    monkeypatch.setattr(lstm, "KERAS", "raise SystemExit('no keras')")
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    assert lstm.ours(plain=True) > 0
    assert lstm.keras("python3", "torch") is None
    assert "left out: no keras" in capsys.readouterr().out
