"""What the lenses that force answers share: which samples they read, what their trace is, how an answer is read.

The trace is the text before the sentence that states the answer. A forced answer is what a policy writes after `STUB`,
read by the task and compared as an answer class. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.reflection import STATED
from elicit.evaluate.lenses.sentences import spans
from elicit.evaluate.lenses.view import Side, View
from elicit.tasks.grading.extract import own_part
from elicit.tasks.task import Reader

STUB = " So the answer is"
_PIECE = re.compile(r"(?<=[.!?])(?=\s|$)|\n")


@dataclass(frozen=True)
class TracedSample:
    """One sample whose trace a lens examines."""

    i: int
    item: str
    j: int
    text: str
    ends: tuple[int, ...]
    """ends of its sentences before the stated answer, in characters"""
    final: str | None
    """class of the answer that the sample gave"""

    @property
    def trace(self) -> str:
        return self.text[: self.ends[-1]] if self.ends else ""


def traced_samples(
    view: View, side: Side, per_item: int, least: int, limit: int | None = None
) -> Iterator[TracedSample]:
    """The first `per_item` finished samples of every item with at least `least` sentences of trace.

    `limit`: stop after this many items with such a sample.
    """
    items = 0
    for i, item in enumerate(view.items):
        taken = 0
        for j, text in enumerate(side.texts_N_J[i]):
            if taken == per_item or items == limit:
                break
            ends = trace_ends(view.task, text)
            if side.finished(i, j) and len(ends) >= least:
                code = int(side.measures.classes_N_J[i, j])
                final = side.measures.class_names[code] if code >= 0 else None
                yield TracedSample(i, item.id, j, text, ends, final)
                taken += 1
        items += taken > 0


def trace_ends(task: Reader, text: str) -> tuple[int, ...]:
    """Ends of the sentences before the last one that states an answer to the task (all of them if none does)."""
    part = own_part(text)[0]
    sentences = spans(part)
    stating = [
        k
        for k, (start, end) in enumerate(sentences)
        if STATED.search(part[start:end]) and task.extract(part[start:end], True).strict is not None
    ]
    return tuple(end for _, end in (sentences[: stating[-1]] if stating else sentences))


def forced_answer(task: Reader, continuation: str) -> str | None:
    """Class of the answer that a policy wrote after `STUB`; None if the task reads none."""
    piece = _PIECE.split(continuation)[0].rstrip().rstrip(".")
    answer = task.extract(f"{STUB.strip()}{piece}.", True).strict if piece.strip() else None
    return None if answer is None else task.answer_class(answer)


def by_sample(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], dict[str, list[Mapping[str, Any]]]]:
    """(item, sample) -> key -> rows."""
    out: dict[tuple[str, int], dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        out.setdefault((row["item"], row["j"]), {}).setdefault(row["key"], []).append(row)
    return out


def item_means(values: Sequence[Sequence[float]]) -> NDArray:
    """Mean per item of its values; nan for an item without any."""
    return np.array([np.mean(of_item) if len(of_item) else np.nan for of_item in values])


def gold_class(view: View, i: int) -> str:
    """Class of an item's gold."""
    return view.task.answer_class(view.items[i].gold or "")


NOT_RUN = "needs further sampling: elicit lens GROUP run=true"
