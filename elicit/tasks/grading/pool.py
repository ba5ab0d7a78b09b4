"""Grading in processes that can be killed: SymPy can hang; a hung grade counts as ungraded, never as wrong.

Each worker is a fresh interpreter (no fork of a process that holds a device, no second run of the caller's script)
with a safe path (`processes`) and the pickled task, and gets one completion at a time. After `timeout_s` it is killed
and the completion is tried once more with twice the time; if that fails too it is *ungraded*, with the reason. The
other workers continue. A crash of a worker affects only its completion. What this module does not know: which task,
what a grade means.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from elicit import processes
from elicit.config.build import trusted
from elicit.errors import ConfigError, DataError
from elicit.records import Item
from elicit.tasks.formal.family import Violation
from elicit.tasks.grading.verify import PENDING, Pair
from elicit.tasks.task import Judgement, Task

MEMORY_BYTES = 4 * 2**30
"""data segment of a worker: a runaway power raises MemoryError before it takes the machine's memory"""
START_SECONDS = 60.0


class GradeRequest(NamedTuple):
    """One completion to be graded."""

    item: Item
    text: str
    finished: bool


class Verdict(NamedTuple):
    """The judgement, the first violation, and the reason if there is no judgement."""

    judgement: Judgement | None
    violation: Violation | None
    failure: str | None = None

    @property
    def pending(self) -> bool:
        """Whether the judgement waits for comparisons in the pool."""
        return PENDING in (self.failure, self.judgement.ungraded if self.judgement else None)


@runtime_checkable
class PairTask(Protocol):
    """A task whose pending judgements wait for comparisons of a gold and an answer (`verify.Pair`), without working."""

    def pairs(self, item: Item, text: str, finished: bool) -> tuple[Pair, ...]: ...

    def grade_pair(self, pair: Pair) -> Judgement: ...

    def completed(self, item: Item, text: str, finished: bool, found: Mapping[Pair, Judgement]) -> Judgement: ...


def judge(task: Task, job: GradeRequest | Pair) -> Verdict:
    """Grade and validate one completion in this process; a fault of the grader is the reason of an ungraded row.

    The trace is not validated if the item has no facts (a row of a user's own file), nor for a `Pair`.
    """
    try:
        if isinstance(job, Pair):
            return Verdict(cast(PairTask, task).grade_pair(job), None)
        judgement = task.grade(*job)
        checkable = task.has_validator and job.item.facts
        return Verdict(judgement, task.validate(job.item, job.text) if checkable else None)
    except Exception as fault:
        return Verdict(None, None, f"{type(fault).__name__}: {fault}")


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    pipe: Connection[GradeRequest | Pair, Verdict]
    ready: bool = False
    job: int | None = None
    deadline: float = field(default_factory=lambda: time.monotonic() + START_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pipe.close()


class GradingPool:
    """Judge completions with `workers` processes and `timeout_s` seconds for each. A context manager."""

    def __init__(self, task: Task, workers: int = 2, timeout_s: float = 5.0) -> None:
        if workers < 1 or timeout_s <= 0:
            raise ConfigError(f"workers={workers}, timeout_s={timeout_s}: need at least one worker and some time")
        self.task, self.size, self.timeout_s = task, workers, timeout_s
        self._workers: list[_Worker] = []

    def __enter__(self) -> GradingPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    def judge(self, jobs: Sequence[GradeRequest | Pair]) -> list[Verdict]:
        """Verdicts in the order of `jobs`. Raises DataError if the task can't be sent to a worker."""
        out: dict[int, Verdict] = {}
        again: set[int] = set()
        waiting = deque(range(len(jobs)))
        while len(out) < len(jobs):
            while len(self._workers) < min(self.size, len(jobs) - len(out)):
                self._workers.append(self._start())
            for worker in self._workers:
                if worker.ready and worker.job is None and waiting:
                    worker.job = index = waiting.popleft()
                    worker.deadline = time.monotonic() + self.timeout_s * (2 if index in again else 1)
                    worker.pipe.send(jobs[index])
            self._collect(out, again, waiting)
        return [out[index] for index in range(len(jobs))]

    def _start(self) -> _Worker:
        try:
            task = pickle.dumps(self.task)
        except (pickle.PicklingError, AttributeError, TypeError) as fault:
            raise DataError(f"the task can't be sent to a grading process: {fault}; define it in a module") from None
        ours, theirs = Pipe()
        command = processes.command("elicit.tasks.grading.pool", str(theirs.fileno()), str(os.getpid()))
        environment = processes.environment([type(self.task).__module__, *trusted()])
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), env=environment, stdin=subprocess.DEVNULL)
        theirs.close()
        ours.send_bytes(task)
        return _Worker(process, ours)

    def _collect(self, out: dict[int, Verdict], again: set[int], waiting: deque[int]) -> None:
        """Wait for the next answer or deadline; store answers, kill late workers."""
        busy = [worker for worker in self._workers if worker.job is not None or not worker.ready]
        nearest = min(worker.deadline for worker in busy)
        spoken = wait([worker.pipe for worker in busy], max(0.0, nearest - time.monotonic()))
        for worker in busy:
            if worker.pipe in spoken:
                self._hear(worker, out)
            elif time.monotonic() >= worker.deadline:
                self._late(worker, out, again, waiting)

    def _hear(self, worker: _Worker, out: dict[int, Verdict]) -> None:
        try:
            message = worker.pipe.recv()
        except (EOFError, ConnectionError):
            self._drop(worker)
            if worker.job is None:
                raise DataError(
                    f"a grading process ended before its first grade (exit {worker.process.returncode}); can "
                    f"{type(self.task).__module__}.{type(self.task).__qualname__} be imported from a fresh interpreter?"
                ) from None
            out[worker.job] = Verdict(None, None, f"crash: the grader ended with exit {worker.process.returncode}")
            return
        if worker.ready and worker.job is not None:
            out[worker.job] = message
        worker.ready, worker.job = True, None

    def _late(self, worker: _Worker, out: dict[int, Verdict], again: set[int], waiting: deque[int]) -> None:
        self._drop(worker)
        if worker.job is None:
            raise DataError(f"a grading process did not start within {START_SECONDS:.0f} s; is the machine overloaded?")
        if worker.job in again:
            out[worker.job] = Verdict(None, None, f"timeout: killed after {2 * self.timeout_s:g} s")
        else:
            again.add(worker.job)
            waiting.append(worker.job)

    def _drop(self, worker: _Worker) -> None:
        worker.kill()
        self._workers.remove(worker)


def _serve(pipe: Connection[Any, Any], parent: int) -> None:
    """Main loop of a worker: read the task, send "ready", then one verdict per request until the pipe closes."""
    processes.end_with_parent(parent)
    for number in (signal.SIGINT, signal.SIGHUP):  # of the terminal, for the whole group: the parent decides
        signal.signal(number, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_DATA)[1]
    bytes_ = MEMORY_BYTES if limit == resource.RLIM_INFINITY else min(MEMORY_BYTES, limit)
    resource.setrlimit(resource.RLIMIT_DATA, (bytes_, limit))
    task = pickle.loads(pipe.recv_bytes())
    pipe.send("ready")
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(judge(task, job))


if __name__ == "__main__":
    from elicit.tasks.grading import pool  # so that verdicts are pickled under the module's importable name

    pool._serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
