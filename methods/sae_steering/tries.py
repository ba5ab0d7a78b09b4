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

from elicit.errors import MethodError
from elicit.policy.activations import ActivationEdit, Edit
from elicit.sampling.dose import dose_meter
from elicit.training.search import Scored, halving
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
    """The best (arm, strength) at one position, and every try that was made. Weaker strengths win ties."""
    if not arms:
        raise MethodError("no direction to try: no feature has a positive contrast score; widen method.rates")
    cells = itertools.product(coarse(strengths), range(len(arms)))
    options = [Try(number, strength, write) for strength, number in cells]

    def score(option: Try, limit: int) -> float:
        edit = edit_of(arms[option.arm], option.strength, option.write)
        return context.dev_score(policy.with_intervention(ActivationEdit((edit,))), limit)

    best, tries = halving(options, score, dev_items, halvings)
    for number, each in enumerate(tries):
        context.log({"sae/try": number, **described(arms[each.option.arm], each)})
    return best, tries


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
        row = {"write": write, "strength": strength, "accuracy": accuracy, **dose, "steered_share": share}
        rows.append(row)
        edits.append(edit)
        context.log({f"sae/dose/{name}": value for name, value in row.items()})
    best = min(range(1, len(rows)), key=lambda i: (-rows[i]["accuracy"], rows[i]["kl"]))
    return ActivationEdit(edits[best].edits), rows
