"""Several processes on the jobs of one comparison: each claims a run folder, fits it and measures it.

    main process      plans, freezes, samples base and ceilings, then claims jobs like the others, then compares
    worker processes  `python -P -m elicit.experiment.workers PARENT LEASE PACKAGES RUN...`: claim, fit, measure, next

A worker writes the same files (manifest, intervention, samples, grades) as the main process would, so the comparison
does not depend on their number. There are at most as many processes as jobs. A worker ends when its parent is gone,
and it claims runs under the lease of its parent only: the command that resumes the runs gives out a new one. A tiny
model uses one thread, so two workers use two cores; on one GPU leave `parallel` at 1. Knows no method and no metric.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from elicit import errors, processes
from elicit.config.build import trusted, trusting
from elicit.console import Console
from elicit.experiment.run_folder import CLAIM, DONE, FAILED, RunFolder
from elicit.files import read_json, read_text, write_text
from elicit.reading import check_types


class _Error(TypedDict):
    type: str
    message: str


LEASE = "lease"


def release(runs: Sequence[RunFolder], lease: str = "") -> None:
    """Take back the claims of an earlier command on these folders; from now on they are claimed under `lease`."""
    for run in runs:
        write_text(run.path / LEASE, lease)
        (run.path / CLAIM).unlink(missing_ok=True)


def claim(run: RunFolder, lease: str = "") -> bool:
    """True for the first process with this lease that claims this run: that one does it."""
    file = run.path / LEASE
    if (read_text(file) if file.exists() else "") != lease:
        return False
    try:
        handle = os.open(run.path / CLAIM, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    os.write(handle, f"{lease} {os.getpid()}".encode())
    os.close(handle)
    return True


@contextmanager
def helping(count: int, runs: Sequence[RunFolder]) -> Iterator[str]:
    """`count` worker processes on these runs, one fewer than runs at most; yields the lease to claim runs under.

    On leaving, waits for them; after a fault, stops them.
    """
    lease = f"{os.getpid()}-{secrets.token_hex(8)}"
    release(runs, lease)
    folders = [str(run.path.resolve()) for run in runs]
    words = [str(os.getpid()), lease, ",".join(trusted()), *folders]
    command = processes.command("elicit.experiment.workers", *words)
    environment = processes.environment(trusted())
    count = min(count, len(runs) - 1)
    workers = [subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) for _ in range(count)]
    try:
        yield lease
        for worker in workers:
            worker.wait()
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
                worker.wait()


def finished(run: RunFolder) -> bool:
    """Whether a process has completed this run (done or failed); its manifest is read again."""
    run.read()
    return run.manifest["status"] in (DONE, FAILED)


def fault_of(run: RunFolder) -> BaseException | None:
    """The fault that a worker wrote into a failed run: an exception of its type if it is one of `elicit.errors`."""
    if run.manifest["status"] != FAILED:
        return None
    error = read_json(run.path / "error.json")
    check_types(_Error, error, run.path / "error.json")
    kind: Any = getattr(errors, error["type"], errors.ElicitError)
    return kind(error["message"] if kind is not errors.ElicitError else f"{error['type']}: {error['message']}")


def work(parent: int, folders: Sequence[str], lease: str = "", alive: Callable[[], int] = os.getppid) -> None:
    """The main loop of a worker: load the checkpoint once, then do one run after the other."""
    from elicit.experiment.bench import Bench
    from elicit.experiment.job import Outcome, job_of, run_job
    from elicit.experiment.plan import ComparisonPlan
    from elicit.experiment.provenance import provenance
    from elicit.policy.checkpoint import load_checkpoint
    from elicit.sampling.engine import set_engine

    runs = [RunFolder(Path(folder)) for folder in folders]
    jobs = [job_of(run) for run in runs]
    comparison = ComparisonPlan(runs[0].manifest["group"], tuple(jobs), jobs[0].settings)
    checkpoint = set_engine(load_checkpoint(comparison.settings.model), comparison.settings.engine)
    bench = Bench(comparison, checkpoint, Console("json"))
    facts = provenance(runs[0].manifest["argv"])
    for job, run in zip(jobs, runs, strict=True):
        if alive() != parent:
            return
        if claim(run, lease):
            run_job(Outcome(job, run), bench, facts)


if __name__ == "__main__":
    parent, lease, packages, *folders = sys.argv[1:]
    processes.end_with_parent(int(parent))
    with processes.signals_as_interrupts() as received, trusting(filter(None, packages.split(","))):
        try:
            work(int(parent), folders, lease)
        except KeyboardInterrupt:
            sys.exit(128 + (received[0] if received else signal.SIGINT))
