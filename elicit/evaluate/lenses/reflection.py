"""reflection: after a trace has stated an answer, do its further steps change it? (arXiv 2510.08308)

A candidate is every answer that the trace states; a reflection is a step from one candidate to the next one.

    confirmatory    the same answer again             right -> wrong    a right candidate given up
    changing        another answer                    wrong -> right    a wrong one corrected

Stopping is what an end after the first stated answer would change: accuracy (first answer less last one) and text
(share of characters after the sentence of the first answer). A sample that states one answer changes by 0.

Read from the text alone: an answer that is not stated is not counted (the commitment lens forces it).
Equality of answers is the task's `answer_class`. Knows no model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, formatted, of_columns, reading
from elicit.evaluate.lenses.sentences import spans
from elicit.evaluate.lenses.view import Side, View
from elicit.results import Estimate
from elicit.tasks.grading.extract import own_part
from elicit.tasks.task import Reader

STATED = re.compile(r"answer\b|\\boxed|\\fbox|####|\bIt is\b|\bI would say\b", re.IGNORECASE)
"""matches a sentence that states an answer"""
COUNTS = ("reflections", "confirmatory", "right to wrong", "wrong to right", "wrong to wrong", "right candidates")
STOPPING = ("first right", "last right", "written", "after the first")


@dataclass(frozen=True)
class Reflection:
    """What stated answers become later in the trace."""

    name: str = "reflection"
    about: str = "how often a trace that has stated an answer changes it, and to what"
    source: str = "2510.08308"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        counts = {side.name: counted(side, view) for side in view.sides}
        columns = {name: self._columns(view, of) for name, of in counts.items()}
        shown = ["confirmatory", "right to wrong", "wrong to right"]
        figure = of_columns("What reflections do", "share of reflections", columns, shown)
        size = {name: int(of["reflections"].sum()) for name, of in counts.items()}
        says = [
            f"{name}: {formatted(of['changing'])} of {size[name]} reflections change it" for name, of in columns.items()
        ]
        table: list[dict[str, Any]] = [
            {"policy": name, **{key: int(of[key].sum()) for key in (*COUNTS, "reflecting samples", "samples")}}
            for name, of in counts.items()
        ]
        return reading(self, columns, figure, says, table)

    def _columns(self, view: View, of: dict[str, NDArray]) -> dict[str, Estimate]:
        share, every, none = view.bootstrap.share, of["reflections"], "no trace states a second answer"
        right, wrong = of["right candidates"], every - of["right candidates"]
        return {
            "reflecting": share(of["reflecting samples"], of["samples"], "no sample"),
            "confirmatory": share(of["confirmatory"], every, none),
            "changing": share(every - of["confirmatory"], every, none),
            "right to wrong": share(of["right to wrong"], every, none),
            "wrong to right": share(of["wrong to right"], every, none),
            "given up": share(of["right to wrong"], right, "no right candidate was reflected upon"),
            "mended": share(of["wrong to right"], wrong, "no wrong candidate was reflected upon"),
            "stopping: accuracy": view.bootstrap.statistic(
                np.stack([of["first right"], of["last right"], of["samples"]], 1),
                lambda m: (m[..., 0] - m[..., 1]) / m[..., 2],
                "no sample",
            ),
            "stopping: text saved": share(of["after the first"], of["written"], "no text"),
        }


def counted(side: Side, view: View) -> dict[str, NDArray]:
    """Counts by item."""
    out = {name: np.zeros(len(view.items)) for name in (*COUNTS, *STOPPING, "reflecting samples", "samples")}
    for i, item in enumerate(view.items):
        gold = view.task.answer_class(item.gold or "")
        for text, finish in zip(side.texts_N_J[i], side.measures.finish_N_J[i], strict=True):
            if not finish:
                continue
            out["samples"][i] += 1
            stated = candidates(view.task, text)
            out["reflecting samples"][i] += len(stated) > 1
            out["written"][i] += len(own_part(text)[0])
            if len(stated) > 1:
                out["first right"][i] += stated[0] == gold
                out["last right"][i] += stated[-1] == gold
                out["after the first"][i] += after_first(view.task, text)
            for before, after in pairwise(stated):
                out["reflections"][i] += 1
                out["right candidates"][i] += before == gold
                was, now = ("right" if answer == gold else "wrong" for answer in (before, after))
                out["confirmatory" if before == after else f"{was} to {now}"][i] += 1
    return out


def after_first(task: Reader, text: str) -> int:
    """Characters after the first sentence that states a readable answer."""
    part = own_part(text)[0]
    for start, end in spans(part):
        if STATED.search(part[start:end]) and task.extract(part[start:end], True).strict is not None:
            return len(part) - end
    return 0


def candidates(task: Reader, text: str) -> list[str]:
    """Classes of the answers that a trace states, in order, as the task reads them from each such sentence.

    Each is read from its sentence alone: an earlier answer is not counted again if a later one can't be read.
    """
    part = own_part(text)[0]
    if len(STATED.findall(part)) < 2:
        return []  # one answer or none: nothing is reflected upon
    pieces = (part[start:end] for start, end in spans(part))
    answers = (task.extract(piece, True).strict for piece in pieces if STATED.search(piece))
    return [task.answer_class(answer) for answer in answers if answer is not None]
