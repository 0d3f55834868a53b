"""Seeds and shares of the text: what is trained, the spread, and coming back to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbllm
from nbllm.errors import ConfigError, RunError
from nbllm.store.folder import RunFolder
from tests.handles.made import made

QUICK: dict[str, Any] = {
    "size": "tiny", "layers": 1, "width": 16, "heads": 2, "context": 16, "batch_size": 4, "runner": "inline",
    "sample.every": 0, "probe.every": 0, "evaluate_tokens": 512,
}  # fmt: skip
TEXT = ["天气很好，我们去公园散步。"] * 80


def test_seeds_make_runs_that_differ_by_their_seed_alone(runs: Path) -> None:
    found = nbllm.train("诗", data=TEXT, steps=6, seeds=3, seed=7, **QUICK)
    assert isinstance(found, nbllm.Repeats)
    assert [run.name for run in found] == ["诗-seed-7", "诗-seed-8", "诗-seed-9"]
    assert [run.state for run in found] == ["finished"] * 3
    assert nbllm.compare(found).differences.index.tolist() == ["train.seed"]
    losses = [run.metrics["loss"].iloc[0] for run in found]
    assert len(set(losses)) == 3, "other weights and another order"
    assert found[0].name == "诗-seed-7"
    assert [run.name for run in found[1:]] == ["诗-seed-8", "诗-seed-9"]


def test_the_spread_is_that_of_the_best_measurements(runs: Path) -> None:
    for seed in (1, 2, 3, 60):
        made(runs, f"w-seed-{seed}", {"train.seed": seed}, bits=2.0)
    table = nbllm.Repeats.of("w").table
    best = np.array([2.02 + 0.01 * seed for seed in (1, 2, 3, 60)])
    assert table["best_val_loss"].tolist() == pytest.approx(
        [best.mean(), np.median(best), best.min(), best.max(), best.std(ddof=1)]
    )
    assert table.index.tolist() == ["mean", "median", "min", "max", "std"]
    assert table.loc["std", "bits_per_byte"] == pytest.approx(2 * best.std(ddof=1))


def test_runs_in_training_and_failed_ones_are_left_out_of_the_spread(runs: Path) -> None:
    made(runs, "w-seed-1", {"train.seed": 1})
    made(runs, "w-seed-2", {"train.seed": 50}, state="failed")
    live = made(runs, "w-seed-3", {"train.seed": 90}, state="training")
    found = nbllm.Repeats.of("w")
    with RunFolder(live.folder).writing():
        assert found.live
        assert found.table.loc["max", "best_val_loss"] == pytest.approx(2.03)
        assert np.isnan(found.table.loc["std", "best_val_loss"]), "one alone has no spread"
        assert found.notices[-1] == "2 of 3 runs have ended. Watch one: %llm_attach w-seed-3"
        assert "over 1 of 3 seeds" in found._repr_html_()
        assert found.each["state"].tolist() == ["finished", "failed", "training"]
    assert found.notices[0].startswith("w-seed-2 failed.")


def test_coming_back_by_the_name_alone(runs: Path) -> None:
    for seed in (10, 9):
        made(runs, f"w-seed-{seed}", {"train.seed": seed})
    made(runs, "w-seed-old")
    made(runs, "w-use-0.5", {"data.use": 0.5})
    assert [run.name for run in nbllm.Repeats.of("w")] == ["w-seed-9", "w-seed-10"]
    assert [run.name for run in nbllm.LearningCurve.of("w")] == ["w-use-0.5"]
    with pytest.raises(RunError, match=r"no runs 'v-seed-\.\.\.'"):
        nbllm.Repeats.of("v")


@pytest.mark.parametrize("seeds", [0, -1, 1.5, True, "3"])
def test_a_wrong_number_of_seeds_is_one_line(runs: Path, seeds: Any) -> None:
    with pytest.raises(RunError, match=r"as in seeds=5"):
        nbllm.train("x", data=TEXT, steps=2, seeds=seeds, **QUICK)
    assert not list(runs.glob("*"))


def test_all_or_none_are_made(runs: Path) -> None:
    made(runs, "x-seed-1339")
    with pytest.raises(RunError, match="'x-seed-1339' is there already"):
        nbllm.train("x", data=TEXT, steps=2, seeds=3, **QUICK)
    assert [path.name for path in runs.iterdir()] == ["x-seed-1339"]
    with pytest.raises(RunError, match="do not resume at once"):
        nbllm.train("x", data=TEXT, seeds=2, resume=True, **QUICK)
    assert len(nbllm.train("x", data=TEXT, steps=2, seeds=3, replace=True, **QUICK)) == 3


def test_without_a_name_the_first_free_one_is_taken(runs: Path) -> None:
    made(runs, "transformer-1-seed-1338")
    found = nbllm.train(data=TEXT, steps=2, seeds=2, **QUICK)
    assert [run.name for run in found] == ["transformer-2-seed-1337", "transformer-2-seed-1338"]


def test_a_learning_curve_trains_on_growing_shares(runs: Path) -> None:
    """What stands in the second half of the training text alone can only be learned from all of it.

    The held-out text, which is the end, has nothing but that.
    """
    data = ["abcdefgh" * 40] * 30 + ["qrstuvwx" * 40] * 40
    settings = {**QUICK, "context": 8, "batch_size": 16}
    curve = nbllm.learning_curve("c", data=data, fractions=(1, 0.3), steps=60, lr=0.01, **settings)
    assert [run.name for run in curve] == ["c-use-0.3", "c-use-1"]
    table = curve.table
    assert table["use"].tolist() == [0.3, 1.0]
    assert table.loc["c-use-0.3", "train_tokens"] == pytest.approx(0.3 * table.loc["c-use-1", "train_tokens"])
    assert [run.step for run in curve] == [60, 60]
    assert nbllm.compare(curve).one_text
    assert table.loc["c-use-0.3", "best_val_loss"] > 2 * table.loc["c-use-1", "best_val_loss"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fractions": (0, 1)}, "0 is no share"),
        ({"fractions": (0.5, 1.1)}, "1.1 is no share"),
        ({"fractions": ("half",)}, "'half' is no share"),
        ({"fractions": ()}, "no share of the text"),
        ({"epochs": 2}, "epochs would change it"),
        ({"minutes": 1}, "minutes would change it"),
    ],
)
def test_what_a_learning_curve_cannot_do_is_one_line(runs: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises((RunError, ConfigError), match=said):
        nbllm.learning_curve("x", data=TEXT, **{**QUICK, **settings})
    assert not list(runs.glob("*"))


def test_overfitting_is_seen_at_the_end(runs: Path) -> None:
    run = made(runs, "o-use-1")
    (run.folder / "metrics.jsonl").open("a").write('{"t":0,"event":"evaluation","step":120,"val_loss":5.0}\n')
    row = nbllm.LearningCurve.of("o").table.loc["o-use-1"]
    assert (row["best_val_loss"], row["last_val_loss"]) == (pytest.approx(2.02 + 0.37), 5.0)


def test_stopping_ends_all_that_train_and_wait(runs: Path) -> None:
    for seed in (1, 2):
        made(runs, f"w-seed-{seed}", {"train.seed": seed}, state="training")
    found = nbllm.Repeats.of("w")
    with RunFolder(runs / "w-seed-1").writing(), RunFolder(runs / "w-seed-2").writing():
        found.stop()
    assert all(len(list((run.folder / "control").glob("*.json"))) == 1 for run in found)


def test_it_shows_itself_in_a_terminal_and_in_a_page(runs: Path) -> None:
    for seed in (1, 2):
        made(runs, f"诗-seed-{seed}", {"train.seed": seed})
    found = nbllm.Repeats.of("诗")
    assert "median" in repr(found)
    page = found._repr_html_()
    assert "nbllm.Repeats.of(&#x27;诗&#x27;)" in page
    assert page.count("<svg") == 1
    assert len(page) < 12_000
