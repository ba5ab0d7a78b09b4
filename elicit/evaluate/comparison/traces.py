"""Side-by-side traces: the base wrong and a method right, and the reverse.

Chosen by a rule and not by hand: per method, the items with the largest difference in solve rate, ties by
item id; of these the first sample of each side that shows it. The texts are model output: hostile until escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.table import Arm
from elicit.files import read_table, shards
from elicit.records import Item
from elicit.results import Side, Trace

KINDS = (("base wrong, method right", 0, 1), ("reverse", 1, 0))
"""(kind, grade of the base's sample, grade of the method's)"""


class _Shown(NamedTuple):
    """One trace to show: item i, sample base_j of the base and sample method_j of the method."""

    i: int
    kind: str
    method: Arm
    base_j: int
    method_j: int


def side_by_side(base: Arm, methods: Sequence[Arm], items: Sequence[Item], each: int = 2) -> tuple[Trace, ...]:
    """`each` traces of both kinds for every method; of an arm with several seeds those of the first."""
    # 1) choose items and samples
    shown = []
    for method in methods:
        gain_N = _rate(method.measures[0]) - _rate(base.measures[0])
        for kind, base_grade, method_grade in KINDS:
            sides = _first(base.measures[0], base_grade), _first(method.measures[0], method_grade)
            order = _by_size(gain_N if method_grade else -gain_N, items)
            both = [i for i in order if i in sides[0] and i in sides[1]]
            shown += [_Shown(i, kind, method, sides[0][i], sides[1][i]) for i in both[:each]]
    # 2) read their texts, each folder once
    of_base = _texts(base, {(items[one.i].id, one.base_j) for one in shown})
    of_method = {
        method.key: _texts(method, {(items[one.i].id, one.method_j) for one in shown if one.method is method})
        for method in methods
    }
    # 3) put them next to each other
    out = []
    for one in shown:
        item = items[one.i]
        theirs = of_method[one.method.key][item.id, one.method_j]
        ours = of_base[item.id, one.base_j]
        out.append(
            Trace(
                item=item.id,
                question=item.question,
                gold=item.gold,
                kind=one.kind,
                base=Side(ours.get("text"), ours.get("answer")),
                method=Side(theirs.get("text"), theirs.get("answer"), one.method.first.policy),
            )
        )
    return tuple(out)


def _rate(m: Measures) -> NDArray:
    return m.right_N / np.maximum(m.total_N, 1)


def _by_size(gain_N: NDArray, items: Sequence[Item]) -> list[int]:
    """Items from the largest gain to the smallest, ties by item id."""
    return sorted(range(len(items)), key=lambda i: (-gain_N[i], items[i].id))


def _first(m: Measures, grade: int) -> dict[int, int]:
    """Item -> index of its first sample with this grade, for items that have one."""
    hits_N_J = m.strict_N_J == grade
    return {int(i): int(hits_N_J[i].argmax()) for i in np.flatnonzero(hits_N_J.any(1))}


def _texts(arm: Arm, keys: Iterable[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
    """Text and extracted answer of a few samples of an arm's first seed, by (item, j)."""
    out: dict[tuple[str, int], dict[str, Any]] = {key: {} for key in keys}
    if not out:
        return out
    items = sorted({item for item, _ in out})
    for folder, name in ((arm.first.samples, "text"), (arm.first.grades, "answer")):
        for path in shards(folder):
            for row in read_table(path, columns=["item", "j", name], filters=[("item", "in", items)]).to_pylist():
                if (row["item"], row["j"]) in out:
                    out[row["item"], row["j"]][name] = row[name]
    return out
