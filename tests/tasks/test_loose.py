"""The lenient reading: a declaration at the end of the text, else the last number, formula, option or word."""

from __future__ import annotations

import pytest

from elicit.tasks.grading import loose


@pytest.mark.parametrize(
    ("kind", "tail", "answer"),
    [
        ("number", "so each day she makes 9 * 2 = 18", "18"),
        ("number", "She earns $1,200 in 2 weeks, which is 3/4", "3/4"),
        ("number", "a loss of -3", "-3"),
        ("number", "10 - 3", "3"),
        ("number", "about 3 million", "3 million"),
        ("number", "The answer is 7. Then there are 9 others", "7"),
        ("number", "The answer is maybe 5.", "5"),
        ("number", "nothing", None),
        ("number", "The answer is not 5.", None),
        ("number", "The answer is 5 or 6.", None),
        ("number", "The answer is 5 factorial.", None),
        ("math", "so we get $x^2+1$", "x^2+1"),
        ("math", "Thus \\[ \\frac{\\pi}{2} \\]", "\\frac{\\pi}{2}"),
        ("math", "$x = 3$ and therefore 4", "4"),
        ("math", "half, or \\frac{1}{2}", "\\frac{1}{2}"),
        ("option", "First (B), but then (A).", "(A)"),
        ("option", "It must be B.", "B"),
        ("option", "A blue jay.", None),
        ("word", "Yes. No, wait. No.", "No"),
        ("word", "I know nothing.", None),
        ("text", "some words\nabc", "abc"),
    ],
)
def test_the_lenient_answer_is_read_at_the_end_of_a_text(kind: str, tail: str, answer: str | None) -> None:
    found = loose.read(kind, tail)
    assert (found.answer.strip() if found else None) == answer
