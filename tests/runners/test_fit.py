"""A budget in minutes alone picks size and batch: what counts as alone, what is picked, that it is said and kept."""

from __future__ import annotations

from typing import Any

import pytest

import nbllm
from nbllm.config import RunConfig, resolve
from nbllm.runners import fit
from nbllm.store.status import read_status
from nbllm.training.pace import Pace

TEXT = ["the cat sat on the mat and the dog ran after it. " * 60]


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ({"minutes": 3}, True),
        ({"minutes": 3, "model": "lstm", "data.source": "python-docs", "context": 32}, True),
        ({"minutes": 3, "size": "mini"}, False),
        ({"minutes": 3, "model.layers": 2}, False),
        ({"minutes": 3, "batch_size": 8}, False),
        ({"minutes": 3, "preset": "textbook-lstm"}, False),
        ({"minutes": 3, "fit": False}, False),
        ({"steps": 30}, False),
        ({}, False),
    ],
)
def test_what_is_said_of_the_size_stands(asked: dict[str, Any], fits: bool) -> None:
    assert resolve([("call", asked)]).train.fit is fits
    assert resolve([("call", {"minutes": 3})], [("nbllm.yaml", {"size": "small"})]).train.fit is False


def test_larger_sizes_keep_data_and_context() -> None:
    config = resolve([("call", {"minutes": 3, "context": 48, "dropout": 0.1})])
    small = fit.sized(config, "small")
    assert (small.size, small.model.layers, small.model.width, small.model.heads) == ("small", 6, 192, 6)
    assert (small.train.context, small.model.dropout, small.train.minutes) == (48, 0.1, 3)
    assert small.tokenizer == config.tokenizer


def test_steps_to_spare_become_larger_batches() -> None:
    config = RunConfig()
    few, many, most = (
        fit.batched(config, Pace(rate, 0.0, 1.0, 10), 100.0).train.batch_size for rate in (39, 41, 10_000)
    )
    assert (few, many, most) == (config.train.batch_size, 2 * config.train.batch_size, fit.LARGEST_BATCH)


def test_a_run_says_what_it_picked_and_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "SIZES", dict.fromkeys(("tiny", "mini")))
    monkeypatch.setattr(fit, "TOKENS_A_PARAMETER", 1e-6)  # whatever the pace here, the larger one is hoped for
    run = nbllm.train("one", data=TEXT, model="gru", minutes=0.03, runner="inline", queue=False)
    assert run.state == "finished", run.error
    config = run.config
    assert (config.size, config.model.layers, config.model.width, config.train.fit) == ("mini", 2, 192, False)
    assert "0.03 minutes here: size mini" in read_status(run.folder / "status.json").advice
    assert run.load().config.model.width == 192
    monkeypatch.setattr(fit, "TOKENS_A_PARAMETER", 1e9)
    small = nbllm.train("two", data=TEXT, model="gru", minutes=0.02, runner="inline", queue=False)
    assert small.config.size == "tiny", "the smallest, however little it sees"
