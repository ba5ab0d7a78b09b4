"""repaired: is the trace valid once the steps that it takes back itself are left out?

    3 + 4 = 8. Instead. 3 + 4 = 7.        ->   3 + 4 = 7.             "Instead.": the step before it is taken back
    3 + 4 = 7. Wait. 3 + 4 = 7.           ->   3 + 4 = 7.             "Wait.": looked at again; the later step stays

A validator of whole traces calls both unreadable, so to it no policy that verifies while it writes is valid. Here the
trace that remains is checked by the same validator. A policy that writes neither word has its plain validity. Formal
tasks only. Knows no model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, formatted, of_columns, reading, refusing
from elicit.evaluate.lenses.view import Side, View
from elicit.tasks.formal.family import first_violation
from elicit.tasks.formal.task import FORMAL
from elicit.tasks.grading.extract import own_part

TAKEN_BACK = re.compile(r"(?<![^.])[^.]*+\.\s*+(?:Instead|Wait)\.(?=[^.]*\.)")
"""a step and the word that takes it back or checks it, if a step follows"""


@dataclass(frozen=True)
class Repaired:
    """Validity of the steps that a trace does not retract."""

    name: str = "repaired"
    about: str = "share of valid traces once the steps that a trace takes back are left out"
    source: str = "own question (b) of the seeds"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        if any(item.facts.get("family") not in FORMAL for item in view.items):
            return refusing(self, f"formal tasks only: traces of {view.task.name} can't be checked")
        columns = {}
        for side in view.sides:
            valid, verified, samples = counted(side, view)
            columns[side.name] = {
                "valid": view.bootstrap.share(valid, samples, "no graded sample"),
                "verifying": view.bootstrap.share(verified, samples, "no graded sample"),
            }
        figure = of_columns("Valid traces without what they take back", "share", columns, ["valid", "verifying"])
        says = [f"{name}: {formatted(of['valid'])} valid" for name, of in columns.items()]
        return reading(self, columns, figure, says)


def counted(side: Side, view: View) -> tuple[NDArray, NDArray, NDArray]:
    """By item: traces that are valid without what they take back, traces that take back or check a step, samples."""
    valid_N, verified_N = np.zeros(len(view.items)), np.zeros(len(view.items))
    for i, item in enumerate(view.items):
        family = FORMAL[item.facts["family"]]
        for j, text in enumerate(side.texts_N_J[i]):
            if side.graded_N_J[i, j]:
                part = own_part(text)[0]
                kept = standing(part)
                verified_N[i] += kept != part
                valid_N[i] += side.finished(i, j) and first_violation(family, item.facts, kept) is None
    return valid_N, verified_N, side.graded_N_J.sum(1).astype(float)


def standing(text: str) -> str:
    """The text without the steps that are taken back or repeated.

    >>> standing(" Working. 3 + 4 = 8. Instead. 3 + 4 = 7. So the answer is 7.")
    ' Working. 3 + 4 = 7. So the answer is 7.'
    """
    return TAKEN_BACK.sub("", text)
