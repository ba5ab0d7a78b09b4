"""Support: which items are solved by whom at K samples (arXiv 2507.14843), with the nulls that it needs.

P solved by both, E by the method only, S by the base only:

    SRR = P/(P+S)      NDR = E/(P+E)      NSCR = (E-S)/(P+E+S)

Rerunning the *same* base makes some of its items look novel. So E0 and S0 come from two disjoint halves of the
base's samples, at K = n/2; `excess` is NDR - NDR0 on the same resampled items; p is of the permutation that swaps
the labels "method" and "base" cluster by cluster (E - S against its sign flips, exact). All of it again with
`valid` solutions only: a right answer counts if its trace is valid. Items with an ungraded sample and no hit are
`unknown` and left out. A statement about the base's support is only
as good as the base's samples: if they are truncated (regime `compare`), or few, E holds items that the base can
solve. `escalate` lists the items that need more base samples; what stays unsolved has a rate below `upper_bound`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.measure import UNGRADED, Measures
from elicit.evaluate.metrics.metric import Lines, Metric, put
from elicit.evaluate.metrics.table import Table
from elicit.evaluate.statistics.resamples import Resamples
from elicit.evaluate.statistics.significance import sign_flip
from elicit.results import Column, Estimate, Line

LEVELS = (64, 256, 1024)
"""base samples per item at which an escalation checks again"""
RATES = ("SRR", "NDR", "NSCR")


class Counts(NamedTuple):
    """Items by who solves them."""

    P: int
    """both"""
    E: int
    """the method only"""
    S: int
    """the base only"""

    @property
    def rates(self) -> dict[str, float | None]:
        """SRR, NDR, NSCR; a rate over nothing is None."""
        p, e, s = self

        def rate(part: float, whole: float) -> float | None:
            return part / whole if whole else None

        return {"SRR": rate(p, p + s), "NDR": rate(e, p + e), "NSCR": rate(e - s, p + e + s)}


@dataclass(frozen=True)
class Solved:
    """Who solves what, by one meaning of "solved"."""

    counts: Counts
    null: Counts
    """the base against itself: the second half of its samples as if they were the method's"""
    unknown: int
    """items left out: an ungraded sample might have been the only hit"""
    p: float | None = None
    intervals: dict[str, Estimate] = field(default_factory=dict)
    """SRR, NDR, NSCR and excess"""


@dataclass(frozen=True)
class Support:
    """Support of a method and of the base at K samples each."""

    K: int
    regime: str
    right: Solved
    """by right answers"""
    valid: Solved | None = None
    """by right answers with a valid trace; None without a validator"""


def support(method: Measures, base: Measures, resamples: Resamples | None = None) -> Support | Estimate:
    """Counts, rates and nulls at K = half of the base's samples; intervals and p if `resamples` are given.

    A refusal if either side has too few samples.
    """
    half = base.n // 2
    if half < 1 or method.n < half:
        return Estimate(
            refused=f"{method.n} samples of the method, {base.n} of the base: at least half of the base's are needed"
        )
    checked = method.has_validator and base.has_validator
    valid = _at(method, base, half, resamples, valid=True) if checked else None
    return Support(half, base.regime, _at(method, base, half, resamples, valid=False), valid)


def _at(method: Measures, base: Measures, half: int, resamples: Resamples | None, valid: bool) -> Solved:
    parts = [(method, 0, half), (base, 0, half), (base, half, 2 * half)]
    known_N = np.all([_decided(*part, valid) for part in parts], axis=0)
    method_N, first_N, second_N = (solved(*part, valid) & known_N for part in parts)
    found = Solved(counts(method_N, first_N), counts(second_N, first_N), int((~known_N).sum()))
    if resamples is None:
        return found
    p = sign_flip(method_N.astype(float) - first_N, resamples.codes_N, resamples.draws)
    return Solved(found.counts, found.null, found.unknown, p, _intervals(method_N, first_N, second_N, resamples))


def _decided(m: Measures, start: int, stop: int, valid: bool) -> NDArray:
    """Whether it is known who solved an item: a hit, or not one ungraded sample that might have been one."""
    return solved(m, start, stop, valid) | (m.strict_N_J[:, start:stop] != UNGRADED).all(1)


def solved(m: Measures, start: int, stop: int, valid: bool = False) -> NDArray:
    """Whether any of these samples is right (and its trace valid), by item."""
    hits_N_J = m.strict_N_J[:, start:stop] == 1
    return (hits_N_J & (m.valid_N_J[:, start:stop] == 1) if valid else hits_N_J).any(1)


def counts(method_N: NDArray, base_N: NDArray) -> Counts:
    """P, E and S of what both sides solve, by item."""
    return Counts(*(int(np.sum(x)) for x in (method_N & base_N, method_N & ~base_N, ~method_N & base_N)))


def _intervals(method_N: NDArray, first_N: NDArray, second_N: NDArray, resamples: Resamples) -> dict[str, Estimate]:
    """Joint bootstrap of the rates, and of the novelty beyond what the base against itself shows."""
    columns = [method_N & first_N, method_N & ~first_N, ~method_N & first_N, second_N & first_N, second_N & ~first_N]
    point_M, draws_B_M = resamples.means(np.stack(columns, axis=1).astype(float))
    seen, drawn = _rates(point_M[None]), _rates(draws_B_M)
    return {name: _interval(resamples, float(seen[name][0]), drawn[name]) for name in seen}


def _rates(pes_B_M: NDArray) -> dict[str, NDArray]:
    """The rates of every row of shares (P, E, S, P0, E0); nan over nothing."""
    p, e, s, p0, e0 = pes_B_M.T
    with np.errstate(invalid="ignore", divide="ignore"):
        ndr = e / (p + e)
        return {"SRR": p / (p + s), "NDR": ndr, "NSCR": (e - s) / (p + e + s), "excess": ndr - e0 / (p0 + e0)}


def _interval(resamples: Resamples, point: float, draws_B: NDArray) -> Estimate:
    """An interval over the draws that have a rate; refused if the rate is over nothing, or often is."""
    known_B = np.isfinite(draws_B)
    if not np.isfinite(point) or known_B.mean() < 0.95:
        return Estimate(refused="a rate over (almost) no solved item")
    return resamples.interval(point, draws_B[known_B])


def upper_bound(drawn: int) -> float:
    """95 % upper bound on a solve rate after `drawn` samples without a hit: 1 - 0.05^(1/K). 1 without a sample.

    >>> round(upper_bound(64), 3), round(upper_bound(1024), 4)
    (0.0457, 0.0029)
    """
    return 1 - 0.05 ** (1 / drawn) if drawn > 0 else 1.0


def novel(method: Measures, base: Measures, valid: bool = False) -> list[str]:
    """Items that the method solves and no sample of the base does (all samples of either count)."""
    hits_N = solved(method, 0, method.n, valid) & ~solved(base, 0, base.n, valid)
    return [item for item, hit in zip(method.items, hits_N, strict=True) if hit]


def escalate(
    wanted: Sequence[str], base: Measures, levels: tuple[int, ...] = LEVELS, valid: bool = False
) -> dict[int, list[str]]:
    """{n: items}: of the wanted items, those that no base sample solves yet, by the n to sample them to next.

    Items that are solved by now, or were sampled to the last level without a hit, need nothing more.
    """
    hit_N, drawn_N = solved(base, 0, base.n, valid), (base.strict_N_J >= 0).sum(1)
    plan: dict[int, list[str]] = {}
    asked = set(wanted)
    for item, hit, drawn in zip(base.items, hit_N, drawn_N, strict=True):
        following = next((level for level in levels if level > drawn), None)
        if item in asked and not hit and following is not None:
            plan.setdefault(following, []).append(item)
    return plan


class Outcome(NamedTuple):
    """What escalated sampling of one item gave."""

    n: int
    """base samples drawn and graded"""
    right: int
    upper_bound: float | None
    """95 % bound on the solve rate if no sample is right"""


def outcome(base: Measures, valid: bool = False) -> dict[str, Outcome]:
    """By item: base samples drawn and graded, right ones, and the upper bound on the rate if none is right."""
    right_N_J = base.strict_N_J == 1
    right_N = (right_N_J & (base.valid_N_J == 1) if valid else right_N_J).sum(1)
    drawn_N = (base.strict_N_J >= 0).sum(1)
    return {
        item: Outcome(int(n), int(c), None if c else upper_bound(int(n)))
        for item, n, c in zip(base.items, drawn_N, right_N, strict=True)
    }


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        if not arm.fitted:
            continue
        found = support(arm.measures[0], table.base.measures[0], table.joint.resamples)
        if isinstance(found, Estimate):
            line.values |= {f"support/{name}": found for name in (*RATES, "excess")}
            continue
        put(line, "support/K", found.K)
        line.notes["support/regime"] = found.regime
        _put_solved(line, "support", found.right)
        if found.valid is not None:
            _put_solved(line, "support/valid", found.valid)


def _put_solved(line: Line, group: str, of: Solved) -> None:
    for name, count in of.counts._asdict().items():
        put(line, f"{group}/{name}", count)
    for name, number in {**of.null._asdict(), **of.null.rates}.items():
        put(line, f"{group}/null/{name}", number)
    put(line, f"{group}/unknown", of.unknown)
    put(line, f"{group}/p", of.p)
    line.values |= {f"{group}/{name}": value for name, value in of.intervals.items()}


SUPPORT = Metric(
    "support",
    (
        Column("support/SRR", "SRR", "percent", "of the base's solved items, still solved", "figures"),
        Column("support/NDR", "NDR", "percent", "of the solved items, new", "figures"),
        Column(
            "support/excess", "NDR over its null", "points", "beyond what the base, sampled again, shows as new",
            "figures",
        ),
        Column("support/NSCR", "NSCR", "ratio", "(new - lost) / all solved", "figures"),
    ),
    report=_report,
)  # fmt: skip
