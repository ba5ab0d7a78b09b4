"""Methods against each other: the paired difference of every two, on the same items and the same resampled clusters.

Comes from the joint bootstrap of the comparison (`joint.Joint`), seeds as its top level; not corrected for the number
of pairs, and the report says so. Only methods asked alike: bare with bare, each own best prompt with own best prompt.
"""

from __future__ import annotations

import itertools
from typing import Any

from elicit.evaluate.metrics.table import Row, Table


def paired(table: Table) -> list[dict[str, Any]]:
    """[{"a", "b", "names", "prompts", "difference"}]: accuracy of a minus accuracy of b, in the order of the rows."""
    bare = table.base.first.prompt
    methods = [row for row in table.rows if row.first.role == "method"]
    kinds = ([r for r in methods if r.first.prompt == bare], [r for r in methods if r.first.prompt != bare])
    return [_pair(table, a, b) for rows in kinds for a, b in itertools.combinations(rows, 2)]


def _pair(table: Table, a: Row, b: Row) -> dict[str, Any]:
    joint = table.joint
    return {
        "a": a.first.policy,
        "b": b.first.policy,
        "names": [a.first.name, b.first.name],
        "prompts": [a.first.prompt, b.first.prompt],
        "difference": joint.resamples.difference(joint.mean(a.key), joint.mean(b.key)),
    }
