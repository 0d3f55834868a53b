"""Fewer points keep the look of a curve: its spikes, its ends, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest

from nbllm.plots.decimate import Thinned, decimate
from nbllm.store.metrics import Table


def filled(steps: int, spike: int | None = None) -> Table:
    table = Table()
    add(table, 1, steps, spike)
    return table


def add(table: Table, start: int, stop: int, spike: int | None = None) -> None:
    for step in range(start, stop + 1):
        loss = 99.0 if step == spike else 2.0 + (step % 7) / 10
        table.append({"t": 0.0, "event": "step", "step": step, "loss": loss, "grad_norm": step % 5, "tokens": step * 8})


def test_a_short_curve_is_left_alone() -> None:
    x, y = decimate([1, 2, 3], [4, 5, 6], 10)
    assert x.tolist() == [1, 2, 3]
    assert y.tolist() == [4, 5, 6]


def test_spikes_ends_and_the_limit() -> None:
    y = np.sin(np.arange(50_000) / 900)
    y[31_337], y[12_345] = 40.0, -40.0
    x_thin, y_thin = decimate(np.arange(50_000), y, 2000)
    assert len(x_thin) <= 2000
    assert (x_thin[0], x_thin[-1]) == (0, 49_999)
    assert (y_thin.max(), y_thin.min()) == (40.0, -40.0)
    assert (np.diff(x_thin) > 0).all()


def test_nan_does_not_hide_numbers() -> None:
    y = np.full(5000, np.nan)
    y[777] = 3.0
    _, thin = decimate(np.arange(5000), y, 100)
    assert np.nanmax(thin) == 3.0


@pytest.mark.parametrize("steps", [0, 1, 5, 640, 641, 5000])
def test_thinned_keeps_extremes_and_stays_small(steps: int) -> None:
    thinned = Thinned(filled(steps, spike=steps // 2))
    rows = np.concatenate([thinned.whole(), thinned.rest()])
    assert len(rows) <= 3 * 641
    if steps:
        column = thinned.COLUMNS.index
        assert rows[:, column("loss")].max() == (99.0 if steps // 2 else 2.1)
        assert rows[-1, column("step")] >= steps - thinned.size
        assert (np.diff(rows[:, column("step")]) > 0).all()


def test_growing_by_pieces_gives_the_same_as_all_at_once() -> None:
    piecewise = Thinned(table := filled(0), buckets=40)
    for start in range(1, 1000, 37):
        add(table, start, min(start + 36, 1000))
        piecewise.whole()
    at_once = Thinned(table, buckets=40)
    assert np.array_equal(piecewise.whole(), at_once.whole(), equal_nan=True)
    assert np.array_equal(piecewise.rest(), at_once.rest(), equal_nan=True)


def test_the_mean_of_a_bucket_leaves_nan_out() -> None:
    table = Table()
    for step, loss in enumerate([1.0, None, 3.0, 5.0], 1):
        table.append({"t": 0.0, "event": "step", "step": step, "loss": loss})
    thinned = Thinned(table, buckets=2)
    assert thinned.whole()[:, thinned.COLUMNS.index("mean")].tolist()[0] == 1.0
    assert thinned.whole()[-1, thinned.COLUMNS.index("mean")] == 4.0


def test_rows_cut_by_a_resume_are_forgotten() -> None:
    table = filled(500)
    thinned = Thinned(table)
    thinned.whole()
    table.cut(100)
    assert thinned.whole()[-1, 0] == 100
