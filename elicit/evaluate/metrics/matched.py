"""Compute-matched base: what the base reaches with the method's tokens, by a majority vote and by self-certainty.

k is the largest number of base samples whose mean tokens stay within the method's mean tokens per answer. A vote of k
needs k samples, so up to all n of the base are used; if the tokens pay for more than the base has, the differences are
refused and only their raw values at k = n are kept: `eval.base_n` samples the base more often.
The paired differences method - base maj@k and method - base best-of-k are mandatory columns: a gain that the same
tokens buy from the untouched base is not elicitation. The `hardest` of the two is the one with the lower bound nearest
to no gain. Computed in the regime of the comparison and, if the base was sampled in regime `support` too, against its
samples at temperature 1 (`matched_support`). Both sides are asked with B0's prompt: if C1 was drawn at another one,
`matched_support` is refused, because its votes would gain by the prompt and not by tokens.
"""

from __future__ import annotations

from dataclasses import replace
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.errors import ConfigError
from elicit.evaluate.measures.measure import MISSING, UNGRADED, Measures
from elicit.evaluate.metrics.majority import majority
from elicit.evaluate.metrics.metric import CONTROLS_ELSEWHERE, NOT_A_METHOD, Lines, Metric, drawn_elsewhere, put
from elicit.evaluate.metrics.table import Arm, Table
from elicit.results import Column, Estimate, Line

GROUPS = ("matched", "matched_support")
"""keys by the place of the base in `Table.matched_bases`"""
NO_CERTAINTY = Estimate(
    refused="the base's samples were stored without their self-certainty: delete them, sample them again"
)


class Match(NamedTuple):
    """How many base samples the method's tokens pay for."""

    k: int
    """at least 1, at most the n of the base"""
    note: str | None
    refused: str | None = None
    """why the difference cannot be decided: the tokens pay for more samples than the base has"""


def matched_k(method_tokens: float, base: Measures) -> Match:
    """The k to vote with; a note if it was bounded by 1 (the method is cheaper) or by the samples at hand."""
    single = float(np.nanmean(base.tokens_N_J))
    k = int(method_tokens / single + 1e-9) if single > 0 else 0
    if k < 1:
        return Match(1, "one base sample already costs more tokens than the method")
    if k > base.n:
        capped = f"the method's tokens pay for k={k}, the base has n={base.n}"
        return Match(base.n, f"{capped}: capped there", f"not decidable: {capped} (eval.base_n, eval.support_n)")
    return Match(k, None)


def best_of_k(m: Measures, k: int) -> NDArray | None:
    """By item: accuracy of the most self-certain of k samples (arXiv 2502.18581), exact over all k-subsets of the n.

    In descending order of certainty the r-th sample (from 0) is the best of C(n-1-r, k-1) of the C(n, k) subsets;
    equals share their subsets. Missing samples come last and are wrong, ungraded ones leave n: an item with
    fewer than k graded ones gives its best of all, nan without any. None if the samples' certainty is not known.
    Raises ConfigError unless 1 <= k <= n.
    """
    if not 1 <= k <= m.n:
        raise ConfigError(f"k={k} of {m.n} samples: take 1 <= k <= {m.n}")
    if m.certainty_N_J is None:
        return None
    counted_N_J = m.strict_N_J != UNGRADED
    unknown_N_J = np.isnan(m.certainty_N_J) | (m.strict_N_J == MISSING)
    certainty_N_J = np.where(unknown_N_J, -np.inf, m.certainty_N_J)
    order_N_J = np.lexsort((-certainty_N_J, ~counted_N_J))  # ungraded last, after the missing
    ranked_N_J = np.take_along_axis(np.where(counted_N_J, certainty_N_J, np.nan), order_N_J, 1)
    right_N_J = np.take_along_axis(m.strict_N_J == 1, order_N_J, 1)
    shares_N_J = np.zeros(ranked_N_J.shape)
    for n in np.unique(counted_N_J.sum(1)):
        shares_N_J[counted_N_J.sum(1) == n, :n] = _shares(int(n), k)
    return np.where(counted_N_J.any(1), _over_equals(ranked_N_J, shares_N_J, right_N_J), np.nan)


def _shares(n: int, k: int) -> NDArray:
    """Share of the k-subsets of n whose first is the r-th, C(n-1-r, k-1) / C(n, k), [n]; k at most n."""
    k = min(k, n)
    return np.array([comb(n - 1 - r, k - 1) / comb(n, k) for r in range(n)])


def _over_equals(ranked_N_J: NDArray, shares_N_J: NDArray, right_N_J: NDArray) -> NDArray:
    """sum over runs of equal values of (their shares) x (their mean right); the rows of `ranked_N_J` are sorted."""
    rows, width = ranked_N_J.shape
    new_N_J = np.ones((rows, width), bool)
    new_N_J[:, 1:] = ranked_N_J[:, 1:] != ranked_N_J[:, :-1]
    run = (np.arange(rows)[:, None] * width + new_N_J.cumsum(1) - 1).ravel()
    size = np.bincount(run, minlength=rows * width)
    shares = np.bincount(run, shares_N_J.ravel(), rows * width)
    right = np.bincount(run, right_N_J.ravel(), rows * width)
    return (shares * right / np.maximum(size, 1)).reshape(rows, width).sum(1)


def _match(arm: Arm, base: Arm) -> Match:
    tokens = float(np.mean([np.nanmean(m.tokens_N_J) for m in arm.measures]))
    return matched_k(tokens, base.measures[0])


def _add(table: Table) -> None:
    for base in table.matched_bases:
        of_base = base.measures[0]
        for k in sorted({_match(arm, base).k for arm in table.arms if arm.fitted}):
            table.joint.add(base.key, f"vote@{k}", [majority(of_base, k).accuracy_N])
            if (best_N := best_of_k(of_base, k)) is not None:
                table.joint.add(base.key, f"best@{k}", [best_N])


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        if not arm.fitted:
            _refuse(line, GROUPS[0], NOT_A_METHOD)
            continue
        for base, group in zip(table.matched_bases, GROUPS, strict=False):
            if table.at_base(arm):
                _against(table, arm, base, line, group)
            else:
                _refuse(line, group, CONTROLS_ELSEWHERE)
        if table.c1_elsewhere is not None and table.base.regime != "support":
            elsewhere = Estimate(refused=drawn_elsewhere(table.c1_elsewhere))
            _refuse(line, GROUPS[1], elsewhere if table.at_base(arm) else CONTROLS_ELSEWHERE)


def _refuse(line: Line, group: str, reason: Estimate) -> None:
    for key in ("difference", "best", "hardest"):
        line.values[f"{group}/{key}"] = reason


def _against(table: Table, arm: Arm, base: Arm, line: Line, group: str) -> None:
    """Paired differences to as many samples of `base` as the arm's tokens pay for: to their vote and their surest."""
    match, joint, own = _match(arm, base), table.joint, table.joint.mean(arm.key)
    vote = joint.mean(base.key, f"vote@{match.k}")
    differences = [joint.resamples.difference(own, vote)]
    put(line, f"{group}/k", match.k)
    put(line, f"{group}/base", vote[0])
    if joint.has(base.key, f"best@{match.k}"):
        best = joint.mean(base.key, f"best@{match.k}")
        differences.append(joint.resamples.difference(own, best))
        put(line, f"{group}/best_base", best[0])
    else:
        differences.append(NO_CERTAINTY)
    claimed = [value for value in differences if value.bounds is not None]
    hardest = min(claimed, key=lambda value: value.lo or 0.0) if claimed else differences[0]
    for key, value in zip(("difference", "best", "hardest"), (*differences, hardest), strict=True):
        undecided = match.refused is not None and value.refused is None
        line.values[f"{group}/{key}"] = replace(value, refused=match.refused) if undecided else value
    line.notes[f"{group}/regime"] = base.regime
    if match.note is not None:
        line.notes[f"{group}/note"] = match.note


MATCHED = Metric(
    "matched base",
    (
        Column(
            "matched/hardest", "At equal tokens", "points",
            "paired difference to what the base's own samples give for the same tokens: their vote or the surest of "
            "them, whichever is harder to beat, points", "scorecard",
        ),
        Column(
            "matched_support/hardest", "At equal tokens, T=1", "points",
            "the same against the base's samples at temperature 1 (regime support), points", "scorecard",
        ),
        Column("matched/difference", "Over the vote", "points", "at equal tokens, over the base's vote", "figures"),
        Column(
            "matched/best", "Over the surest", "points", "at equal tokens, over the most self-certain base sample",
            "figures",
        ),
        Column(
            "matched_support/difference", "Over the vote, T=1", "points",
            "at equal tokens, over the base's vote at temperature 1", "figures",
        ),
        Column(
            "matched_support/best", "Over the surest, T=1", "points",
            "at equal tokens, over the most self-certain base sample at temperature 1", "figures",
        ),
    ),
    _add,
    _report,
)  # fmt: skip
