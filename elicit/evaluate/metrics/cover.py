"""Cover@tau: share of items that a policy solves with probability tau or more (arXiv 2510.08325).

    Cover@tau = (1/N) sum_i 1[p_i >= tau]          tau = .2, .5, .8

Coverage at a large k counts what luck can reach; Cover@tau asks for reliability: low tau is breadth, high tau depth.
No estimator from c_i of n_i samples is unbiased for an indicator (only polynomials of p of degree n have one), and
counting c_i/n_i >= tau calls a lucky item solved. So p_i is smoothed by the beta-binomial model of the policy's own
counts and the item's share is its posterior probability P(p_i >= tau | c_i, n_i). The note `cover/crossing` names the
tau at which the curves of base and method cross. Refused if the model does not fit (`large_k`). In the regime of the
policy's own samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.large_k import misfit
from elicit.evaluate.metrics.metric import Lines, Metric
from elicit.evaluate.metrics.table import Arm, Table
from elicit.evaluate.statistics.beta_binomial import fit, rate_at_least
from elicit.results import Column, Estimate
from elicit.results.comparison import ROLES

TAUS = (0.2, 0.5, 0.8)
GRID = tuple(round(tau / 100, 2) for tau in range(5, 100))
"""levels at which curves are compared"""
CLEAR = 0.01
"""curves that differ by less do not cross"""


def cover(m: Measures, taus: Sequence[float]) -> NDArray:
    """P(p_i >= tau) by tau and item [T, N]; the means over items are Cover@tau. The model is fitted once."""
    found = fit(m.right_N, m.total_N)
    return np.array([rate_at_least(tau)(found.a, found.b, found.right_N, found.total_N) for tau in taus])


def crossing(own_T: NDArray, base_T: NDArray, taus: tuple[float, ...] = GRID) -> str:
    """Where two curves over tau cross, in words.

    >>> crossing(np.array([0.9, 0.6, 0.1]), np.array([0.5, 0.5, 0.5]), (0.2, 0.5, 0.8))
    'above the base up to tau = 0.5, below it from 0.8'
    >>> crossing(np.array([0.9, 0.6]), np.array([0.5, 0.5]), (0.2, 0.5))
    'above the base at every tau'
    """
    gaps = [(tau, gap > 0) for tau, gap in zip(taus, own_T - base_T, strict=True) if abs(gap) >= CLEAR]
    if not gaps:
        return "like the base at every tau"
    side = {True: "above", False: "below"}
    turns = [(last, above, tau) for (last, above), (tau, now) in itertools.pairwise(gaps) if above != now]
    if not turns:
        return f"{side[gaps[0][1]]} the base at every tau"
    parts = [f"{side[above]} the base up to tau = {last}" for last, above, _ in turns]
    return ", ".join([*parts, f"{side[not turns[-1][1]]} it from {turns[-1][2]}"])


def _curve(arm: Arm) -> NDArray:
    """Cover@tau over `GRID`, mean over the seeds."""
    return np.mean([cover(m, GRID).mean(axis=1) for m in arm.measures], axis=0)


def _add(table: Table) -> None:
    for arm in table.arms:
        if arm.ks:
            fits = [fit(m.right_N, m.total_N) for m in arm.measures]
            for tau in TAUS:
                table.joint.add(arm.key, f"cover/{tau}", [one.values(rate_at_least(tau)) for one in fits])


def _report(table: Table, lines: Lines) -> None:
    refused = {arm.key: misfit(table, arm) for arm in table.arms if arm.ks}
    base_T = _curve(table.base) if table.base.ks and not refused[table.base.key] else None
    for arm, line in lines:
        if not arm.ks:
            few = Estimate(refused=f"n = {arm.measures[0].n}: a success rate needs 2 samples or more")
            line.values |= dict.fromkeys((f"cover/{tau}" for tau in TAUS), few)
            continue
        for tau in TAUS:
            mean = table.joint.mean(arm.key, f"cover/{tau}")
            value = table.joint.resamples.proportion(*mean, seeds=len(arm.entries))
            line.values[f"cover/{tau}"] = replace(value, refused=value.refused or refused[arm.key])
        if arm.fitted and base_T is not None and not refused[arm.key]:
            line.notes["cover/crossing"] = crossing(_curve(arm), base_T)


COVER = Metric(
    "cover@tau",
    tuple(
        Column(f"cover/{tau}", f"Cover@{tau}", "percent", f"items solved with probability {tau} or more, "
               "smoothed by a beta-binomial model", "figures", ROLES)
        for tau in TAUS
    ),
    _add,
    _report,
)  # fmt: skip
