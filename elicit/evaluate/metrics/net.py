"""cov_net@k: coverage net of guessing. What is left of cov@k after the larger of two guessing nulls is subtracted.

    permuted   the policy's own answers, taken from other items of the same answer type
    direct     draws at a prompt that asks for the answer alone, if they were sampled (ceiling C1/direct)

A difference in points: an item that guessing alone would have covered does not count, even if the policy can solve it.
(C1, which is a ceiling for an accuracy, divides by 1 - guessing: see `ceilings`.)
On ten-way answers plain guessing covers .88 of the items in 20 samples: cov@k alone then says nothing. The null
that counts is the one with the larger mean. May be negative. The task decides what an answer is (`answer_class`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.coverage import coverage
from elicit.evaluate.metrics.metric import Lines, Metric, curve
from elicit.evaluate.metrics.table import Table
from elicit.records import Item
from elicit.results import Column

PERMUTATIONS = 20


def coverage_net(
    m: Measures, items: Sequence[Item], answer_class: Callable[[str], str], k: int, direct: Measures | None = None
) -> tuple[NDArray, NDArray]:
    """(cov_net@k, the subtracted null) by item [N]. Raises ConfigError if an item has fewer than 2k samples.

    `direct` are the direct-answer draws on the same items; with fewer than 2k of them they are left out.
    """
    null_N = guessing_null(m, items, answer_class, k, direct)
    return coverage(m.right_N, m.total_N, k) - null_N, null_N


def guessing_null(
    m: Measures, items: Sequence[Item], answer_class: Callable[[str], str], k: int, direct: Measures | None = None
) -> NDArray:
    """The larger of the two guessing nulls, by item [N]."""
    null_N = guessing(m, items, answer_class, k)
    if direct is not None and int(direct.total_N.min()) >= 2 * k:
        null_N = max(null_N, coverage(direct.right_N, direct.total_N, k), key=lambda values: float(values.mean()))
    return null_N


def guessing(base: Measures, items: Sequence[Item], answer_class: Callable[[str], str], k: int) -> NDArray:
    """cov@k by item [N] of answers taken from another item of the same answer type, mean over permutations."""
    codes = {name: i for i, name in enumerate(base.class_names)}
    golds_N = np.array([codes.get(answer_class(item.gold), -2) if item.gold is not None else -2 for item in items])
    types_N = np.unique([answer_type(item.gold or "") for item in items], return_inverse=True)[1]
    rng = np.random.default_rng([k, len(items)])
    donors_R_N = np.stack([_derangement(types_N, rng) for _ in range(PERMUTATIONS)])
    hits_R_N = (base.classes_N_J[donors_R_N] == golds_N[:, None]).sum(2)
    total_R_N = np.broadcast_to(base.total_N, hits_R_N.shape)
    covered = coverage(np.minimum(hits_R_N, total_R_N).ravel(), total_R_N.ravel(), k)
    return covered.reshape(hits_R_N.shape).mean(0)


def answer_type(gold: str) -> str:
    """The kind of an answer: only answers of one kind are exchanged.

    >>> [answer_type(gold) for gold in ("7", "3/4", "b", "up down")]
    ['integer', 'number', 'letter', 'text']
    """
    text = gold.strip().replace(",", "")
    if re.fullmatch(r"[-+]?\d+", text):
        return "integer"
    if re.fullmatch(r"[-+]?(?:\d++(?:\.\d++)?|\.\d++)(\s*/\s*\d+)?%?", text):
        return "number"
    return "letter" if re.fullmatch(r"\(?[A-Za-z]\)?", text) else "text"


def _derangement(types_N: NDArray, rng: np.random.Generator) -> NDArray:
    """Pairs each item with another of its answer type; the only item of a type borrows from any other item."""
    donors_N = np.arange(len(types_N))
    for kind in np.unique(types_N):
        members = rng.permutation(np.flatnonzero(types_N == kind))
        donors_N[members] = np.roll(members, 1)
    alone = donors_N == np.arange(len(types_N))
    if len(types_N) > 1:
        donors_N[alone] = (donors_N[alone] + 1) % len(types_N)
    return donors_N


def _add(table: Table) -> None:
    for arm in table.arms:
        guessed = []
        for k in arm.ks:
            net = [coverage_net(m, table.items, table.answer_class, k, table.direct) for m in arm.measures]
            table.joint.add(arm.key, f"cov_net@{k}", [values_N for values_N, _ in net])
            guessed.append(float(np.mean([null_N for _, null_N in net])))
        arm.beside["cov_net"] = {"guessing": tuple(guessed)} if guessed else {}


def _report(table: Table, lines: Lines) -> None:
    curved = table.joint.resamples.curved
    for arm, line in lines:
        line.curves["cov_net"] = curve(
            table, arm, "cov_net", lambda mean, values_N, seeds: curved(*mean, values_N, bounded=False, seeds=seeds)
        )


NET = Metric(
    "coverage net of guessing",
    (Column("cov_net", "cov_net@k", "percent", "net of guessing, at the largest k", "figures"),),
    _add,
    _report,
)
