"""cov@k (pass@k): the chance that one of k samples is right, unbiased (Chen et al. 2021, arXiv 2107.03374).

    cov@k  = mean_i 1 - C(n_i - c_i, k) / C(n_i, k)          k = 1, 2, 4 .. n/2
    pass^k = mean_i C(c_i, k) / C(n_i, k)                    all of k right: reliability (arXiv 2406.12045)

k goes to half of n only: the estimator's variance explodes as k nears n. Missing samples stay in n.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
from numpy.typing import NDArray

from elicit.errors import ConfigError
from elicit.evaluate.metrics.metric import Lines, Metric, curve
from elicit.evaluate.metrics.table import Table
from elicit.results import Column


def powers(n: int) -> list[int]:
    """1, 2, 4 .. with 2k <= n; empty for n < 2."""
    return [2**e for e in range(n.bit_length()) if 2 ** (e + 1) <= n]


def coverage(right_N: NDArray, total_N: NDArray, k: int) -> NDArray:
    """cov@k by item [N]. Raises ConfigError if an item has fewer than 2k samples."""
    return _by_counts(right_N, total_N, k, lambda c, n: 1 - comb(n - c, k) / comb(n, k))


def pass_hat_k(right_N: NDArray, total_N: NDArray, k: int) -> NDArray:
    """pass^k by item [N]. Raises ConfigError if an item has fewer than 2k samples."""
    return _by_counts(right_N, total_N, k, lambda c, n: comb(c, k) / comb(n, k))


def _by_counts(right_N: NDArray, total_N: NDArray, k: int, value: Callable[[int, int], float]) -> NDArray:
    """value(c, n) by item, computed once per distinct (c, n); checks 2k <= n."""
    least = int(np.min(total_N))
    if k < 1 or 2 * k > least:
        raise ConfigError(
            f"k={k} with {least} samples of an item: n >= 2k is needed, sample n={2 * k} or take a lower k"
        )
    width = int(np.max(total_N)) + 1
    codes, index_N = np.unique(right_N * width + total_N, return_inverse=True)
    return np.array([value(*divmod(int(code), width)) for code in codes])[index_N]


def _metric(name: str, values: Callable[[NDArray, NDArray, int], NDArray], column: Column) -> Metric:
    """A curve of skewed shares."""

    def add(table: Table) -> None:
        for arm in table.arms:
            for k in arm.ks:
                table.joint.add(arm.key, f"{column.key}@{k}", [values(m.right_N, m.total_N, k) for m in arm.measures])

    def report(table: Table, lines: Lines) -> None:
        curved = table.joint.resamples.curved
        for arm, line in lines:
            line.curves[column.key] = curve(
                table, arm, column.key, lambda mean, values_N, seeds: curved(*mean, values_N, seeds=seeds)
            )

    return Metric(name, (column,), add, report)


COVERAGE = _metric("coverage", coverage, Column("cov", "cov@k", "percent", "at the largest k", "figures"))
PASS_HAT = _metric(
    "pass^k", pass_hat_k, Column("pass_hat", "pass^k", "percent", "all of k right, at the largest k", "figures")
)
