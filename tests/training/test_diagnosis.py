"""What is said of a run: of trainings spoiled on purpose, of healthy ones, and of series made for the rest."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbllm
from nbllm.store.events import read_events
from nbllm.store.metrics import Metrics
from nbllm.store.status import read_status
from nbllm.training.diagnosis import diagnose, held_out_jump, overfitting, plateau
from nbllm.training.history import History, smoothed
from nbllm.training.observer import Observer

SMALL: dict[str, Any] = {
    "runner": "inline", "queue": False, "threads": 1, "data": "python-docs", "data.limit_mb": 0.3, "size": "tiny",
    "width": 64, "context": 32, "evaluate_every": 20, "evaluate_tokens": 4096, "steps": 160,
    "sample.every": 0, "probe.every": 0,
}  # fmt: skip


def said(run: nbllm.Run, budget: int | None = None) -> dict[str, list[int]]:
    """Every finding with the steps at which it was told."""
    metrics, told = Metrics(), dict[str, list[int]]()
    for event in read_events(run.folder / "metrics.jsonl"):
        metrics.update([event])
        if event["event"] == "evaluation":
            for finding in diagnose(History.of(metrics, budget=budget)):
                told.setdefault(finding.kind, []).append(event["step"])
    return told


def advice(run: nbllm.Run) -> str:
    """What the dashboard says at the end."""
    return read_status(run.folder / "status.json").advice


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_a_healthy_run_is_not_spoken_of(kind: str) -> None:
    run = nbllm.train("healthy", model=kind, **SMALL)
    assert run.state == "finished", run.error
    assert said(run, 160) == {}
    assert advice(run) == ""


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_a_learning_rate_a_hundred_times_too_high(kind: str) -> None:
    run = nbllm.train("high", model=kind, **{**SMALL, "lr": 0.5, "steps": 200})
    assert run.state == "finished", run.error
    assert advice(run).startswith("learning rate 0.5 looks too high: ")
    assert "ry 0.2" in advice(run)
    assert "lr too low" not in said(run, 200)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_a_learning_rate_a_thousand_times_too_low(kind: str) -> None:
    run = nbllm.train("low", model=kind, **{**SMALL, "lr": 5e-6})
    assert advice(run).startswith("learning rate 5e-06 looks too low")
    assert "Try 5e-05, or look: %llm_lr_find" in advice(run)
    assert set(said(run, 160)) == {"lr too low"}


def test_a_held_out_loss_that_stands_still_tells_a_low_rate_where_batches_differ_much() -> None:
    losses = 4.55 + 0.1 * np.sin(np.arange(100) / 5)
    held, told = [4.404, 4.402, 4.4, 4.398, 4.396], {"measures": {"bits_per_byte": np.ones(5)}}
    (finding,) = diagnose(history(losses, held, every=20, **told))
    assert finding.kind == "lr too low"
    assert "held-out loss has fallen only from 4.404 to 4.396 in 100 steps. Try 0.01, or look" in str(finding)
    assert "lr too low" not in {each.kind for each in diagnose(history(losses, held, every=20, fresh=False, **told))}


def test_ten_kilobytes_are_learned_by_heart() -> None:
    text = {"data.limit_mb": 0.01, "data.held_out": 0.2}
    run = nbllm.train("heart", model="transformer", **{**SMALL, **text, "width": 128})
    line = advice(run)
    assert "held-out loss has risen since step" in line
    assert "likely overfitting, for the train loss fell from" in line
    assert f"load step {run.metrics.val_loss.idxmin()}" in line


def test_letters_by_chance_are_a_plateau(tmp_path: Path) -> None:
    path = tmp_path / "chance.txt"
    path.write_text("".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz ", k=60_000)))
    settings = {**SMALL, "data": str(path), "schedule": "constant", "lr": 1e-2, "steps": 200}
    run = nbllm.train("chance", model="lstm", **settings)
    assert advice(run).startswith("plateau: held-out loss was 3.3")
    assert set(said(run)) == {"plateau"}


def test_a_posterior_that_says_nothing() -> None:
    heavy = {"kl_weight": 20.0, "free_bits": 0.0, "kl_steps": 0, "word_dropout": 0.0}
    settings = {**SMALL, **{f"objective.{name}": value for name, value in heavy.items()}, "steps": 80}
    run = nbllm.train("silent", model="vae", **{**settings, "width": 32, "evaluate_every": 10})
    assert advice(run).startswith("posterior collapse: KL 0.0")
    assert run.metrics["kl"].dropna().iloc[-1] < 0.1


def history(
    losses: np.ndarray, held: list[float] | None = None, rates: np.ndarray | None = None, every: int = 20, **more: Any
) -> History:
    """Series of a run with a constant rate, measured `every` so many steps."""
    held_losses = np.array(held or [], dtype=np.float64)
    return History(
        steps=np.arange(1, len(losses) + 1),
        losses=losses,
        rates=np.full(len(losses), 1e-3) if rates is None else rates,
        norms=np.ones(len(losses)),
        held_steps=np.arange(1, len(held_losses) + 1) * every,
        held=held_losses,
        **more,
    )


FALLING = 2 + 2 * np.exp(-np.arange(200) / 30)


def test_a_loss_that_rises_and_stays_up_diverges() -> None:
    rising = np.concatenate([FALLING, np.linspace(2, 5, 100)])
    findings = diagnose(history(rising))
    assert findings[0].kind == "diverges"
    assert str(findings[0]).startswith("train loss has risen from 2")
    assert "to 4.79" in str(findings[0])
    assert "%llm_set lr=0.0003" in str(findings[0])
    spike = FALLING.copy()
    spike[150:155] = 9.0
    assert "diverges" not in {finding.kind for finding in diagnose(history(spike))}, "one spike is none"


def test_a_jump_of_the_held_out_loss_alone() -> None:
    line = held_out_jump(history(FALLING, [3.2, 2.6, 2.3, 2.2, 3.0], every=40))
    assert line.startswith("held-out loss jumped from 2.2 (step 160) to 3 (step 200), while the train loss went from 2")
    assert held_out_jump(history(FALLING, [3.2, 2.6, 2.3, 2.2, 2.25], every=40)) == ""
    both = FALLING.copy()
    both[160:] += 1.0
    assert held_out_jump(history(both, [3.2, 2.6, 2.3, 2.2, 3.0], every=40)) == "", "the train loss jumped too"


def test_what_rises_with_the_train_loss_is_no_overfitting() -> None:
    held = [3.0, 2.0, 2.1, 2.2, 2.4]
    assert "likely overfitting" in overfitting(history(FALLING, held, every=40))
    assert overfitting(history(np.full(200, 2.0), held, every=40)) == ""


def test_a_plateau_is_one_only_while_the_rate_is_at_its_peak() -> None:
    flat = [3.0, 2.5, 2.2, 2.201, 2.2, 2.199, 2.2, 2.198]
    assert plateau(history(FALLING, flat)).startswith("plateau: held-out loss was 2.2 at step 60")
    cooled = np.concatenate([np.full(100, 1e-3), np.linspace(1e-3, 1e-4, 100)])
    assert plateau(history(FALLING, flat, cooled)) == ""
    assert plateau(history(FALLING, [3.0, 2.5, 2.2, 2.1, 2.0, 1.95, 1.9, 1.87])) == ""


def test_weights_that_were_trained_before_may_have_little_to_gain() -> None:
    slow = 1.4 - np.arange(200) * 1e-4 + 0.01 * np.sin(np.arange(200))
    assert "lr too low" in {finding.kind for finding in diagnose(history(slow))}
    assert diagnose(history(slow, fresh=False)) == []


def test_collapse_is_said_late_enough_to_be_true() -> None:
    measures = {"kl": np.array([0.01, 0.02, 0.03])}
    early = history(FALLING, [3.0, 2.5, 2.4], budget=2000, measures=measures)
    assert diagnose(early) == []
    late = history(FALLING, [3.0, 2.5, 2.4], budget=100, measures=measures)
    assert [finding.kind for finding in diagnose(late)] == ["collapsed"]
    speaks = history(FALLING, [3.0, 2.5, 2.4], budget=100, measures={"kl": np.array([0.01, 0.02, 1.3])})
    assert diagnose(speaks) == []


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_young_run_is_not_judged(rows: int) -> None:
    assert diagnose(history(FALLING[:rows], [3.0][:rows])) == []


def test_numbers_that_are_none_are_left_out() -> None:
    values = np.array([1.0, np.nan, 3.0, np.inf, 5.0])
    assert smoothed(values)[-1] == pytest.approx(3.0), "1, 2, 3, 4, 5"
    holes = FALLING.copy()
    holes[::7] = np.nan
    assert diagnose(history(holes, [3.0, 2.5, 2.3, 2.2])) == []


def test_after_a_resume_what_was_before_still_counts() -> None:
    past = [{"event": "evaluation", "step": step, "val_loss": loss} for step, loss in ((100, 2.0), (200, 2.1))]
    observer = Observer(past)
    observer.hear({"event": "evaluation", "step": 300, "val_loss": 2.2})
    assert observer.advice() == ""
    observer.hear({"event": "evaluation", "step": 400, "val_loss": 2.4})
    assert "held-out loss has risen since step 100 (2.000 to 2.400)" in observer.advice()
