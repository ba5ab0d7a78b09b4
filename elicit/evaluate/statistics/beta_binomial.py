"""Success rates of items from few samples each: the beta-binomial model, fitted by maximum likelihood.

    p_i ~ Beta(a, b)      c_i ~ Binomial(n_i, p_i)      L = sum_i log B(a + c_i, b + n_i - c_i) - log B(a, b)

with theta = (logit of the mean, log of a + b) and a weak normal prior on theta (standard deviation 4), which weighs
less than one item and keeps the fit finite if all items are right. A number of the fitted model is a mean over items of
f(a, b, c_i, n_i). `BetaFit.values` gives it as item values whose mean is the number and whose bootstrap is that of the
number, the fit included: to first order, resampling item i moves theta by its score over the curvature,

    v_i = f_i + N grad(mean f) A^-1 (s_i - mean s)      s_i = d log-likelihood_i / d theta,  A = - d2 L / d theta2

so that no draw is fitted again. Measured on 200 items of 16 samples with Beta(.3, 1), (2, 3) and (.2, .1) rates, 150
worlds each: P(p >= tau) and coverage at k = 8, 64, 1024 are off by at most .006 in the mean, intervals cover 88-98 %.
Rates of another shape are another matter: with 40 % of the items at .9 and the rest at .05 coverage at 64 is .19 too
low and no interval holds it. So whoever reports the model compares it with what can be counted. Knows no metric.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

PRIOR = 4.0
"""standard deviation of theta under the prior"""
_STEP = 1e-4

Function = Callable[[float, float, NDArray, NDArray], NDArray]
"""(a, b, right_N, total_N) -> values by item"""


class BetaFit(NamedTuple):
    """A fitted distribution of success rates, and the counts that it was fitted to."""

    theta: NDArray
    right_N: NDArray
    total_N: NDArray
    moves_N_2: NDArray
    """first-order change of theta with the weight of each item"""

    @property
    def a(self) -> float:
        return _shape(self.theta)[0]

    @property
    def b(self) -> float:
        return _shape(self.theta)[1]

    def values(self, function: Function) -> NDArray:
        """Item values [N] of a number of the model: their mean is the number, their bootstrap includes the fit."""
        own_N = function(self.a, self.b, self.right_N, self.total_N)
        gradient = np.array([
            (self._mean(function, self.theta + step) - self._mean(function, self.theta - step)) / (2 * _STEP)
            for step in _STEP * np.eye(2)
        ])  # fmt: skip
        return own_N + len(self.right_N) * (self.moves_N_2 @ gradient)

    def _mean(self, function: Function, theta: NDArray) -> float:
        return float(np.mean(function(*_shape(theta), self.right_N, self.total_N)))


def fit(right_N: NDArray, total_N: NDArray) -> BetaFit:
    """The Beta distribution of success rates behind c_i of n_i right samples."""
    right_N, total_N = np.asarray(right_N, float), np.asarray(total_N, float)
    cells, index_N, count_C = np.unique(
        np.stack([right_N, total_N], 1), axis=0, return_inverse=True, return_counts=True
    )
    right_C, total_C = cells.T

    def loss(theta: NDArray) -> tuple[float, NDArray]:
        a, b = _shape(theta)
        each_C = special.betaln(a + right_C, b + total_C - right_C) - special.betaln(a, b)
        gradient = count_C @ _scores(theta, right_C, total_C) - theta / PRIOR**2
        return float(0.5 * (theta**2).sum() / PRIOR**2 - count_C @ each_C), -gradient

    share = np.clip(right_N.sum() / max(total_N.sum(), 1.0), 0.01, 0.99)
    start = np.array([special.logit(share), 0.0])
    theta = optimize.minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-8}).x
    curvature = np.array([(loss(theta + step)[1] - loss(theta - step)[1]) / (2 * _STEP) for step in _STEP * np.eye(2)])
    scores_N_2 = _scores(theta, right_C, total_C)[index_N.ravel()]
    moves_N_2 = (scores_N_2 - scores_N_2.mean(0)) @ np.linalg.inv((curvature + curvature.T) / 2)
    return BetaFit(theta, right_N, total_N, moves_N_2)


def rate_at_least(tau: float) -> Function:
    """P(p_i >= tau | c_i, n_i): the posterior probability of a success rate, by item."""
    return lambda a, b, right_N, total_N: special.betaincc(a + right_N, b + total_N - right_N, tau)


def covered(k: int) -> Function:
    """E[1 - (1 - p)^k] under the fitted distribution, the same for every item: coverage at any k, beyond n too."""
    return lambda a, b, right_N, total_N: np.full(
        len(right_N), -np.expm1(special.betaln(a, b + k) - special.betaln(a, b))
    )


def all_right(k: int) -> Function:
    """E[p^k] under the fitted distribution, the same for every item: pass^k."""
    return lambda a, b, right_N, total_N: np.full(len(right_N), np.exp(special.betaln(a + k, b) - special.betaln(a, b)))


def _shape(theta: NDArray) -> tuple[float, float]:
    """(a, b) of theta, kept from underflow."""
    weight = np.exp(np.clip(theta[1], -30, 30))
    return float(weight * special.expit(theta[0]) + 1e-12), float(weight * special.expit(-theta[0]) + 1e-12)


def _scores(theta: NDArray, right_C: NDArray, total_C: NDArray) -> NDArray:
    """d log-likelihood / d theta by cell [C, 2]."""
    a, b = _shape(theta)
    both_C = special.digamma(a + b) - special.digamma(a + b + total_C)
    by_a_C = special.digamma(a + right_C) - special.digamma(a) + both_C
    by_b_C = special.digamma(b + total_C - right_C) - special.digamma(b) + both_C
    slope = a * b / (a + b)
    return np.stack([slope * (by_a_C - by_b_C), a * by_a_C + b * by_b_C], 1)
