"""Fit one job: method + policy + ledger -> intervention, in its run folder.

An intervention that was fitted before with the same fingerprint (checkpoint, method and its code,
task, seed, budget) is taken over with its ledger. While the method runs, the audit hook of
`watch.py` looks; what it finds makes the class "unaccounted". Knows nothing about the evaluation.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from elicit.config.compose import own_places
from elicit.experiment.plan import Job
from elicit.experiment.provenance import code_hash
from elicit.experiment.run_folder import FITTED, RunFolder, all_runs
from elicit.files import content_hash, fingerprint, seed_of
from elicit.ledger import Ledger, load_rows
from elicit.method import Context
from elicit.watch import door, watching

if TYPE_CHECKING:
    from elicit.policy.decoding import DecodingStrategy
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.tasks.task import Task


def fit_job(job: Job, run: RunFolder, policy: Policy, say: Callable[[str], None], track: Any) -> Intervention:
    """The job's intervention, fitted now or before. Writes intervention/ and ledger.jsonl."""
    from elicit.policy.policy import load_intervention

    now = fit_fingerprint(job, policy)
    if run.manifest.get("fit") == now and (run.intervention / "spec.json").exists():
        return load_intervention(run.intervention, policy.checkpoint)
    before = _fitted_before(now, Path(job.settings.root))
    if before is not None:
        say(f"{job.name}: fitted before in {before.path.name}, taken over")
        shutil.copytree(before.intervention, run.intervention, dirs_exist_ok=True)
        shutil.copyfile(before.ledger, run.ledger)
        kept = {key: before.manifest.get(key) for key in ("fit_seconds", "data_class", "used_items", "spent")}
        run.update(fit=now, fit_from=before.path.name, status=FITTED, **kept)
        return load_intervention(run.intervention, policy.checkpoint)
    return _fit(job, run, policy, now, say, track)


def fit_fingerprint(job: Job, policy: Policy) -> dict[str, str]:
    """Named hashes of everything a fit depends on."""
    chosen = job.settings
    method = {key: value for key, value in chosen.node["method"].items() if key != "name"}
    return fingerprint(
        checkpoint=policy.id,
        method=method,
        code=code_hash(chosen.method),
        task=chosen.node["task"],
        seed=chosen.seed,
        budget=chosen.node["budget"],
        max_new_tokens=chosen.eval.max_new_tokens,
    )


def _fit(
    job: Job, run: RunFolder, policy: Policy, now: dict[str, str], say: Callable[[str], None], track: Any
) -> Intervention:
    from elicit.policy.intervention import save

    chosen = job.settings
    ledger = Ledger(chosen.task, job.name, chosen.budget)
    for what in chosen.smuggled:
        ledger.unaccounted(what)
    for text in (part for exemplar in policy.prompt.exemplars for part in exemplar):
        ledger.foreign(text, f"exemplars of {policy.prompt.name}", "-", stage="prompt")
    context = Context(
        rng=np.random.default_rng(seed_of("fit", chosen.seed, job.arm)),
        folder=run.path / "fit",
        seed=chosen.seed,
        dev_score=dev_score(chosen.task, ledger),
        log=_logger(run, track, ledger),
        say=say if job.twin is None else lambda line: say(f"{job.name}: {line}"),
    )
    context.folder.mkdir(exist_ok=True)
    allowed = [run.path, *own_places(), *_checkpoint_places(policy)]
    started = time.monotonic()
    try:
        with watching(allowed, ledger.unaccounted):
            intervention = chosen.method.fit(policy, ledger, context)
    finally:
        ledger.close()
    seconds = time.monotonic() - started
    strategy = cast("DecodingStrategy", intervention) if intervention.kind == "decoding" else None
    if strategy is not None and strategy.needs_verifier and ledger.data_class != "L":
        ledger.teacher()  # whatever its method booked: a verifier that is asked at inference is class L
    ledger.save(run.ledger)
    save(intervention, run.intervention, ledger.used)
    run.update(
        fit=now,
        fit_seconds=round(seconds, 3),
        data_class=ledger.data_class,
        used_items=ledger.used,
        spent=vars(ledger.spent),
        status=FITTED,
    )
    return intervention


def dev_score(task: Task, ledger: Ledger) -> Callable[[Policy, int | None], float]:
    """Strict accuracy on a seeded subset of dev in regime `compare`, its label bits booked as select.

    An ungraded answer is left out of the mean. Raises ZeroDivisionError never: no graded answer is a LedgerError.
    """
    from elicit.policy.decoding import REGIMES
    from elicit.records import FINISHED
    from elicit.tasks.grading.pool import Job

    def score(policy: Policy, limit: int | None = None) -> float:
        from elicit.errors import LedgerError
        from elicit.sampling.sample import sample

        with door():
            items = task.items("dev", limit)
        ledger.selected(len(items), [item.id for item in items])
        drawn = sample(policy, items, [0], REGIMES["compare"], task)
        jobs = [Job(item, o.path.text, o.path.finish in FINISHED) for item, _, o in drawn]
        grades = [judgement.strict for judgement in ledger.judge(jobs)]
        known = [grade for grade in grades if grade is not None]
        if not known:
            raise LedgerError(f"dev score of {len(items)} items of {task.name}: not one answer could be graded")
        return sum(known) / len(known)

    return score


def ledger_rows(run: RunFolder) -> list[Any]:
    """The rows of the run's ledger; none where nothing was fitted."""
    return load_rows(run.ledger) if run.ledger.exists() else []


def _logger(run: RunFolder, track: Any, ledger: Ledger) -> Callable[[dict[str, Any]], None]:
    """Rows with what had been spent when they were written: curves have tokens, label bits and seconds as x."""
    started = time.monotonic()

    def log(row: dict[str, Any]) -> None:
        seconds = round(time.monotonic() - started, 3)
        whole = {**row, "tokens": ledger.spent.tokens, "label_bits": ledger.spent.labels, "seconds": seconds}
        run.log(whole)
        track.log(whole)

    return log


def _checkpoint_places(policy: Policy) -> list[Path]:
    """Where the checkpoint's files may be read again while fitting."""
    path = Path(str(policy.checkpoint.config.path)).expanduser()
    return [path] if path.exists() else []


def _fitted_before(now: dict[str, str], root: Path) -> RunFolder | None:
    wanted = content_hash(now)
    for run in reversed(list(all_runs(root))):
        same = run.manifest.get("fit") and content_hash(run.manifest["fit"]) == wanted
        if same and (run.intervention / "spec.json").exists() and run.ledger.exists():
            return run
    return None
