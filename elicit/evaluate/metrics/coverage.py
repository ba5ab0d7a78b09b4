"""cov@k (pass@k): the chance that one of k samples is right, unbiased (Chen et al. 2021, arXiv 2107.03374).

    cov@k = mean_i 1 - C(n_i - c_i, k) / C(n_i, k)          k = 1, 2, 4 .. n/2

k goes to half of n only: the estimator's variance explodes as k nears n. Missing samples stay in n.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
from numpy.typing import NDArray

from elicit.errors import ConfigError


def powers(n: int) -> list[int]:
    """1, 2, 4 .. with 2k <= n; empty for n < 2."""
    return [2**e for e in range(n.bit_length()) if 2 ** (e + 1) <= n]


def coverage(right_N: NDArray, total_N: NDArray, k: int) -> NDArray:
    """cov@k by item. Raises ConfigError where an item has fewer than 2k samples."""
    return by_counts(right_N, total_N, k, lambda c, n: 1 - comb(n - c, k) / comb(n, k))


def by_counts(right_N: NDArray, total_N: NDArray, k: int, value: Callable[[int, int], float]) -> NDArray:
    """value(c, n) by item, worked out once a distinct (c, n); checks 2k <= n."""
    least = int(np.min(total_N))
    if k < 1 or 2 * k > least:
        raise ConfigError(
            f"k={k} with {least} samples of an item: n >= 2k is needed, sample n={2 * k} or take a lower k"
        )
    width = int(np.max(total_N)) + 1
    codes, index_N = np.unique(right_N * width + total_N, return_inverse=True)
    return np.array([value(*divmod(int(code), width)) for code in codes])[index_N]
