"""The cost of a model: by the configuration alone, of a run, and as it was measured."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nbllm
from nbllm.cli import main
from nbllm.config import resolve
from nbllm.errors import RunError
from nbllm.models import estimate, flops
from nbllm.models.cost import estimated
from nbllm.runners import energy
from nbllm.training.footprint import cache
from tests.contract.cases import CASES, made
from tests.handles.made import made as made_run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NBLLM_RUNS", str(tmp_path))
    return tmp_path


def test_before_training_it_is_told_without_torch() -> None:
    code = (
        "import sys, nbllm; cost = nbllm.cost(model='lstm', size='small'); assert cost.total > 1e6; str(cost); "
        "cost._repr_html_(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_table_sums_up_and_the_memory_is_that_of_the_check() -> None:
    cost = nbllm.cost(model="transformer", size="tiny")
    table = cost.table
    for column in table.columns:
        assert table[column].iloc[:-1].sum() == pytest.approx(table.loc["total", column])
    assert table.loc["total", "parameters"] == cost.total
    assert table.loc["total", "flops_training"] == flops.per_token(cost.config, 0, 128)
    assert cost.training_memory == estimate.memory(cost.config, 128)["total"]
    assert "attention" in table.index


def test_a_run_is_told_by_its_own_vocabulary_and_pace(runs: Path) -> None:
    made_run(runs, "one", {"model": "lstm"})
    cost = nbllm.attach("one").cost()
    assert cost.flops["head"] == 2 * 100 * cost.config.model.width
    assert cost.per_second == pytest.approx(640)
    assert any("50,000 parameters" in note for note in cost.notes), "the made run says so many"
    with pytest.raises(RunError, match="settings are given"):
        nbllm.cost("one", model="gru")


def test_of_a_network_of_ones_own_the_parameters_are_told() -> None:
    config = resolve([("test", {"size": "tiny"})])
    config.model.__dict__["kind"] = "mine"
    cost = estimated(config, 100, "mine", 5000)
    assert (cost.total, cost.training, dict(cost.memory)) == (5000, 30_000, {})
    assert "unknown memory" in repr(cost)
    assert "mine" in cost._repr_html_()
    assert str(cost)


@pytest.mark.parametrize("case", [case for case in CASES if made(case).head in ("next", "target", "latent")])
def test_the_cache_is_what_writing_one_text_takes(case: str) -> None:
    model = made(case, fresh=True, **{"train.context": 20, "train.target_context": 12})
    train = model.config.train
    length = train.target_context if model.head == "target" else train.context
    assert cache(model.module, train.context, length) == estimate.cache(model.config)


@pytest.mark.parametrize("family", ["transformer", "cnn", "lstm"])
def test_measured_beside_the_estimate(family: str, runs: Path) -> None:
    """Weights, gradients and optimizer to the byte (but for AdamW's counters); activations within a fifth."""
    torch.set_num_threads(1)
    cost = nbllm.cost(model=family, size="tiny", measure=True, data="zh-phrases")
    measured = cost.measured
    assert measured is not None
    assert measured.memory["weights"] == measured.memory["gradients"] == cost.memory["weights"]
    assert measured.memory["optimizer"] == pytest.approx(cost.memory["optimizer"], rel=0.001)
    assert measured.memory["activations"] == pytest.approx(cost.memory["activations"], rel=0.2)
    assert measured.peak == pytest.approx(cost.training_memory, rel=0.2)
    assert measured.memory["cache"] == cost.memory["cache"]
    assert measured.analytic == pytest.approx(measured.flops, rel=0.01)
    assert 0 < cost.utilisation < 1.5
    assert measured.energy
    shown = cost._repr_html_()
    assert "measured" in shown
    assert "of a large matrix product" in str(cost)


def test_it_is_measured_from_the_last_checkpoint_and_changes_nothing(runs: Path) -> None:
    run = nbllm.train("short", model="gru", size="tiny", steps=4, runner="inline", data="zh-phrases")
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
    cost = run.cost(measure=True)
    assert cost.measured is not None
    assert cost.notes == ()
    assert math.isfinite(cost.per_second)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()} == before
    assert run.load().cost().parameters == cost.parameters


def test_figure_and_picture_hold_every_part() -> None:
    cost = nbllm.cost(model="seq2seq", size="tiny")
    names = {trace.name for trace in cost.figure().data}
    assert {"embedding", "mixers", "attention scores", "MLPs", "head", "weights", "activations"} <= names
    assert cost._repr_html_().count("<svg") == 1


def test_in_a_terminal(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--model", "lstm", "--size", "tiny"]) == 0
    said = capsys.readouterr().out
    assert "Cost of lstm tiny: 14" in said
    assert "activations" in said


def test_energy_is_read_from_rapl_where_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    assert "not available" in energy.Meter("cpu").source
    for number in (0, 1):
        package = tmp_path / f"intel-rapl:{number}"
        (tmp_path / f"intel-rapl:{number}:0").mkdir()
        package.mkdir()
        (package / "energy_uj").write_text("900000")
        (package / "max_energy_range_uj").write_text("1000000")
    meter = energy.Meter("cpu").start()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("2900000")
    assert meter.joules == pytest.approx(2.0)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("100000")
    assert meter.joules > 0, "the counter has begun anew"
