"""A plain restatement of grading by kind `math`: no exact path but for numbers, no cache, no pool, one at a time."""

from __future__ import annotations

from collections.abc import Callable

from elicit.tasks.grading import equivalence, extract
from elicit.tasks.grading.equivalence import TooLarge


def slow(gold: str, text: str, finished: bool) -> tuple[bool | None, bool | None]:
    """(strict, lenient) of a completion; None where a guard refuses or the gold can't be read."""
    answer = extract.strict(text, finished)
    strict = False if answer is None else unless_refused(lambda: strictly(gold, answer))
    lenient = True if strict else unless_refused(lambda: leniently(gold, extract.tail(text)))
    if answer is not None and unless_refused(lambda: equivalence.compare(gold, answer) or False) is None:
        lenient = None  # an answer that is refused as a number is not looked at again
    return strict, lenient


def strictly(gold: str, answer: str) -> bool:
    same = equivalence.compare(gold, answer)
    return equivalence.symbolic_equal(gold, answer) if same is None else same


def leniently(gold: str, tail: str) -> bool:
    found = equivalence.parse_symbolic(tail.replace("\\%", "").replace("%", ""))
    if not found:
        return False
    same = equivalence.compare(gold, str(found[-1]))
    read = equivalence.parse_symbolic(rf"\boxed{{{gold.replace('%', '')}}}")
    return equivalence.verdict(read, found) if same is None else same


def unless_refused(judge: Callable[[], bool]) -> bool | None:
    try:
        return judge()
    except (TooLarge, ValueError):
        return None
