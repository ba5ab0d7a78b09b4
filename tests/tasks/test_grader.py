"""The grader's short cuts: exact verdicts and shared ones are the slow path's, and what hangs stays ungraded."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from elicit.tasks.grading import verify
from elicit.tasks.grading.grader import Grader
from elicit.tasks.grading.pool import Job, Verdict, judge
from elicit.tasks.grading.verify import Said
from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.task import Judgement, make_item
from tests.reference.grading import slow
from tests.tasks.slow_said import HangsOnAnswer
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


def job(gold: str, text: str, finished: bool = True) -> Job:
    return Job(make_item("t", "test", "", gold), text, finished)


def mixed(seed: int, count: int) -> list[Job]:
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

    def judge(self, jobs: Sequence[Job | Said]) -> list[Verdict]:
        self.asked += jobs
        return [self.answers.pop(0) if self.answers else judge(self.task, each) for each in jobs]


def with_pool(pool: HerePool) -> Grader:
    grader = Grader(TASK)
    grader._pool = pool  # type: ignore[assignment]
    return grader


def verdicts(found: Sequence[Verdict]) -> list[tuple[bool | None, bool | None]]:
    return [(v.judgement.strict, v.judgement.lenient) if v.judgement else (None, None) for v in found]


@pytest.mark.parametrize("seed", range(3))
def test_exact_and_cached_verdicts_are_those_of_the_slow_path(seed: int) -> None:
    jobs = mixed(seed, 120)
    grader = with_pool(HerePool(TASK))
    for found in (grader.judge(jobs), grader.judge(jobs)):
        for one, got in zip(jobs, verdicts(found), strict=True):
            assert got == slow(one.item.gold or "", one.text, one.finished), (one.item.gold, one.text, one.finished)


def test_golden_verdicts_are_those_of_the_slow_path() -> None:
    rows = [row for row in ROWS if row["kind"] == "math"][::4]
    found = with_pool(HerePool(TASK)).judge([job(row["gold"], row["output"], row["finished"]) for row in rows])
    assert verdicts(found) == [slow(row["gold"], row["output"], row["finished"]) for row in rows]


def test_a_grader_says_what_the_task_says_with_reasons_and_answers() -> None:
    jobs = mixed(9, 80)
    for one, found in zip(jobs, with_pool(HerePool(TASK)).judge(jobs), strict=True):
        assert found.judgement == TASK.grade(*one), one


@pytest.mark.parametrize("said", [MATRIX, MATRIX.replace("2", "3"), r"\begin{pmatrix} 1 \\ \frac{4}{2} \end{pmatrix}"])
def test_matrices_are_graded_in_boxes_and_in_sentences(said: str) -> None:
    jobs = [job(MATRIX, f" So \\boxed{{{said}}} it is."), job(MATRIX, f" The answer is ${said}$.")]
    found = verdicts(with_pool(HerePool(TASK)).judge(jobs))
    assert found == [slow(MATRIX, one.text, True) for one in jobs]
    assert [lenient for _, lenient in found] == ["3" not in said] * 2


def test_many_workings_of_one_answer_cost_one_verification() -> None:
    pool = HerePool(TASK)
    grader = with_pool(pool)
    jobs = [job(r"\cos x", f" By step {step} it is $\\boxed{{\\sin x}}$.") for step in range(16)]
    assert set(verdicts(grader.judge(jobs))) == {(False, False)}
    grader.judge([job(r"\cos x", " Otherwise worked out: \\boxed{\\sin x}", finished=True)])
    assert pool.asked == [Said(r"\cos x", r"\sin x", True)]


def test_the_cache_tells_golds_answers_and_cut_outputs_apart() -> None:
    pool = HerePool(TASK)
    asked = [(r"\cos x", r"\sin x", True), (r"\sin x", r"\cos x", True), (r"\cos x", r"\cos(x)", True),
             (r"\cos x", r"\cos(x)", False)]  # fmt: skip
    found = with_pool(pool).judge([job(gold, rf" \boxed{{{said}}}", finished) for gold, said, finished in asked])
    assert verdicts(found) == [(False, False), (False, False), (True, True), (False, True)]
    assert len(set(pool.asked)) == 4


def test_a_box_that_is_not_read_leaves_the_verdict_to_the_whole_completion() -> None:
    pool = HerePool(TASK)
    jobs = [job("2x+3", f" {said}, so \\boxed{{foo &&}}") for said in ("$2x+3$", "$2x+4$")]
    found = with_pool(pool).judge(jobs)
    assert [type(asked) for asked in pool.asked] == [Said, Job, Job]
    assert verdicts(found) == [slow("2x+3", one.text, True) for one in jobs]


def test_a_timeout_is_ungraded_for_all_its_workings_and_asked_again() -> None:
    pool = HerePool(TASK, [Verdict(None, None, "timeout: killed after 2 s")])
    grader = with_pool(pool)
    jobs = [job(r"\cos x", f" Step {step}: \\boxed{{\\cos(x)}}") for step in range(3)]
    first = [verdict.judgement for verdict in grader.judge(jobs)]
    assert all(j == Judgement(None, None, r"\cos(x)", j.answer_class, "timeout: killed after 2 s") for j in first if j)
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
