"""agreement: do two policies solve the same items and give the same answers, beyond chance?

One sample of policy A and one of policy B on the same item agree with probability o; e is what their accuracies alone
would give; kappa = (o - e) / (1 - e): 0 chance, 1 always, below 0 less than chance.

    right      o = mean_i [ p_i q_i + (1 - p_i)(1 - q_i) ]      e = P Q + (1 - P)(1 - Q)
    answers    o = mean_i P(same answer class)                  e = P Q + (1 - P)(1 - Q) w
    solved     cov_i(p, q) / sqrt( var_i(p) var_i(q) )          free of sampling noise: 1 means the same items

p_i, q_i are the solve rates on item i and P, Q their means over items (error consistency, arXiv 2006.16736). w is the
probability that two *wrong* answers, drawn from the answers that each policy gives over all items, are the same: two
policies that often say "7" agree by chance. It is a constant of the intervals. Samples without an answer are left out
of `answers`. A policy with itself: two different samples, the most that another policy can be expected to reach.

Agreement beyond chance is no proof of a common mechanism: any two policies of one base find the same items easy.
Compare with what a placebo reaches and with the pair's own diagonal. Ungraded and missing samples count nowhere.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, drawing, formatted, reading
from elicit.evaluate.lenses.view import Side, View
from elicit.results import Estimate

KINDS = ("right", "answers", "solved")
ALONE = "an item has fewer than two graded samples, so a policy can't be compared with itself"
UNDEFINED = "one of the two is right or wrong on every item"


@dataclass(frozen=True)
class Agreement:
    """Kappa of right and wrong, and of answers, for every pair of policies."""

    name: str = "agreement"
    about: str = "agreement of two policies item by item beyond chance (Cohen's kappa): on right and wrong, on answers"
    source: str = "2006.16736"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        sides = list(view.sides)
        pairs: dict[tuple[str, str], dict[str, Estimate]] = {}
        for a, b in combinations_with_replacement(sides, 2):
            pairs[a.name, b.name] = pairs[b.name, a.name] = pair_agreement(view, a, b)
        base = view.base.name
        columns: dict[str, dict[str, Estimate]] = {}
        for side in sides:
            own, other = pairs[side.name, side.name], pairs[side.name, base]
            columns[side.name] = {f"{kind}, with itself": own[kind] for kind in ("right", "answers")}
            if side is not view.base:
                columns[side.name] |= {f"{kind}, with the base": other[kind] for kind in KINDS}
        table: list[dict[str, Any]] = [
            {"policy": a, "with": b, "column": kind, **asdict(of_pair[kind])}
            for (a, b), of_pair in pairs.items()
            for kind in KINDS
        ]
        names = [side.name for side in sides]
        heat = {a: [pairs[a, b]["right"] for b in names] for a in names}
        figure = drawing("heat", "Agreement on right and wrong beyond chance", "with", "kappa", names, heat)
        says = [
            f"{side.name}: kappa {formatted(pairs[side.name, base]['right'], False)} with the base on right and wrong, "
            f"{formatted(pairs[side.name, base]['answers'], False)} on answers; "
            f"with itself {formatted(pairs[side.name, side.name]['right'], False)}"
            for side in sides[1:]
        ] or [f"{base}: kappa {formatted(pairs[base, base]['right'], False)} with itself on right and wrong"]
        return reading(self, columns, figure, says, table)


def pair_agreement(view: View, a: Side, b: Side) -> dict[str, Estimate]:
    """ "right", "answers" and "solved" of one pair. For a policy with itself, over two different samples."""
    same = a is b
    # 1) by item: solve rates, the probability that both are right, and the moments that `solved` needs
    (p_N, pp_N), (q_N, qq_N) = _rates(a), _rates(b)
    both_N = pp_N if same else p_N * q_N
    known_N = np.isfinite(both_N)
    if not known_N.any():
        return dict.fromkeys(KINDS, Estimate(refused=ALONE if same else "no item that both were graded on"))

    def statistic(columns: list[NDArray], function: Any, undefined: str, known_N: NDArray = known_N) -> Estimate:
        # items without a pair drop out of numerator and denominator alike
        values_N_M = np.stack([*columns, np.ones_like(known_N, float)], 1)
        values_N_M = np.where(known_N[:, None], values_N_M, 0.0)
        return view.bootstrap.statistic(values_N_M, lambda m: function(m[..., :-1] / m[..., -1:]), undefined)

    def kappa_of_right(m: NDArray) -> NDArray:
        both, p, q = m[..., 0], m[..., 1], m[..., 2]
        expected = p * q + (1 - p) * (1 - q)
        return (2 * both - p - q + 1 - expected) / (1 - expected)

    out = {"right": statistic([both_N, p_N, q_N], kappa_of_right, UNDEFINED)}
    # 2) the correlation of the true solve rates: E[p^2] from pairs of different samples has no sampling noise
    known_NN = known_N & np.isfinite(pp_N) & np.isfinite(qq_N)
    out["solved"] = (
        Estimate(refused="a policy with itself: 1 by definition")
        if same
        else statistic([both_N, p_N, q_N, pp_N, qq_N], _correlation, "no spread of solve rates beyond noise", known_NN)
        if known_NN.any()
        else Estimate(refused=ALONE)
    )
    # 3) answers: classes are compared by their names, because every policy numbers its own
    shares = [_answers(side) for side in (a, b)]
    agree_N = np.array([_identical(x) if same else _overlap(x, y) for x, y in zip(*shares, strict=True)])
    answered_N = known_N & np.isfinite(agree_N)
    chance = _overlap(_wrong(a), _wrong(b))
    chance = 0.0 if np.isnan(chance) else chance

    def kappa_of_answers(m: NDArray) -> NDArray:
        p, q = m[..., 1], m[..., 2]
        expected = p * q + (1 - p) * (1 - q) * chance
        return (m[..., 0] - expected) / (1 - expected)

    rates = [_right_of_answered(side) for side in (a, b)]
    out["answers"] = (
        statistic([agree_N, *rates], kappa_of_answers, UNDEFINED, answered_N)
        if answered_N.any()
        else Estimate(refused="no item with an answer of both")
    )
    return out


def _correlation(m: NDArray) -> NDArray:
    both, p, q, pp, qq = (m[..., k] for k in range(5))
    spread = (pp - p**2) * (qq - q**2)
    usable = ((pp - p**2) > 0) & ((qq - q**2) > 0)
    return np.where(usable, (both - p * q) / np.sqrt(np.where(usable, spread, 1.0)), np.nan)


def _rates(side: Side) -> tuple[NDArray, NDArray]:
    """(solve rate, probability that two different samples are right) by item; nan without the samples for it."""
    total_N = side.graded_N_J.sum(1).astype(float)
    right_N = side.right_N_J.sum(1).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate_N, pair_N = right_N / total_N, right_N * (right_N - 1) / (total_N * (total_N - 1))
    return np.where(total_N > 0, rate_N, np.nan), np.where(total_N > 1, pair_N, np.nan)


def _answered(side: Side) -> NDArray:
    """Bool [N, J]: graded samples with an answer."""
    return side.graded_N_J & (side.measures.classes_N_J >= 0)


def _right_of_answered(side: Side) -> NDArray:
    """Share of right samples among those with an answer, by item; nan without one."""
    answered_N_J = _answered(side)
    total_N = answered_N_J.sum(1)
    return np.where(total_N > 0, (side.right_N_J & answered_N_J).sum(1) / np.maximum(total_N, 1), np.nan)


def _counts(side: Side, chosen_J: NDArray, i: int) -> dict[str, float]:
    names, codes = side.measures.class_names, side.measures.classes_N_J[i][chosen_J]
    return {names[code]: float(count) for code, count in zip(*np.unique(codes, return_counts=True), strict=True)}


def _answers(side: Side) -> list[dict[str, float]]:
    """By item: number of samples of each answer class, by its name."""
    return [_counts(side, chosen_J, i) for i, chosen_J in enumerate(_answered(side))]


def _wrong(side: Side) -> dict[str, float]:
    """The wrong answers over all items, by name."""
    out: dict[str, float] = {}
    for i, chosen_J in enumerate(_answered(side) & ~side.right_N_J):
        for name, count in _counts(side, chosen_J, i).items():
            out[name] = out.get(name, 0.0) + count
    return out


def _overlap(a: dict[str, float], b: dict[str, float]) -> float:
    """Probability that one draw of each is the same answer; nan if one has none.

    >>> _overlap({"1": 3.0, "2": 1.0}, {"1": 1.0, "3": 1.0})
    0.375
    """
    total = sum(a.values()) * sum(b.values())
    return sum(count * b.get(name, 0.0) for name, count in a.items()) / total if total else float("nan")


def _identical(counts: dict[str, float]) -> float:
    """Probability that two different samples of one policy give the same answer; nan for fewer than two.

    >>> _identical({"1": 3.0, "2": 1.0})
    0.5
    """
    total = sum(counts.values())
    same = sum(count * (count - 1) for count in counts.values())
    return same / (total * (total - 1)) if total > 1 else float("nan")
