"""Several processes on the jobs of one comparison: each claims a run folder, fits it and measures it.

    main process      plans, freezes, samples base and ceilings, then claims jobs like the others, then compares
    worker processes  `python -m elicit.experiment.workers PARENT RUN...`: claim, fit, measure, next

A worker writes the same files (manifest, intervention, samples, grades) as the main process would, so the comparison
does not depend on their number. A worker ends when its parent does. A tiny model uses one thread, so two workers use
two cores; on one GPU leave `parallel` at 1. Knows no method and no metric.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elicit import errors
from elicit.console import Console
from elicit.experiment.run_folder import DONE, FAILED, RunFolder
from elicit.files import read_json

CLAIM = "claimed"


def release(runs: Sequence[RunFolder]) -> None:
    """Take back the claims of an earlier command on these folders."""
    for run in runs:
        (run.path / CLAIM).unlink(missing_ok=True)


def claim(run: RunFolder) -> bool:
    """True for the first process that claims this run: that one does it."""
    try:
        os.close(os.open(run.path / CLAIM, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


@contextmanager
def helping(count: int, runs: Sequence[RunFolder]) -> Iterator[None]:
    """`count` worker processes on these runs. On leaving, waits for them; after a fault, stops them."""
    release(runs)
    command = [
        sys.executable,
        "-m",
        "elicit.experiment.workers",
        str(os.getpid()),
        *(str(run.path.resolve()) for run in runs),
    ]
    here = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])}
    workers = [subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) for _ in range(count)]
    try:
        yield
        for worker in workers:
            worker.wait()
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
                worker.wait()


def finished(run: RunFolder) -> bool:
    """Whether a process has completed this run (done or failed); its manifest is read again."""
    run.manifest = read_json(run.path / "manifest.json")
    return run.manifest["status"] in (DONE, FAILED)


def fault_of(run: RunFolder) -> BaseException | None:
    """The fault that a worker wrote into a failed run: an exception of its type if it is one of `elicit.errors`."""
    if run.manifest["status"] != FAILED:
        return None
    error = read_json(run.path / "error.json")
    kind: Any = getattr(errors, error["type"], errors.ElicitError)
    return kind(error["message"] if kind is not errors.ElicitError else f"{error['type']}: {error['message']}")


def work(parent: int, folders: Sequence[str], alive: Callable[[], int] = os.getppid) -> None:
    """The main loop of a worker: load the checkpoint once, then do one run after the other."""
    from elicit.experiment.bench import Bench
    from elicit.experiment.job import Outcome, job_of, run_job
    from elicit.experiment.plan import ComparisonPlan
    from elicit.experiment.provenance import provenance
    from elicit.policy.checkpoint import load_checkpoint

    runs = [RunFolder(Path(folder)) for folder in folders]
    jobs = [job_of(run) for run in runs]
    comparison = ComparisonPlan(runs[0].manifest["group"], tuple(jobs), jobs[0].settings)
    bench = Bench(comparison, load_checkpoint(comparison.settings.model), Console("json"))
    facts = provenance(runs[0].manifest["argv"])
    for job, run in zip(jobs, runs, strict=True):
        if alive() != parent:
            return
        if claim(run):
            run_job(Outcome(job, run), bench, facts)


if __name__ == "__main__":
    try:
        work(int(sys.argv[1]), sys.argv[2:])
    except KeyboardInterrupt:
        sys.exit(130)
