"""Trying arms on dev: successive halving over arm x strength, then a sweep of the best arm over positions.

    halving   every arm at every other strength, at the first position; the better half goes on with twice the items
    sweep     the best arm on all dev items at every strength (and 0) at the first position, at every other one
              elsewhere: the dose-response. The edit is its best row; ties go to the smaller KL from the unedited model

Every call of the dev score is a try and is logged, so that a method's tries and its placebos' can be laid side by
side. Knows nothing about where arms come from.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elicit.errors import MethodError
from elicit.policy.activations import ActivationEdit, Edit
from elicit.sampling.dose import dose_meter
from elicit.training.halving import Scored, halving
from methods.sae_steering.candidates import Arm

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.records import Item


@dataclass(frozen=True)
class Try:
    """One cell of the search."""

    arm: int
    strength: float
    write: str


Maker = Callable[[Arm, float, str], Edit]
"""(arm, strength, position) -> edit"""


def search(
    policy: Policy, context: Context, arms: Sequence[Arm], strengths: Sequence[float], write: str,
    edit_of: Maker, dev_items: int, halvings: int,
) -> tuple[Try, list[Scored[Try]]]:  # fmt: skip
    """The best (arm, strength) at one position, and every try that was made: all arms at all these strengths.

    Weaker strengths win ties.
    """
    if not arms:
        raise MethodError("no direction to try: no feature has a positive contrast score; widen method.rates")
    cells = itertools.product(strengths, range(len(arms)))
    options = [Try(number, strength, write) for strength, number in cells]

    def score(option: Try, limit: int) -> float:
        edit = edit_of(arms[option.arm], option.strength, option.write)
        return context.dev_score(policy.with_intervention(ActivationEdit((edit,))), limit)

    best, tries = halving(options, score, dev_items, halvings)
    for number, each in enumerate(tries):
        context.log({"sae/try": number, **described(arms[each.option.arm], each)})
    return best, tries


def spread(strengths: Sequence[float], count: int) -> list[float]:
    """`count` strengths in equal ratios from the weakest to the strongest: the tries of fewer arms, made up for.

    >>> spread([0.5, 1.0, 2.0], 5)
    [0.5, 0.7071, 1.0, 1.4142, 2.0]
    """
    return [round(float(value), 4) for value in np.geomspace(min(strengths), max(strengths), count)]


def coarse(strengths: Sequence[float]) -> Sequence[float]:
    """Every other strength: what the search tries."""
    return strengths[1::2] or strengths


def described(arm: Arm, each: Scored[Try]) -> dict[str, Any]:
    """One try as a flat row."""
    what = {"layer": arm.layer, "feature": arm.feature, "strength": each.option.strength, "write": each.option.write}
    row = {**what, "arm": each.option.arm, "dev": each.score, "dev_items": each.limit}
    return {f"sae/try/{name}": value for name, value in row.items() if value is not None}


def sweep(
    policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], arm: Arm, strengths: Sequence[float],
    writes: Sequence[str], edit_of: Maker, dev_items: int,
) -> tuple[ActivationEdit, list[dict[str, Any]]]:  # fmt: skip
    """(the best edit of the arm, the dose-response rows: accuracy, length, KL, share of steered tokens)."""
    measure = dose_meter(policy, ledger, items)
    rows: list[dict[str, Any]] = []
    edits: list[ActivationEdit] = []
    first = [(writes[0], strength) for strength in (0.0, *strengths)]
    cells = [*first, *itertools.product(writes[1:], coarse(strengths))]
    for write, strength in cells:
        null = (edit_of(arm, strength, write),) if strength else ()
        edit = ActivationEdit(null)
        edit.calls.counting = True
        accuracy = context.dev_score(policy.with_intervention(edit), dev_items)
        dose = measure(edit)
        share = edit.calls.share if strength else 0.0
        row = {"write": write, "strength": strength, "accuracy": accuracy, **dose, "steered_share": share,
               "dev_items": dev_items}  # fmt: skip
        rows.append(row)
        edits.append(edit)
        context.log({f"sae/dose/{name}": value for name, value in row.items()})
    best = best_dose(rows)
    log_choice(context, rows[best] | {"layer": arm.layer, "feature": arm.feature})
    return ActivationEdit(edits[best].edits), rows


def best_dose(rows: Sequence[dict[str, Any]]) -> int:
    """Place of the most accurate row that writes anything; ties go to the smaller KL."""
    written = [place for place, row in enumerate(rows) if row["strength"]]
    return min(written, key=lambda place: (-rows[place]["accuracy"], rows[place]["kl"]))


def log_choice(context: Context, row: dict[str, Any]) -> None:
    """The dose that the edit is, as the last row of a search."""
    names = ("layer", "feature", "write", "strength", "accuracy", "kl", "dev_items")
    context.log({f"sae/chosen/{name}": row[name] for name in names if row.get(name) is not None})
