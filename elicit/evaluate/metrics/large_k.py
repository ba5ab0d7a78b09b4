"""Coverage at large k, estimated: the beta-binomial model's cov@k next to the counted one (arXiv 2510.05197).

    cov@k = 1 - B(a, b + k) / B(a, b)          k = 1, 2, 4 .. 1024, Beta(a, b) fitted to the counts c_i of n_i

The counted curve `cov` ends at n/2. The model uses all samples and goes beyond them: an extrapolation, as good as the
assumption that success rates have a Beta distribution. So it is compared with what can be counted, cov@k and pass^k at
the largest counted k: if one of them clearly differs (99 % interval, 2 points or more) the model does not fit and its
numbers are refused, those of `cover` too. Not net of guessing. Reported for every policy, from its own samples alone;
for C1 it says how far more base samples go, at the prompt that C1 was drawn at.
"""

from __future__ import annotations

from elicit.evaluate.metrics.coverage import coverage, pass_hat_k
from elicit.evaluate.metrics.metric import Lines, Metric
from elicit.evaluate.metrics.table import Arm, Table
from elicit.evaluate.statistics.beta_binomial import all_right, covered, fit
from elicit.results import Column, Curve
from elicit.results.comparison import ROLES

KS = tuple(2**e for e in range(11))
NAME = "cov_beta"


LEAST_MISFIT = 0.02
MISFITS = {"coverage": (coverage, covered), "pass^k": (pass_hat_k, all_right)}


def misfit(table: Table, arm: Arm) -> str | None:
    """Why the beta-binomial model of an arm cannot be used: what it gives differs from what was counted; else None."""
    joint, k = table.joint, arm.ks[-1]
    for name in MISFITS:
        point, draws_B = joint.mean(arm.key, f"beta misfit {name}")
        gap = joint.resamples.interval(point, draws_B, level=0.99)
        if gap.bounds is not None and abs(point) >= LEAST_MISFIT and not gap.bounds[1] <= 0 <= gap.bounds[2]:
            return f"the beta-binomial model does not fit: its {name} at k={k} is {100 * point:+.1f} points off"
    return None


def _add(table: Table) -> None:
    for arm in table.arms:
        if arm.ks:
            fits = [fit(m.right_N, m.total_N) for m in arm.measures]
            for k in KS:
                table.joint.add(arm.key, f"{NAME}@{k}", [one.values(covered(k)) for one in fits])
            k = arm.ks[-1]
            for name, (counted, modelled) in MISFITS.items():
                gaps = [
                    one.values(modelled(k)) - counted(m.right_N, m.total_N, k)
                    for one, m in zip(fits, arm.measures, strict=True)
                ]
                table.joint.add(arm.key, f"beta misfit {name}", gaps)


def _report(table: Table, lines: Lines) -> None:
    joint = table.joint
    for arm, line in lines:
        if not arm.ks:
            line.curves[NAME] = Curve(refused=f"n = {arm.measures[0].n}: k needs 2k samples")
            continue
        columns = [f"{NAME}@{k}" for k in KS]
        points = [
            joint.resamples.curved(
                *joint.mean(arm.key, column), joint.values_N(arm.key, column), seeds=len(arm.entries)
            )
            for column in columns
        ]
        line.curves[NAME] = Curve(
            k=KS,
            point=tuple(one.point for one in points if one.point is not None),
            lo=tuple(one.lo for one in points if one.lo is not None),
            hi=tuple(one.hi for one in points if one.hi is not None),
            refused=points[0].refused or misfit(table, arm),
        )


LARGE_K = Metric(
    "coverage at large k",
    (
        Column(
            NAME, f"cov@{KS[-1]}, estimated", "percent",
            "beta-binomial extrapolation of coverage beyond the samples at hand", "figures", ROLES,
        ),
    ),
    _add,
    _report,
)  # fmt: skip
