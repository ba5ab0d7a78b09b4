"""Ceilings of the elicitation fraction: what could be reached.

    C1  base coverage at T=1, net of guessing, or coverage by valid traces if traces can be checked
    C2  a declared post-trained sibling       C3  fine-tuning on the task's own gold traces
    C4  the planted ability: the opener forced, or the register key

C1 speaks to the thesis: what selection among the base's own samples could reach. Guessing reaches it too
(on ten-way answers cov@20 of pure guessing is .88). An item is covered if it can be solved, or else if it is guessed:

    cov = s + (1 - s) g        so        C1 = s = (cov - g) / (1 - g)

(cov - g alone would take guessing off the solved items as well.) If the null g exceeds .2 the ceiling is refused (`net`
has the two nulls). The line of C1 holds the raw coverage and g. Does not know files; no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from numpy.typing import NDArray

from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.coverage import coverage, powers
from elicit.evaluate.metrics.net import guessing_null
from elicit.evaluate.metrics.table import Table
from elicit.evaluate.statistics.resamples import Mean
from elicit.records import Item
from elicit.results import Ceiling, Estimate

WORST_GUESSING = 0.2


class C1(NamedTuple):
    """Values of C1 by item (None if refused) and what they are."""

    values_N: NDArray | None
    kind: str
    k: int
    guessing: float | None
    """the larger guessing null, as a share; None if there are too few samples for one"""
    refused: str | None
    coverage_N: NDArray | None = None
    """raw coverage at k by item: of right answers, or of right answers with a valid trace"""

    @property
    def record(self) -> Ceiling:
        """What the comparison records of it."""
        raw = None if self.coverage_N is None else float(self.coverage_N.mean())
        return Ceiling(self.kind, self.k, self.guessing, raw)


def ceiling_c1(
    base: Measures, items: Sequence[Item], answer_class: Callable[[str], str], direct: Measures | None = None
) -> C1:
    """C1 of the base's samples in regime `support` on `items` (in the order of the measures)."""
    ks = powers(int(base.total_N.min()))
    if not ks:
        return C1(None, "coverage", 0, None, f"n={base.n} samples in regime support: at least 2 are needed")
    k = ks[-1]
    null_N = guessing_null(base, items, answer_class, k, direct)
    share = float(null_N.mean())
    if base.has_validator:
        right_N = ((base.strict_N_J == 1) & (base.valid_N_J == 1)).sum(1)
        valid_N = coverage(right_N, base.total_N, k)
        return C1(valid_N, "valid-trace coverage", k, share, None, valid_N)
    kind, raw_N = "coverage net of guessing", coverage(base.right_N, base.total_N, k)
    if share > WORST_GUESSING:
        reason = (
            f"plain guessing covers {share:.2f} of the items at k={k}, above {WORST_GUESSING}: no selection ceiling"
        )
        return C1(None, kind, k, share, reason, raw_N)
    return C1((raw_N - null_N) / (1 - share), kind, k, share, None, raw_N)


def ceiling_mean(table: Table, name: str) -> Mean | Estimate:
    """The joint mean of a ceiling, or a refusal."""
    if name != "C1":
        arm = table.ceiling(name)
        if arm is None:
            return Estimate(refused=table.config.refused.get(name, "no planted ability: the opener was not forced"))
        return table.joint.mean(arm.key)
    if table.c1 is None:
        return Estimate(refused="no samples of the base in regime support")
    return Estimate(refused=table.c1.refused) if table.c1.refused else table.joint.mean("C1")


def ceilings(table: Table) -> dict[str, Estimate]:
    """C1, C4, and C2 and C3 if they were asked for: an estimate each, or why there is none."""
    out: dict[str, Estimate] = {}
    for name in table.ceilings:
        mean = ceiling_mean(table, name)
        if isinstance(mean, Estimate):
            out[name] = mean
        elif name == "C1":  # coverage, perhaps net of guessing
            out[name] = table.joint.resamples.curved(*mean, table.joint.values_N("C1"), bounded=False)
        else:
            arm = table.ceiling(name)
            seeds = len(arm.entries) if arm is not None else 1
            out[name] = table.joint.resamples.proportion(*mean, seeds=seeds)
    return out
