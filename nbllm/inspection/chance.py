"""Could it be chance: intervals and tests that assume no distribution, from values that were measured once.

Bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap (1993). Permutation tests, and why one is added to
what was counted: Phipps and Smyth, Permutation p-values should never be zero (2010). Shares: Wilson (1927), Newcombe
(1998).

N values, D draws.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

DRAWS = 9_999
_ROUNDING = 1e-12


def interval(
    statistic: Callable[..., np.ndarray], parts: Sequence[np.ndarray], seed: int, level: float = 0.95
) -> tuple[float, float]:
    """The bootstrap interval (percentiles) of a statistic: each part is drawn again from itself, as often as it is
    long. `statistic` takes an array (D, N) a part and gives (D,)."""
    rng = np.random.default_rng(seed)
    drawn = [part[rng.integers(len(part), size=(DRAWS, len(part)))] for part in parts]
    found = statistic(*drawn)
    found = found[np.isfinite(found)]
    if not len(found):
        return math.nan, math.nan
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def by_signs(values: np.ndarray, seed: int) -> float:
    """Two-sided p of a mean so far from 0, were each value as likely of the other sign: all signs up to 13 values, else
    9,999 draws of them."""
    observed = abs(values.mean())
    if len(values) <= 13:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(values))))
        return float((np.abs(signs @ values) / len(values) >= observed - _ROUNDING).mean())
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(DRAWS, len(values)))
    return _counted(np.abs(signs @ values) / len(values), float(observed))


def by_labels(first: np.ndarray, second: np.ndarray, seed: int) -> float:
    """Two-sided p of means so far apart, were it chance which values stand in which part: all ways of dividing them
    where there are fewer than 9,999, else so many draws."""
    together, count = np.concatenate([first, second]), len(first)
    observed = abs(first.mean() - second.mean())
    if math.comb(len(together), count) <= DRAWS:
        chosen = np.array(list(itertools.combinations(range(len(together)), count)))
        return float((_apart(together, chosen) >= observed - _ROUNDING).mean())
    order = np.random.default_rng(seed).random((DRAWS, len(together))).argsort(1)
    return _counted(_apart(together, order[:, :count]), float(observed))


def wilson(count: float, total: int, level_z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share, which holds for small counts too."""
    if not total:
        return 0.0, 1.0
    share, z2 = count / total, level_z**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    room = level_z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, middle - room), min(1.0, middle + room)


def difference(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """The 95 % interval of a difference of two shares (count, total), by Wilson intervals of both (Newcombe 1998)."""
    (a, n), (b, m) = first, second
    (low_a, high_a), (low_b, high_b) = wilson(a, n), wilson(b, m)
    between = a / n - b / m
    low = between - math.hypot(a / n - low_a, high_b - b / m)
    high = between + math.hypot(high_a - a / n, b / m - low_b)
    return low, high


def more_often(first: tuple[int, int], second: tuple[int, int]) -> float:
    """One-sided p that the first share (count, total) is the greater by chance alone (Fisher's exact test)."""
    (a, n), (b, m) = first, second
    whole, hits = n + m, a + b
    logs = [_log_choose(n, k) + _log_choose(m, hits - k) - _log_choose(whole, hits) for k in range(a, min(n, hits) + 1)]
    return min(1.0, math.fsum(map(math.exp, logs)))


def _apart(together: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """How far the mean of the chosen ones (D, n) lies from that of the others."""
    inside = together[chosen].sum(1)
    count = chosen.shape[1]
    return np.abs(inside / count - (together.sum() - inside) / (len(together) - count))


def _counted(drawn: np.ndarray, observed: float) -> float:
    return float(((drawn >= observed - _ROUNDING).sum() + 1) / (len(drawn) + 1))


def _log_choose(n: int, k: int) -> float:
    if not 0 <= k <= n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
