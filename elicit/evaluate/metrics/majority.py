"""maj@k: accuracy of a majority vote among k samples, averaged over k-subsets of the n (self-consistency).

Votes go to answer classes (the grader decides what is one answer); "no answer" is never a class and can't
win; ties are broken uniformly, as an expectation and not by a draw. All C(n,k) subsets are taken if they
are few, else random ones: which samples share a subset does not matter, so all items use the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.errors import ConfigError
from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.metric import Lines, Metric, curve
from elicit.evaluate.metrics.table import Table
from elicit.results import Column

SUBSETS = 200


class Majority(NamedTuple):
    """By item: accuracy of the vote, share of subsets with a tie at the top, share without any answer."""

    accuracy_N: NDArray
    tied_N: NDArray
    silent_N: NDArray


def majority(m: Measures, k: int, seed: int = 0, subsets: int = SUBSETS) -> Majority:
    """maj@k by item. Raises ConfigError unless 1 <= k <= n."""
    return majorities(m, [k], seed, subsets)[k]


def majorities(m: Measures, ks: Sequence[int], seed: int = 0, subsets: int = SUBSETS) -> dict[int, Majority]:
    """maj@k for several k; the votes are read off once."""
    for k in ks:
        if not 1 <= k <= m.n:
            raise ConfigError(f"k={k} of {m.n} samples: take 1 <= k <= {m.n}")
    votes = _votes(m)
    return {k: _elect(_subsets(m.n, k, subsets, seed), *votes) for k in ks}


def _elect(masks_R_J: NDArray, votes_N_J_C: NDArray, right_N_C: NDArray) -> Majority:
    counts_N_R_C = np.matmul(masks_R_J, votes_N_J_C)
    top_N_R = counts_N_R_C.max(2)
    winners_N_R_C = (counts_N_R_C == top_N_R[..., None]) & (top_N_R[..., None] > 0)
    number_N_R = winners_N_R_C.sum(2)
    hits_N_R = (winners_N_R_C & right_N_C[:, None]).sum(2)
    return Majority((hits_N_R / np.maximum(number_N_R, 1)).mean(1), (number_N_R > 1).mean(1), (top_N_R == 0).mean(1))


def _subsets(n: int, k: int, limit: int, seed: int) -> NDArray:
    """Subsets as 0/1 rows [R, n]: all of them, or `limit` random ones."""
    if comb(n, k) <= limit:
        picks = np.array(list(combinations(range(n), k)))
    else:
        picks = np.random.default_rng([seed, n, k]).random((limit, n)).argsort(1)[:, :k]
    out = np.zeros((len(picks), n), np.float32)
    np.put_along_axis(out, picks, 1.0, axis=1)
    return out


def _votes(m: Measures) -> tuple[NDArray, NDArray]:
    """One-hot votes [N, J, C] over each item's own classes, and which of these are right [N, C]."""
    local_N_J = np.full(m.classes_N_J.shape, -1)
    for i, row in enumerate(m.classes_N_J):
        given = row >= 0
        local_N_J[i, given] = np.unique(row[given], return_inverse=True)[1]
    width = max(int(local_N_J.max()) + 1, 1)
    votes = (local_N_J[..., None] == np.arange(width)).astype(np.float32)
    right = (votes.astype(bool) & (m.strict_N_J == 1)[..., None]).any(1)
    return votes, right


def _add(table: Table) -> None:
    for arm in table.arms:
        elected = [majorities(m, arm.ks) for m in arm.measures]
        for k in arm.ks:
            table.joint.add(arm.key, f"maj@{k}", [votes[k].accuracy_N for votes in elected])
        tied = tuple(float(np.mean([votes[k].tied_N for votes in elected])) for k in arm.ks)
        silent = tuple(float(np.mean([votes[k].silent_N for votes in elected])) for k in arm.ks)
        arm.beside["maj"] = {"tied": tied, "silent": silent} if arm.ks else {}


def _report(table: Table, lines: Lines) -> None:
    proportion = table.joint.resamples.proportion  # a vote is right or wrong, as an answer is
    for arm, line in lines:
        line.curves["maj"] = curve(table, arm, "maj", lambda mean, values_N, seeds: proportion(*mean, seeds=seeds))


MAJORITY = Metric(
    "majority",
    (Column("maj", "maj@k", "percent", "majority vote, at the largest k", "figures"),),
    _add,
    _report,
)
OPEN_VOTES = Metric(
    "open votes",
    (
        Column("maj/tied", "Tied votes", "ratio", "share of votes with a tie at the top", "figures"),
        Column("maj/silent", "Empty votes", "ratio", "share of votes without any answer", "figures"),
    ),
)
"""columns of what `MAJORITY` records next to its curve; an entry of its own because the report lists them later"""
