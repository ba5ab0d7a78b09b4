"""Methods against each other: the paired difference of every two, on the same items and the same resampled clusters.

Comes from the joint bootstrap of the comparison (`joint.Joint`), seeds as its top level; not corrected for the number
of pairs, and the report says so. Only methods asked alike: bare with bare, each own best prompt with own best prompt.
"""

from __future__ import annotations

import itertools

from elicit.evaluate.metrics.table import Table
from elicit.results import Pair


def paired(table: Table) -> tuple[Pair, ...]:
    """Accuracy of a minus accuracy of b for every two methods, in the order of the arms."""
    joint, methods = table.joint, [arm for arm in table.arms if arm.first.role == "method"]
    alike = ([arm for arm in methods if table.at_base(arm)], [arm for arm in methods if not table.at_base(arm)])
    return tuple(
        Pair(
            a=a.first.policy,
            b=b.first.policy,
            names=(a.first.name, b.first.name),
            prompts=(a.first.prompt, b.first.prompt),
            difference=joint.resamples.difference(joint.mean(a.key), joint.mean(b.key)),
        )
        for arms in alike
        for a, b in itertools.combinations(arms, 2)
    )
