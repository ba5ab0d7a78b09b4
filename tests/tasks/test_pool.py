"""The pool's rules of time on a clock of its own: deadlines, a second try with twice the time, crashes, the start."""

from __future__ import annotations

import pickle
import resource
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from elicit.errors import ConfigError, DataError
from elicit.tasks.grading import pool as module
from elicit.tasks.grading.pool import START_SECONDS, GradeRequest, GradingPool, Verdict, judge
from elicit.tasks.grading.verify import PENDING, Pair
from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.task import Judgement, make_item

ITEM = make_item("t", "test", "", "5")
TASK = Jsonl(answers="math")


class Clock:
    """A clock that moves only while the pool waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, pipes: Sequence[Any], timeout: float) -> list[Any]:
        """The pipes with a message by now; if there is none, the time passes until the first one, or to the end."""
        due = [pipe.due for pipe in pipes if pipe.due is not None]
        assert due or timeout < float("inf")
        self.now = max(self.now, min([self.now + timeout, *due]))
        return [pipe for pipe in pipes if pipe.due is not None and pipe.due <= self.now]


class Worker:
    """Both ends of a worker: `takes` seconds for the text of a request, "crash" ends the process instead."""

    def __init__(self, clock: Clock, starts: float | str, log: list[tuple[float, str]]) -> None:
        self.clock, self.log, self.returncode, self.message = clock, log, 9, "ready" if starts != "crash" else None
        self.due: float | None = clock.now + (starts if isinstance(starts, float) else 0.5)

    def send(self, job: GradeRequest) -> None:
        takes, _, crash = job.text.partition(" ")
        self.log.append((self.clock.now, job.text))
        self.due, self.message = self.clock.now + float(takes), None if crash else job.text

    def recv(self) -> Any:
        self.due = None
        if self.message is None:
            raise EOFError
        return self.message if self.message == "ready" else Verdict(None, None, f"graded {self.message}")

    def kill(self) -> None:
        self.log.append((self.clock.now, "killed"))

    def wait(self) -> None:
        pass

    def close(self) -> None:
        pass


def judged(
    monkeypatch: pytest.MonkeyPatch, texts: Sequence[str], workers: int = 1, starts: Sequence[float | str] = ()
) -> tuple[list[str | None], list[tuple[float, str]], int]:
    """(verdicts, what happened when, how many workers were started) with five seconds for each request."""
    clock, log, later, started = Clock(), list[tuple[float, str]](), list(starts), list[Worker]()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "wait", clock.wait)

    def start(self: GradingPool) -> Any:
        started.append(Worker(clock, later.pop(0) if later else 1.0, log))
        return module._Worker(started[-1], started[-1], deadline=clock.now + START_SECONDS)  # type: ignore[arg-type]

    monkeypatch.setattr(GradingPool, "_start", start)
    with GradingPool(TASK, workers, 5.0) as pool:
        found = pool.judge([GradeRequest(ITEM, text, True) for text in texts])
    return [verdict.failure for verdict in found], log, len(started)


def test_verdicts_are_in_the_order_of_the_requests_and_no_worker_is_started_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, log, started = judged(monkeypatch, ["4", "1", "2"], workers=2)
    assert found == ["graded 4", "graded 1", "graded 2"] and started == 2
    assert [(at, what) for at, what in log if what != "killed"] == [(1.0, "4"), (1.0, "1"), (2.0, "2")]
    assert judged(monkeypatch, ["1"], workers=9)[2] == 1 and judged(monkeypatch, [])[2] == 0
    assert [what for _, what in log[-2:]] == ["killed"] * 2  # at the end of the pool


def test_a_late_request_is_tried_again_after_the_others_with_twice_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found, log, started = judged(monkeypatch, ["9", "1"])
    assert found == ["graded 9", "graded 1"] and started == 2
    assert log == [(1.0, "9"), (6.0, "killed"), (7.0, "1"), (8.0, "9"), (17.0, "killed")]


def test_a_request_that_is_late_twice_is_ungraded_with_the_time_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    found, log, _ = judged(monkeypatch, ["11", "1"])
    assert found == ["timeout: killed after 10 s", "graded 1"]
    assert [at for at, what in log if what == "killed"][:2] == [6.0, 18.0]


def test_a_crash_costs_its_own_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    found, log, started = judged(monkeypatch, ["1", "2 crash", "1"])
    assert found == ["graded 1", "crash: the grader ended with exit 9", "graded 1"] and started == 2
    assert [what for _, what in log] == ["1", "2 crash", "killed", "1", "killed"]


def test_a_worker_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(monkeypatch, ["1"], starts=[59.0])[0] == ["graded 1"]
    with pytest.raises(DataError, match="did not start within 60 s"):
        judged(monkeypatch, ["1"], starts=[61.0])
    with pytest.raises(
        DataError, match=r"ended before its first grade \(exit 9\); can elicit.tasks.natural.jsonl.Jsonl"
    ):
        judged(monkeypatch, ["1"], starts=["crash"])


@pytest.mark.parametrize(("workers", "seconds"), [(0, 1.0), (1, 0.0), (1, -1.0)])
def test_a_pool_needs_a_worker_and_some_time(workers: int, seconds: float) -> None:
    with pytest.raises(ConfigError, match=f"workers={workers}, timeout_s={seconds}: need at least one worker"):
        GradingPool(TASK, workers, seconds)


class Pipe:
    """The worker's end of a pipe: it gives the task, then requests, then it is closed."""

    def __init__(self, task: Jsonl, requests: Sequence[Any]) -> None:
        self.task, self.requests, self.sent = pickle.dumps(task), list(requests), list[Any]()

    def recv_bytes(self) -> bytes:
        return self.task

    def recv(self) -> Any:
        if not self.requests:
            raise EOFError
        return self.requests.pop(0)

    def send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.mark.parametrize(("hard", "soft"), [(resource.RLIM_INFINITY, 4 * 2**30), (2**30, 2**30), (2**40, 4 * 2**30)])
def test_a_worker_bounds_its_memory_outlives_no_parent_and_answers_until_the_pipe_closes(
    monkeypatch: pytest.MonkeyPatch, hard: int, soft: int
) -> None:
    set_: list[Any] = []
    monkeypatch.setattr(module.processes, "end_with_parent", lambda parent: set_.append(parent))
    monkeypatch.setattr(module.signal, "signal", lambda *rule: set_.append(rule))
    monkeypatch.setattr(module.resource, "getrlimit", lambda kind: {resource.RLIMIT_DATA: (hard, hard)}[kind])
    monkeypatch.setattr(module.resource, "setrlimit", lambda *limits: set_.append(limits))
    requests = [GradeRequest(ITEM, r"\boxed{5}", True), Pair("5", "6")]
    pipe = Pipe(TASK, requests)
    module._serve(pipe, 77)  # type: ignore[arg-type]
    ignored = [(signal.SIGINT, signal.SIG_IGN), (signal.SIGHUP, signal.SIG_IGN)]
    assert set_ == [77, *ignored, (resource.RLIMIT_DATA, (soft, hard))]
    assert pipe.sent == ["ready", *(judge(TASK, request) for request in requests)]


def test_a_started_worker_gets_the_task_and_says_it_is_ready() -> None:
    with GradingPool(TASK) as pool:
        worker = pool._start()
        assert worker.pipe.poll(60) and worker.pipe.recv() == "ready" and not worker.ready and worker.job is None
        worker.kill()
    assert worker.process.returncode == -signal.SIGKILL and worker.process.stdin is None
    with pytest.raises(OSError, match="closed"):
        worker.pipe.recv()


def test_a_task_that_cannot_be_sent_is_an_error() -> None:
    class Local(Jsonl):
        pass

    with pytest.raises(DataError, match="the task can't be sent to a grading process"):
        GradingPool(Local(answers="math")).judge([GradeRequest(ITEM, "5", True)])


def test_a_fault_of_the_task_is_the_reason_of_an_ungraded_row() -> None:
    class Faulty(Jsonl):
        def grade(self, *_: Any) -> Judgement:
            raise ZeroDivisionError("by zero")

    found = judge(Faulty(answers="math"), GradeRequest(ITEM, "5", True))
    assert found == Verdict(None, None, "ZeroDivisionError: by zero") and not found.pending
    assert Verdict(None, None, PENDING).pending and Verdict(Judgement(None, None, "5", None, PENDING), None).pending
    assert not Verdict(Judgement(True, True, "5", None), None).pending
    assert judge(TASK, Pair("5", "6")).judgement == TASK.grade_pair(Pair("5", "6"))


def test_only_items_with_facts_are_validated() -> None:
    class Checked(Jsonl):
        has_validator = True

        def validate(self, item: Any, text: str) -> Any:
            return (item.id, text)

    task = Checked(answers="math")
    facts = make_item("t", "test", "", "5", facts={"a": 1})
    assert judge(task, GradeRequest(facts, "5", True)).violation == (facts.id, "5")
    assert judge(task, GradeRequest(ITEM, "5", True)).violation is None
    assert judge(TASK, GradeRequest(facts, "5", True)).violation is None
