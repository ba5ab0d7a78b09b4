"""The golden file: hand-made (gold, output, verdict) rows for every grading rule; a verdict never changes unnoticed."""

import json
from collections import Counter
from pathlib import Path

import pytest

from elicit.tasks.formal.task import FormalTask
from elicit.tasks.grading.pool import GradeRequest, GradingPool
from elicit.tasks.grading.verify import PENDING
from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.task import make_item

GOLDEN = Path(__file__).parents[1] / "fixtures" / "golden_grades.jsonl"
ROWS = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
CASES = (
    "cut mid-sentence",
    "unclosed last box",
    "two boxes after 'wait'",
    "restated question",
    "no tolerance",
    "percent signs",
    "thousands separators",
    "units",
    "towers of exponents",
    "few-shot answers recited",
    "next question is kept",
)


def task_of(row: dict) -> FormalTask | Jsonl:
    return FormalTask() if row["kind"] == "formal" else Jsonl(answers=row["kind"])


def item_of(row: dict):
    return make_item("golden", "file", "", row["gold"])


def test_the_golden_file_covers_every_case_of_the_grading_rules():
    reasons = Counter(row["why"] for row in ROWS)
    assert len(ROWS) >= 300
    for case in CASES:
        assert sum(count for why, count in reasons.items() if case in why) >= 9, case


@pytest.mark.parametrize("why", sorted({row["why"] for row in ROWS}))
def test_every_golden_verdict_holds(why):
    for row in (row for row in ROWS if row["why"] == why):
        judged = task_of(row).grade(item_of(row), row["output"], row["finished"])
        assert judged.strict is row["strict"], row
        assert "lenient" not in row or judged.lenient is row["lenient"], row
        assert (judged.strict is None) == (judged.strict is None and judged.ungraded is not None), row


def test_the_quick_grader_agrees_with_the_full_one_wherever_it_decides():
    decided = 0
    for row in ROWS:
        quick = task_of(row).grade_quick(item_of(row), row["output"], row["finished"])
        if quick.ungraded != PENDING:
            decided += 1
            assert quick == task_of(row).grade(item_of(row), row["output"], row["finished"]), row
        elif quick.strict is not None:
            assert quick.strict is row["strict"], row
    assert decided > len(ROWS) / 2


def test_the_pool_gives_the_verdicts_of_the_task():
    rows = [row for row in ROWS if row["kind"] == "math"][::9]
    with GradingPool(Jsonl(answers="math"), workers=2) as pool:
        verdicts = pool.judge([GradeRequest(item_of(row), row["output"], row["finished"]) for row in rows])
    assert [verdict.judgement.strict for verdict in verdicts] == [row["strict"] for row in rows]


def test_strictly_right_is_leniently_right():
    for row in ROWS:
        judged = task_of(row).grade(item_of(row), row["output"], row["finished"])
        assert judged.lenient or not judged.strict, row
