"""What lenses that force answers out of traces share: which samples, what counts as their trace, how an answer is read.

A trace is what stands before the sentence that states the answer; a forced answer is what a policy writes behind
`STUB`, read by the task and compared as an answer class. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elicit.evaluate.lenses.reflection import STATED
from elicit.evaluate.lenses.sentences import spans
from elicit.evaluate.lenses.view import Side, View
from elicit.tasks.grading.extract import own_part

STUB = " So the answer is"
_PIECE = re.compile(r"(?<=[.!?])(?=\s|$)|\n")


@dataclass(frozen=True)
class Chosen:
    """One sample whose trace is looked into."""

    i: int
    item: str
    j: int
    text: str
    ends: tuple[int, ...]
    """where its sentences before the stated answer end, in characters"""
    final: str | None
    """class of the answer that the sample gave"""

    @property
    def trace(self) -> str:
        return self.text[: self.ends[-1]] if self.ends else ""


def chosen(view: View, side: Side, each: int, least: int, limit: int | None = None) -> Iterator[Chosen]:
    """The first `each` finished samples of every item with `least` sentences of trace; `limit`: of so many items."""
    items = 0
    for i, item in enumerate(view.items):
        found = 0
        for j, text in enumerate(side.texts_N_J[i]):
            if found == each or items == limit:
                break
            ends = trace_ends(view.task, text)
            if side.finished(i, j) and len(ends) >= least:
                code = int(side.measures.classes_N_J[i, j])
                final = side.measures.class_names[code] if code >= 0 else None
                yield Chosen(i, item.id, j, text, ends, final)
                found += 1
        items += found > 0


def trace_ends(task: Any, text: str) -> tuple[int, ...]:
    """Ends of the sentences before the last one that states an answer to the task (all of them where none does)."""
    part = own_part(text)[0]
    found = spans(part)
    stating = [place for place, (start, end) in enumerate(found) if _states(task, part[start:end])]
    return tuple(end for _, end in (found[: stating[-1]] if stating else found))


def _states(task: Any, sentence: str) -> bool:
    return bool(STATED.search(sentence)) and task.extract(sentence, True).strict is not None


def forced_answer(task: Any, continuation: str) -> str | None:
    """Class of the answer that a policy wrote behind `STUB`; None where the task reads none."""
    piece = _PIECE.split(continuation)[0].rstrip().rstrip(".")
    answer = task.extract(f"{STUB.strip()}{piece}.", True).strict if piece.strip() else None
    return None if answer is None else task.answer_class(answer)


def by_sample(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], dict[str, list[Mapping[str, Any]]]]:
    """(item, sample) -> key -> rows."""
    out: dict[tuple[str, int], dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        out.setdefault((row["item"], row["j"]), {}).setdefault(row["key"], []).append(row)
    return out


def gold_class(view: View, i: int) -> str:
    """Class of an item's gold."""
    return view.task.answer_class(view.items[i].gold or "")


NOT_RUN = "needs further sampling: elicit lens GROUP run=true"
