"""Ceilings of the elicitation fraction: what could be reached.

    C1  base coverage at T=1, net of guessing, or coverage by valid traces if traces can be checked; of the loosest
        reading that all policies have, so that a base that solves without declaring is not taken for one that can't
    C2  a declared post-trained sibling       C3  fine-tuning on the task's own gold traces
    C4  the planted ability: the opener forced, or the register key

C1 speaks to the thesis: what selection among the base's own samples could reach. Guessing reaches it too
(on ten-way answers cov@20 of pure guessing is .88). An item is covered if it can be solved, or else if it is guessed:

    cov = s + (1 - s) g        so        C1 = s = (cov - g) / (1 - g)

(cov - g alone would take guessing off the solved items as well.) If the null g exceeds .2 the ceiling is refused (`net`
has the two nulls). Nulls are made of declared answers; `read_as` gives the undeclared samples an answer, so that a base
that rarely declares is not one that rarely guesses. The line of C1 holds the raw coverage and g. Does not know files;
no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.measure import Measures, Reading
from elicit.evaluate.metrics.coverage import coverage, powers
from elicit.evaluate.metrics.net import guessing_null
from elicit.evaluate.metrics.table import Table
from elicit.evaluate.statistics.resamples import Mean
from elicit.records import Item
from elicit.results import Ceiling, Estimate

WORST_GUESSING = 0.2
ENOUGH = 8
"""wrong answers of an item that show how varied its guesses are"""
READ: dict[Reading, str] = {
    "strict": "declared answers", "lenient": "lenient grades", "any": "lenient grades and first declarations"
}  # fmt: skip
"""what a reading counts, in the name of C1's kind"""


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
    reading: Reading = "lenient"

    @property
    def record(self) -> Ceiling:
        """What the comparison records of it."""
        raw = None if self.coverage_N is None else float(self.coverage_N.mean())
        return Ceiling(self.kind, self.k, self.guessing, raw, self.reading)


def ceiling_c1(
    base: Measures,
    items: Sequence[Item],
    answer_class: Callable[[str], str],
    direct: Measures | None = None,
    reading: Reading = "lenient",
) -> C1:
    """C1 of the base's samples in regime `support` on `items` (in the order of the measures), under one reading."""
    base = read_as(base, reading, items, answer_class)
    direct = direct and read_as(direct, reading, items, answer_class)
    ks = powers(int(base.total_N.min()))
    if not ks:
        return C1(
            None, "coverage", 0, None, f"n={base.n} samples in regime support: at least 2 are needed", reading=reading
        )
    k = ks[-1]
    null_N = guessing_null(base, items, answer_class, k, direct)
    share = float(null_N.mean())
    if base.has_validator:
        right_N = ((base.strict_N_J == 1) & (base.valid_N_J == 1)).sum(1)
        valid_N = coverage(right_N, base.total_N, k)
        kind = f"valid-trace coverage, of {READ[reading]}"
        return C1(valid_N, kind, k, share, None, valid_N, reading)
    kind, raw_N = f"coverage net of guessing, of {READ[reading]}", coverage(base.right_N, base.total_N, k)
    if share > WORST_GUESSING:
        reason = (
            f"plain guessing covers {share:.2f} of the items at k={k}, above {WORST_GUESSING}: no selection ceiling"
        )
        return C1(None, kind, k, share, reason, raw_N, reading)
    return C1((raw_N - null_N) / (1 - share), kind, k, share, None, raw_N, reading)


def read_as(m: Measures, reading: Reading, items: Sequence[Item], answer_class: Callable[[str], str]) -> Measures:
    """The measures with the grades of a reading as their strict ones, and an answer for every undeclared sample.

    The guessing null exchanges answers between items. A sample that was read without being declared has the gold
    answer if it is right; if it is wrong its answer is not stored, so it takes a wrong one that the same item declared,
    or any item if that one declared fewer than ENOUGH: a few say nothing of how varied its guesses are. Drawn with a
    fixed seed; blank samples have no answer.
    """
    right_N_J, golds = m.read(reading), [answer_class(item.gold or "") for item in items]
    names = list(dict.fromkeys([*m.class_names, *golds]))
    codes = {name: code for code, name in enumerate(names)}
    classes_N_J = m.classes_N_J.copy()
    open_N_J = (classes_N_J < 0) & (right_N_J >= 0) & ~m.empty_N_J
    wrong_N_J = open_N_J & (right_N_J == 0)
    gold_N_J = np.broadcast_to(np.array([codes[gold] for gold in golds])[:, None], classes_N_J.shape)
    classes_N_J[open_N_J & ~wrong_N_J] = gold_N_J[open_N_J & ~wrong_N_J]
    rng, every = np.random.default_rng([m.n, len(items)]), m.classes_N_J[m.classes_N_J >= 0]
    for i in np.flatnonzero(wrong_N_J.any(1)):
        declared = m.classes_N_J[i][(m.classes_N_J[i] >= 0) & (right_N_J[i] == 0)]
        pool = declared if len(declared) >= ENOUGH else every
        if len(pool):
            classes_N_J[i, wrong_N_J[i]] = rng.choice(pool, int(wrong_N_J[i].sum()))
    return replace(m, strict_N_J=right_N_J, classes_N_J=classes_N_J, class_names=tuple(names))


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
