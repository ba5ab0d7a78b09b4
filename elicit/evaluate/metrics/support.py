"""Support: which items are solved by whom at K samples (arXiv 2507.14843), with the nulls that it needs.

P solved by both, E by the method only, S by the base only:

    SRR = P/(P+S)      NDR = E/(P+E)      NSCR = (E-S)/(P+E+S)      novel = (E-E0)/(items that the base missed)

Rerunning the *same* base makes some of its items look novel. So E0 and S0 come from two disjoint halves of the
base's samples, at K = n/2 (fewer if the method has fewer): P, E and S against the first half, P0 and E0 of the second
half against the first. `excess` is NDR - NDR0 on the same resampled items. It can hardly see a method that solves
everything, as the items that both solve dilute it; `novel` is the paired difference E - E0 as a share of the items
that the base's first half missed. p is of the permutation that swaps the labels "method" and "base" cluster by cluster
(E - S against its sign flips, exact). All of it again with `valid` solutions only: a right answer counts if its trace
is valid. Items with an ungraded sample and no hit are `unknown` and left out. Counts of several training seeds are sums
over the seeds (the nulls too), intervals have the seeds as their top level.

Truncated sampling (regime `compare`) changes the support by construction, and so does another prompt. So both sides are
samples of regime `support` at one prompt: the base's own, B1's or those of its ceiling C1, the method's own or its
graded samples at T=1 (`Entry.at_one`, of some items). A strategy draws by a rule of its own in any regime. Without such
samples everything is refused, also if C1 was drawn at another prompt than the method's samples.
`escalate` lists the items that need more base samples; what stays unsolved has a rate below `upper_bound`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.entry import Entry, grader_of
from elicit.evaluate.measures.annotations import annotations_of
from elicit.evaluate.measures.measure import UNGRADED, Measures, measure
from elicit.evaluate.metrics.metric import TWO_SEEDS, Lines, Metric, drawn_elsewhere, put
from elicit.evaluate.metrics.table import Arm, Table
from elicit.evaluate.statistics.joint import Joint
from elicit.evaluate.statistics.resamples import Resamples
from elicit.evaluate.statistics.significance import sign_flip, tail_share
from elicit.evaluate.store import SampleFolder, StageFolder
from elicit.results import Column, Estimate, Line

LEVELS = (64, 256, 1024)
"""base samples per item at which an escalation checks again"""
RATES = ("SRR", "NDR", "NSCR", "excess", "novel")
TRUNCATED = Estimate(
    refused="samples of regime compare: truncated sampling changes the support; eval=support samples both sides at T=1"
)
NO_BASE = Estimate(refused="no samples of the base in regime support: eval.support_n samples them, or eval=support")


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
    p: Estimate | None = None
    intervals: dict[str, Estimate] = field(default_factory=dict)
    """by `RATES`"""


@dataclass(frozen=True)
class Support:
    """Support of a method and of the base at K samples each."""

    K: int
    regime: str
    right: Solved
    """by right answers"""
    valid: Solved | None = None
    """by right answers with a valid trace; None without a validator"""


@dataclass(frozen=True)
class Drawn:
    """Samples of one policy in regime `support`, on some items of the comparison."""

    seeds: tuple[Measures, ...]
    index_N: NDArray
    """number of each of these items in the comparison"""


def support(
    seeds: Sequence[Measures], base: Measures, resamples: Resamples | None = None, index_N: NDArray | None = None
) -> Support | Estimate:
    """Counts, rates and nulls of the seeds of one method; intervals and p if `resamples` are given.

    `index_N` are the numbers of these items among those of the resamples; None: all of them. A refusal if either side
    has too few samples.
    """
    half, least = base.n // 2, min(m.n for m in seeds)
    if half < 1 or least < min(half, 2):
        return Estimate(refused=f"{least} samples of the method, {base.n} of the base: at least 2 of either are needed")
    k = min(half, least)
    checked = base.has_validator and all(m.has_validator for m in seeds)
    index_N = np.arange(len(base.items)) if index_N is None else index_N
    found = [_at(seeds, base, k, resamples, index_N, valid) for valid in ((False, True) if checked else (False,))]
    return Support(k, base.regime, found[0], found[1] if checked else None)


def _at(
    seeds: Sequence[Measures], base: Measures, k: int, resamples: Resamples | None, index_N: NDArray, valid: bool
) -> Solved:
    # 1) who solves what, by seed and item, and the counts over all seeds
    by_seed = [_solvers(m, base, k, valid) for m in seeds]
    found = Solved(
        counts=Counts(*(int(sum(one[name].sum() for one in by_seed)) for name in ("P", "E", "S"))),
        null=Counts(*(int(sum(one[name].sum() for one in by_seed)) for name in ("P0", "E0", "S0"))),
        unknown=int(sum((~one["known"]).sum() for one in by_seed)),
    )
    if resamples is None:
        return found
    # 2) the joint bootstrap of the shares, seeds as its top level; items that were not sampled have no part in any
    joint = Joint(resamples)
    for name in ("P", "E", "S", "P0", "E0", "missed"):
        joint.add("method", name, [_spread(one[name], index_N, resamples) for one in by_seed])
    joint.solve()
    names = ("P", "E", "S", "P0", "E0", "missed")
    seen = _rates({name: np.array([joint.mean("method", name)[0]]) for name in names})
    drawn = _rates({name: joint.mean("method", name)[1] for name in names})
    intervals = {name: _interval(resamples, float(seen[name][0]), drawn[name]) for name in RATES}
    # 3) p of E - S
    gain_N = joint.values_N("method", "E") - joint.values_N("method", "S")
    p = Estimate(sign_flip(gain_N, resamples.codes_N, resamples.draws))
    if len(seeds) == 2:
        p = TWO_SEEDS
    elif len(seeds) > 2:
        over_seeds = tail_share(joint.mean("method", "E")[1] - joint.mean("method", "S")[1])
        p = Estimate(max(p.point or 0.0, over_seeds))
    return Solved(found.counts, found.null, found.unknown, p, intervals)


def _solvers(m: Measures, base: Measures, k: int, valid: bool) -> dict[str, NDArray]:
    """By item: solved by both, by one side only, the same of the base's halves, missed by the base's first half."""
    parts = [(m, 0, k), (base, 0, k), (base, k, 2 * k)]
    known_N = np.all([_decided(*part, valid) for part in parts], axis=0)
    method_N, first_N, second_N = (solved(*part, valid) & known_N for part in parts)
    return {
        "P": method_N & first_N, "E": method_N & ~first_N, "S": ~method_N & first_N,
        "P0": second_N & first_N, "E0": second_N & ~first_N, "S0": ~second_N & first_N,
        "missed": known_N & ~first_N, "known": known_N,
    }  # fmt: skip


def _spread(values_N: NDArray, index_N: NDArray, resamples: Resamples) -> NDArray:
    """Values of some items as values of all items of the comparison, 0 elsewhere."""
    out = np.zeros(len(resamples.codes_N))
    out[index_N] = values_N
    return out


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


def _rates(shares: dict[str, NDArray]) -> dict[str, NDArray]:
    """The rates of shares P, E, S, P0, E0 and missed, draw by draw; nan over nothing."""
    p, e, s, p0, e0, missed = (shares[name] for name in ("P", "E", "S", "P0", "E0", "missed"))
    with np.errstate(invalid="ignore", divide="ignore"):
        ndr = e / (p + e)
        return {
            "SRR": p / (p + s), "NDR": ndr, "NSCR": (e - s) / (p + e + s), "excess": ndr - e0 / (p0 + e0),
            "novel": (e - e0) / missed,
        }  # fmt: skip


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


def base_drawn(table: Table, arm: Arm) -> Measures | Estimate:
    """The base's samples in regime `support` at the prompt of an arm, or the reason why there are none."""
    base = table.base_in_support(arm)
    if base is not None:
        return base.measures[0]
    if table.at_base(arm):
        return NO_BASE if table.c1_elsewhere is None else Estimate(refused=drawn_elsewhere(table.c1_elsewhere))
    own = " or ".join(dict.fromkeys(entry.prompt for entry in arm.entries))
    return Estimate(refused=f"no samples of the base in regime support at its prompt, {own}: see the line at B0's")


def drawn_at_one(table: Table, arm: Arm) -> Drawn | Estimate:
    """Samples of an arm in regime `support`, or the reason why there are none."""
    every = np.arange(len(table.items))
    if arm.regime == "support" or all(_own_rule(entry) for entry in arm.entries):
        return Drawn(tuple(arm.measures), every)
    folders = [entry.at_one for entry in arm.entries]
    if any(folder is None for folder in folders):
        return TRUNCATED
    known = set.intersection(*(SampleFolder(Path(folder)).items for folder in folders if folder is not None))
    index_N = np.array([i for i, item in enumerate(table.items) if item.id in known], int)
    items = [table.items[i] for i in index_N]
    if not items:
        return TRUNCATED
    seeds = []
    for entry in arm.entries:
        samples = SampleFolder(Path(entry.at_one or entry.samples))
        grades = samples.sibling("grades")
        if not StageFolder(grades).finished:
            return Estimate(refused=f"{TRUNCATED.refused}; its samples at T=1 were not graded")
        if grader_of(grades) != grader_of(Path(entry.grades)):
            return Estimate(refused="its samples at T=1 were graded by another version; elicit score grades them again")
        seeds.append(measure(samples.path, grades, items))
    return Drawn(tuple(seeds), index_N)


def _own_rule(entry: Entry) -> bool:
    """Whether a strategy drew the samples by a rule of its own, which is the same in every regime."""
    about = StageFolder(annotations_of(Path(entry.samples))).manifest
    return bool(about.get("selecting") or about.get("own_rule"))


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        if not arm.fitted:
            continue
        drawn, base = drawn_at_one(table, arm), base_drawn(table, arm)
        found: Support | Estimate
        if isinstance(drawn, Estimate):
            found = drawn
        elif isinstance(base, Estimate):
            found = base
        else:
            found = support(drawn.seeds, base.at(drawn.index_N.tolist()), table.joint.resamples, drawn.index_N)
        if isinstance(found, Support):
            line.notes |= {"support/regime": found.regime, "support/seeds": len(arm.entries)}
            put(line, "support/K", found.K)
            put(line, "support/n_items", len(drawn.index_N) if isinstance(drawn, Drawn) else None)
            _put_solved(line, "support", found.right)
            if found.valid is not None:
                _put_solved(line, "support/valid", found.valid)
        else:
            line.values |= {f"support/{name}": found for name in RATES}


def _put_solved(line: Line, group: str, of: Solved) -> None:
    for name, count in of.counts._asdict().items():
        put(line, f"{group}/{name}", count)
    for name, number in {**of.null._asdict(), **of.null.rates}.items():
        put(line, f"{group}/null/{name}", number)
    put(line, f"{group}/unknown", of.unknown)
    if of.p is not None:
        line.values[f"{group}/p"] = of.p
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
        Column(
            "support/novel", "New, over the base again", "points",
            "at temperature 1, of the items that the base missed: solved by the method, less those that the base, "
            "sampled again, solves", "figures",
        ),
        Column("support/NSCR", "NSCR", "ratio", "(new - lost) / all solved", "figures"),
    ),
    report=_report,
)  # fmt: skip
