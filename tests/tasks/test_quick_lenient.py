"""The lenient verdict that needs no Math-Verify is the one that Math-Verify gives."""

from __future__ import annotations

import random

import pytest

from elicit.tasks.grading import extract, verify

BEFORE = (
    "", " First 48 / 2 = 24. Then 48 + 24 = 72.", " There are 7 bags of 1,200 each.", " So it is 12. Wait, no.",
    " The answer is 9. Let me check: 3 * 4 = 12.", " x = 5 and y = -3.", " That is 50% of 3/4.",
    "\n- 4 apples\n- 5 pears",
)  # fmt: skip
ENDS = (
    "The answer is {}.", "The answer is {}", "so the answer is {}.\n", "Hence \\boxed{{{}}}.", "\\boxed{{{}}}",
    "The answer is {} apples.", "The answer is ${}.", "That makes {}", "42 + 1 = {}.", "He has {} left", "left: {}\n",
)  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_a_plainly_stated_number_is_what_math_verify_reads(end: str) -> None:
    rng, seen = random.Random(end), 0
    for before in BEFORE:
        gold = rng.choice([3, 12, 72, 1250, -4, 9])
        for said in {str(gold), str(gold + 1), f"{gold:,}"}:
            text = f"{before} {end.format(said)}"
            judged = verify.quick("number", str(gold), "", text, False)
            tail = extract.tail(text)
            if judged.ungraded != verify.PENDING:
                seen += 1
                assert judged.lenient == verify.lenient_equal(str(gold), tail), text
    assert seen >= 6


def test_what_stands_among_formulas_still_goes_to_the_pool() -> None:
    for text in (
        " It costs $5 or $6. The answer is 6.", " \\frac{1}{2} or so. The answer is 7.", " The answer is $7$.",
        " \\boxed{7} or \\boxed{8}", " The answer is 7 [see above] now.",
    ):  # fmt: skip
        assert verify.quick("number", "12", "", text, False).ungraded == verify.PENDING


def test_asides_behind_the_answer_are_read_as_math_verify_reads_them() -> None:
    for text in (
        " It costs $5. The answer is 6.", " The answer is 3 million.", " The answer is 1/2.",
        " The answer is 7. Or is it 8?", " that is 5 + 43", " about -3", " 3/4. 72 of them", " 4 * 18 = 72, I think",
    ):  # fmt: skip
        for gold in ("12", "72", "8", "-3", "48", "1/2"):
            assert verify.quick("number", gold, "", text, False).lenient == verify.lenient_equal(gold, text), text
