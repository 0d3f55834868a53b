"""Tests and intervals against counting by hand, and against what is known of chance."""

import itertools

import numpy as np
import pytest

from nbllm.inspection.chance import by_labels, by_signs, interval, wilson


def test_labels_against_counting_by_hand():
    first, second = np.array([3.0, 2.5, 4.0]), np.array([1.0, 2.0, 0.5, 2.6])
    together = np.concatenate([first, second])
    observed = abs(first.mean() - second.mean())
    as_far = total = 0
    for chosen in itertools.combinations(range(7), 3):
        rest = [i for i in range(7) if i not in chosen]
        as_far += abs(together[list(chosen)].mean() - together[rest].mean()) >= observed - 1e-12
        total += 1
    assert by_labels(first, second, 0) == pytest.approx(as_far / total)


def test_signs_against_counting_by_hand():
    values = np.array([1.0, 2.0, -0.5, 3.0, 0.25])
    as_far = sum(
        abs(np.dot(signs, values)) >= abs(values.sum()) - 1e-12 for signs in itertools.product((1, -1), repeat=5)
    )
    assert by_signs(values, 0) == pytest.approx(as_far / 32)


@pytest.mark.parametrize("count", [8, 30])
def test_p_is_rarely_small_where_nothing_is_there(count):
    """Of 200 tests of nothing about 5 % are below 0.05: both the counted and the drawn ones."""
    rng = np.random.default_rng(0)
    signs = np.array([by_signs(rng.normal(size=count), 1) for _ in range(200)])
    labels = np.array([by_labels(rng.normal(size=count // 2), rng.normal(size=count // 2), 1) for _ in range(200)])
    for found in (signs, labels):
        assert 0.01 <= (found < 0.05).mean() <= 0.1
        assert 0.4 <= (found < 0.5).mean() <= 0.6


def test_p_is_never_zero_and_finds_what_is_plain():
    far = np.linspace(5, 6, 40)
    assert by_signs(far, 0) == pytest.approx(1e-4)
    assert by_labels(far, -far, 0) == pytest.approx(1e-4)
    assert by_signs(np.zeros(20), 0) == 1.0
    assert by_labels(np.ones(12), np.ones(12), 0) == 1.0


def test_the_bootstrap_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(3).normal(2.0, 1.0, 100)
    low, high = interval(lambda drawn: drawn.mean(-1), [values], 0)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.08)


def test_the_same_seed_gives_the_same_figures():
    values = np.random.default_rng(3).normal(size=30)
    assert by_signs(values, 5) == by_signs(values, 5)
    assert interval(np.median, [values], 1) != interval(lambda d: np.median(d, -1), [values], 1)
    assert interval(lambda d: np.median(d, -1), [values], 1) == interval(lambda d: np.median(d, -1), [values], 1)


def test_wilson_against_a_published_value():
    low, high = wilson(1, 10)
    assert (low, high) == (pytest.approx(0.0179, abs=1e-3), pytest.approx(0.4042, abs=1e-3))
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)
