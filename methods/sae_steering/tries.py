"""Trying directions on dev: successive halving over direction x strength, then a sweep of the best one over positions.

    halving   every direction at every other strength, at the first position; the better half goes on with twice the
              items
    sweep     the best direction on all dev items: at every strength (and 0) at the first position, at every other
              strength at the other positions. This is the dose-response. The edit is its best row; ties go to the
              smaller KL from the unedited model

Every call of the dev score is a try and is logged, so that the tries of a method can be compared with those of its
placebos. Knows nothing about the origin of the directions.
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
from elicit.sampling.dose_range import dose_range
from elicit.training.halving import Scored, halving
from methods.sae_steering.candidates import Direction
from methods.sae_steering.material import FitInputs

if TYPE_CHECKING:
    from elicit.method import Context
    from elicit.records import Item
    from methods.sae_steering.method import SaeSteering


@dataclass(frozen=True)
class Try:
    """One cell of the search."""

    arm: int
    """place of its direction among those that are tried"""
    strength: float
    write: str


Maker = Callable[[Direction, float, str], Edit]
"""(direction, strength, position) -> edit"""


def search(
    settings: SaeSteering,
    inputs: FitInputs,
    directions: Sequence[Direction],
    strengths: Sequence[float],
    edit_of: Maker,
) -> tuple[Try, list[Scored[Try]]]:
    """(the best cell at the first position, every try): all directions at all of `strengths`, weaker ones win ties.

    Raises MethodError if there is no direction to try.
    """
    if not directions:
        raise MethodError("no direction to try: no feature has a positive contrast score; widen method.rates")
    cells = itertools.product(strengths, range(len(directions)))
    options = [Try(number, strength, settings.writes[0]) for strength, number in cells]

    def score(option: Try, limit: int) -> float:
        edit = edit_of(directions[option.arm], option.strength, option.write)
        return inputs.context.dev_score(inputs.policy.with_intervention(ActivationEdit((edit,))), limit)

    best, tries = halving(options, score, settings.dev_items, settings.halvings)
    for number, scored in enumerate(tries):
        inputs.context.log({"sae/try": number, **described(directions[scored.option.arm], scored)})
    return best, tries


def spread(strengths: Sequence[float], count: int) -> list[float]:
    """`count` strengths in equal ratios from the weakest to the strongest, for a control with fewer directions.

    >>> spread([0.5, 1.0, 2.0], 5)
    [0.5, 0.7071, 1.0, 1.4142, 2.0]
    """
    return [round(float(value), 4) for value in np.geomspace(min(strengths), max(strengths), count)]


def coarse(strengths: Sequence[float]) -> Sequence[float]:
    """Every other strength: what the search tries."""
    return strengths[1::2] or strengths


def described(direction: Direction, scored: Scored[Try]) -> dict[str, Any]:
    """One try as a flat row."""
    option = scored.option
    cell = {"layer": direction.layer, "feature": direction.feature, "strength": option.strength, "write": option.write}
    row = {**cell, "arm": option.arm, "dev": scored.score, "dev_items": scored.limit}
    return {f"sae/try/{name}": value for name, value in row.items() if value is not None}


def sweep(
    settings: SaeSteering, inputs: FitInputs, items: Sequence[Item], direction: Direction, edit_of: Maker
) -> tuple[ActivationEdit, list[dict[str, Any]]]:
    """(the best edit of a direction, the dose-response rows: accuracy, length, KL, share of steered tokens).

    Length and KL are measured on `items`, accuracy on dev.
    """
    policy, context = inputs.policy, inputs.context
    measure = dose_meter(policy, inputs.ledger, items)
    rows: list[dict[str, Any]] = []
    edits: list[ActivationEdit] = []
    first = [(settings.writes[0], strength) for strength in (0.0, *settings.strengths)]
    for write, strength in [*first, *itertools.product(settings.writes[1:], coarse(settings.strengths))]:
        edit = ActivationEdit((edit_of(direction, strength, write),) if strength else ())
        edit.calls.counting = True
        accuracy = context.dev_score(policy.with_intervention(edit), settings.dev_items)
        dose = measure(edit)
        share = edit.calls.share if strength else 0.0
        row = {"write": write, "strength": strength, "accuracy": accuracy, **dose, "steered_share": share,
               "dev_items": settings.dev_items}  # fmt: skip
        rows.append(row)
        edits.append(edit)
        context.log({f"sae/dose/{name}": value for name, value in row.items()})
    best = best_dose(rows)
    if (doses := dose_range(rows, rows[best]["write"])) is not None:
        context.log(doses.row("sae"))
        context.say(f"sae: {doses.line}")
    log_choice(context, rows[best] | {"layer": direction.layer, "feature": direction.feature})
    return ActivationEdit(edits[best].edits), rows


def best_dose(rows: Sequence[dict[str, Any]]) -> int:
    """Place of the most accurate row that writes anything; ties go to the smaller KL."""
    written = [place for place, row in enumerate(rows) if row["strength"]]
    return min(written, key=lambda place: (-rows[place]["accuracy"], rows[place]["kl"]))


def log_choice(context: Context, row: dict[str, Any]) -> None:
    """Log the dose of the final edit, as the last row of a search."""
    names = ("layer", "feature", "write", "strength", "accuracy", "kl", "dev_items")
    context.log({f"sae/chosen/{name}": row[name] for name in names if row.get(name) is not None})
