"""The grader's short cuts: exact verdicts and shared ones are the slow path's, and what hangs stays ungraded."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from elicit.records import Item
from elicit.tasks.grading import verify
from elicit.tasks.grading.grader import Grader
from elicit.tasks.grading.pool import GradeRequest, Verdict, judge
from elicit.tasks.grading.verify import Pair
from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.task import Judgement, make_item
from tests.tasks.slow_pair import HangsOnAnswer
from tests.tasks.test_golden import ROWS

TASK = Jsonl(answers="math")
MATRIX = r"\begin{pmatrix}1\\2\end{pmatrix}"
GOLDS = (
    "12",
    "-3/4",
    r"\frac{\pi}{4}",
    "2x+3",
    r"3\sqrt{5}",
    "(1, 2)",
    r"\{1,2\}",
    "x=5",
    r"\cos x",
    "[1,2)",
    "1,234",
    "3c",
)
ANSWERS = (
    *GOLDS, "12.0", r"-\dfrac{3}{4}", "-0.75", r"\pi/4", "3 + 2x", "2x+3c", r"\sqrt{45}", r"\left(1,2\right)", "(2, 1)",
    r"\{2,1\}", "5", r"\cos(x)", "$1,234$", "1234 apples", "foo &&", "3", "9^{9^{9}}", "2^{99999}",
    "{" * 15 + "1" + "}" * 15, "1" * 120, "", "x^2y^2x^2y^2", r"12\%", r"\text{(B)}", "X=5", r"\frac{1}{0}", "0",
    r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}",
)  # fmt: skip
ENDS = (
    "the value is \\boxed{{{}}}.", "$\\boxed{{{}}}$", "Hence $v = \\boxed{{{}}}$ and x = 5.", "The answer is {}.",
    "#### {}", "So it must be ${}$", "{} it is", "Final answer: $12$ \\boxed{{{}}}",
    "\\boxed{{{}", "\\boxed{{{}}} \\boxed{{12}}",
    "The final answer is \\boxed{{{}}}. I hope it is correct.", "\\boxed{{{}}} percent",
    "9^{{9^{{9}}}}, so \\boxed{{{}}} it is",
)  # fmt: skip


def job(gold: str, text: str, finished: bool = True) -> GradeRequest:
    return GradeRequest(make_item("t", "test", "", gold), text, finished)


def mixed(seed: int, count: int) -> list[GradeRequest]:
    rng = random.Random(seed)
    jobs = []
    for _ in range(count):
        said = f"By step {rng.randrange(100)}: " + rng.choice(ENDS).format(rng.choice(ANSWERS))
        jobs.append(job(rng.choice(GOLDS), said, rng.random() < 0.8))
    return jobs


class HerePool:
    """The pool's answers without processes, and what it was asked."""

    def __init__(self, task: Jsonl, answers: Sequence[Verdict] = ()) -> None:
        self.task, self.answers, self.asked = task, list(answers), []  # type: ignore[var-annotated]

    def judge(self, jobs: Sequence[GradeRequest | Pair]) -> list[Verdict]:
        self.asked += jobs
        return [self.answers.pop(0) if self.answers else judge(self.task, each) for each in jobs]


def with_pool(pool: HerePool) -> Grader:
    grader = Grader(TASK)
    grader._pool = pool  # type: ignore[assignment]
    return grader


def verdicts(found: Sequence[Verdict]) -> list[tuple[bool | None, bool | None]]:
    return [(v.judgement.strict, v.judgement.lenient) if v.judgement else (None, None) for v in found]


@pytest.mark.parametrize("seed", range(3))
def test_cached_and_shared_verdicts_are_those_of_each_completion_alone(seed: int) -> None:
    jobs = mixed(seed, 120)
    grader = with_pool(HerePool(TASK))
    for found in (grader.judge(jobs), grader.judge(jobs)):
        for one, verdict in zip(jobs, found, strict=True):
            assert verdict.judgement == TASK.grade(*one), one


def test_golden_verdicts_are_those_of_the_grader() -> None:
    rows = [row for row in ROWS if row["kind"] == "math"][::4]
    found = with_pool(HerePool(TASK)).judge([job(row["gold"], row["output"], row["finished"]) for row in rows])
    assert [strict for strict, _ in verdicts(found)] == [row["strict"] for row in rows]


@pytest.mark.parametrize("said", [MATRIX, MATRIX.replace("2", "3"), r"\begin{pmatrix} 1 \\ \frac{4}{2} \end{pmatrix}"])
def test_matrices_are_graded_in_boxes_and_in_sentences(said: str) -> None:
    pool = HerePool(TASK)
    jobs = [job(MATRIX, f" So \\boxed{{{said}}} it is."), job(MATRIX, f" The answer is ${said}$.")]
    assert verdicts(with_pool(pool).judge(jobs)) == [("3" not in said, "3" not in said)] * 2 and not pool.asked


def test_many_workings_of_one_answer_cost_one_comparison() -> None:
    pool = HerePool(TASK)
    grader = with_pool(pool)
    jobs = [job(r"\cos x", f" By step {step} it is $\\boxed{{\\sin x}}$.") for step in range(16)]
    assert set(verdicts(grader.judge(jobs))) == {(False, False)}
    grader.judge([job(r"\cos x", " Otherwise worked out: \\boxed{\\sin x}", finished=True)])
    assert pool.asked == [Pair(r"\cos x", r"\sin x")]


def test_the_cache_distinguishes_golds_and_answers_and_cut_outputs_are_leniently_right() -> None:
    pool = HerePool(TASK)
    asked = [(r"\cos x", r"\sin x", True), (r"\sin x", r"\cos x", True), (r"\cos x", r"\cos(x)", True),
             (r"\cos x", r"\cos(x)", False)]  # fmt: skip
    found = with_pool(pool).judge([job(gold, rf" \boxed{{{said}}}", finished) for gold, said, finished in asked])
    assert verdicts(found) == [(False, False), (False, False), (True, True), (False, True)]
    assert len(pool.asked) == 3


def test_each_of_the_three_readings_is_compared() -> None:
    text = r" \boxed{\sin x}. Wait, no: \boxed{\tan x}. So \boxed{\cos(x)}"
    (found,) = with_pool(HerePool(TASK)).judge([job(r"\cos x", text)])
    assert found.judgement and (found.judgement.strict, found.judgement.lenient, found.judgement.first) == (
        True,
        True,
        False,
    )
    (found,) = with_pool(HerePool(TASK)).judge([job(r"\sin x", text)])
    assert found.judgement and (found.judgement.strict, found.judgement.lenient, found.judgement.first) == (
        False,
        False,
        True,
    )


def test_a_timeout_is_ungraded_for_all_its_workings_and_asked_again() -> None:
    pool = HerePool(TASK, [Verdict(None, None, "timeout: killed after 2 s")])
    grader = with_pool(pool)
    jobs = [job(r"\cos x", f" Step {step}: \\boxed{{\\cos(x)}}") for step in range(3)]
    for found in grader.judge(jobs):
        judged = found.judgement
        assert judged and (judged.strict, judged.lenient, judged.first, judged.answer) == (None, None, None, r"\cos(x)")
        assert judged.ungraded == "timeout: killed after 2 s"
    assert len(pool.asked) == 1 and verdicts(grader.judge(jobs)) == [(True, True)] * 3 and len(pool.asked) == 2


def test_a_process_that_hangs_on_an_answer_is_killed_and_the_others_are_graded() -> None:
    hangs = [job(r"\cos x", f" Step {step}: \\boxed{{\\tan x}}") for step in range(3)]
    with Grader(HangsOnAnswer(answers="math"), workers=1, timeout_s=1.0) as grader:
        found = grader.judge([job(r"\cos x", r"\boxed{\sin x}"), *hangs])
    assert verdicts(found) == [(False, False), *[(None, None)] * 3]
    assert {v.judgement.ungraded for v in found[1:] if v.judgement} == {"timeout: killed after 2 s"}


def test_a_reading_that_runs_out_of_time_is_ungraded_and_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    import math_verify
    from math_verify.errors import TimeoutException

    def late(*_: object, **__: object) -> None:
        raise TimeoutException

    monkeypatch.setattr(math_verify, "parse", late)
    judged = verify.full("math", r"\tan x", "", r" \boxed{\tan(x)}", True)
    assert judged.strict is None and judged.lenient is None and (judged.ungraded or "").startswith("timeout")


class Whole:
    """A task without pairs: a slow completion goes to the pool as a whole. Right ones hold a 5."""

    has_validator = False

    def __init__(self, strict: bool | None = None) -> None:
        self.strict = strict

    def grade_quick(self, item: Item, text: str, finished: bool) -> Judgement:
        return Judgement(self.strict, None, text, None, verify.PENDING) if "slow" in text else self.grade(item, text)

    def grade(self, item: Item, text: str, finished: bool = True) -> Judgement:
        return Judgement("5" in text, "5" in text, text, None)

    def validate(self, item: Item, text: str) -> None:
        return None


class Untried(Whole):
    """The same without a quick grade."""

    grade_quick = None  # type: ignore[assignment]


def whole(task: Whole, answers: Sequence[Verdict] = ()) -> tuple[Grader, HerePool]:
    grader, pool = Grader(task), HerePool(task, answers)  # type: ignore[arg-type]
    grader._pool = pool  # type: ignore[assignment]
    return grader, pool


def test_completions_without_pairs_are_judged_as_a_whole_each_by_itself_and_once() -> None:
    grader, pool = whole(Whole())
    jobs = [job("5", "slow 5"), job("5", "slow 6"), job("5", "5"), job("5", "slow 5"), job("6", "slow 5")]
    for _ in range(2):
        assert verdicts(grader.judge(jobs)) == [(True, True), (False, False), *[(True, True)] * 3]
        assert len(pool.asked) == 3
    assert not grader.has_validator


@pytest.mark.parametrize(("strict", "reason"), [(None, "timeout: late"), (True, "lenient: timeout: late")])
def test_what_was_decided_before_the_pool_failed_stays_with_the_reason(strict: bool | None, reason: str) -> None:
    grader, pool = whole(Whole(strict), [Verdict(None, None, "timeout: late")])
    (found,) = grader.judge([job("5", "slow 5")])
    assert found == Verdict(Judgement(strict, None, "slow 5", None, reason), None)
    assert verdicts(grader.judge([job("5", "slow 5")])) == [(True, True)] and len(pool.asked) == 2


@pytest.mark.parametrize(("why", "times"), [("guard: large", 1), ("lenient: guard: large", 1), ("timeout: late", 2)])
def test_a_refusal_because_of_size_is_final_and_a_timeout_is_not(why: str, times: int) -> None:
    refused = Verdict(Judgement(None, None, "slow", None, why), None)
    grader, pool = whole(Whole(), [refused] * 2)
    assert grader.judge([job("5", "slow")]) == grader.judge([job("5", "slow")]) == [refused]
    assert len(pool.asked) == times


def test_a_task_without_a_quick_grade_is_judged_in_the_pool_alone() -> None:
    grader, pool = whole(Untried(), [Verdict(None, None, "crash: exit 9")])
    assert grader.judge([job("5", "5")]) == [Verdict(None, None, "crash: exit 9")]
    assert verdicts(grader.judge([job("5", "5"), job("5", "6")])) == [(True, True), (False, False)]
    assert len(pool.asked) == 3
