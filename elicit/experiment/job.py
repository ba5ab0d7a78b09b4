"""One job of a command: its run folder, its fit, its measurement. Any process of the command may do it.

A fault stays in the job's own folder, so that the others continue. Knows no other job and no comparison (`run.py`).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from elicit import ranks
from elicit.errors import StageError
from elicit.experiment.plan import Job
from elicit.experiment.provenance import Provenance, config_hash
from elicit.experiment.run_folder import DONE, RunFolder
from elicit.experiment.stack import layers, rows_of, stack, stacked
from elicit.files import locked
from elicit.names import published_name
from elicit.track.sink import NoTracker

if TYPE_CHECKING:
    from elicit.evaluate.entry import Entry
    from elicit.experiment.bench import Bench
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.records import LedgerRow


@dataclass
class Invocation:
    """One command: what its runs share, and how many it has planned."""

    argv: Sequence[str]
    of: int = 1
    """runs that it plans"""
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    planned: int = 0

    def next_index(self) -> int:
        """Position of a run among those of the command, from 1: `resume` keeps their order."""
        self.planned += 1
        return self.planned


@dataclass
class Outcome:
    """The result of one job."""

    job: Job
    run: RunFolder
    entries: list[Entry] = field(default_factory=list)
    """at the prompt of the comparison, and at its own dev-best one if that is another"""
    fault: BaseException | None = None


def make_folder(job: Job, group: str, invocation: Invocation) -> RunFolder:
    """The planned run folder of one job."""
    settings = job.settings
    manifest = {
        "role": job.role,
        "name": job.name,
        "method": settings.method.name if settings.method else None,
        "method_class": published_name(type(settings.method)),
        "parent": job.parent,
        "twin": job.twin,
        "arm": job.arm,
        "seed": settings.seed,
        "group": group,
        "invocation": invocation.id,
        "index": invocation.next_index(),
        "of": invocation.of,
        "working_directory": os.getcwd(),
        "argv": list(invocation.argv),
        "overrides": list(job.overrides),
        "config_hash": config_hash(settings.node),
        "pid": os.getpid(),
    }
    name = job.name.replace("/", "-")
    return RunFolder.create(Path(settings.root), name, settings.task.name, settings.node, manifest)


def job_of(run: RunFolder) -> Job:
    """The job of a run folder, built again from its config.yaml. Raises StageError if that was changed.

    Its root is the folder that holds the run: the one that it was planned in may have been moved.
    """
    settings, manifest = replace(run.settings(), root=str(run.path.parent)), run.manifest
    if manifest.get("config_hash") != config_hash(settings.node):
        raise StageError(f"{run.path / 'config.yaml'} was changed since the run was planned; start a new run instead")
    overrides = tuple(manifest["overrides"])
    return Job(manifest["name"], manifest["role"], settings, overrides, manifest["parent"], manifest["twin"])


def run_job(outcome: Outcome, bench: Bench, facts: Provenance) -> None:
    """Fit and measure one job; a fault is written to its folder and kept in `outcome`.

    One process at a time: a second command that resumes the run waits, and then finds it fitted and measured.
    """
    with locked(outcome.run.path, bench.console.say) if ranks.main() else nullcontext():
        outcome.run.read()
        _run_job(outcome, bench, facts)
        ranks.agree(outcome.fault)


def _run_job(outcome: Outcome, bench: Bench, facts: Provenance) -> None:
    from elicit.experiment.fit import fit_job

    job, run, say = outcome.job, outcome.run, bench.console.say
    started = time.monotonic()
    run.update(**facts.manifest(), checkpoint=bench.checkpoint.info(), items=[item.id for item in bench.items])
    # 1) the base alone: nothing to fit, and its samples belong to the comparison
    if job.role == "base":
        run.update(status=DONE, policy_id=bench.base().id)
        return
    # 2) the tracked run of this fit
    name = f"{job.name.replace('/', '-')}-s{job.settings.seed}"
    config = {key: value for key, value in job.settings.node.items() if key not in ("experiment", "sweep")}
    tracker = job.settings.tracker if ranks.main() else NoTracker()
    track = tracker.start(run.path, "fit", name, bench.comparison.group, config, bench.console.say_once)
    try:
        # 3) fit, then measure on items that the fit has not used
        stack(job, run)
        intervention = fit_job(job, run, stacked(policy_to_fit(job, bench), run), bench.console, track)
        outcome.entries = measure_job(job, run, bench, intervention)
        run.update(status=DONE, seconds=round(time.monotonic() - started, 3), wandb=track.id)
        track.artifact(f"intervention-{intervention.id}", "intervention", run.intervention)
    except Exception as fault:  # whatever a method or its libraries raise, the other jobs continue
        outcome.fault = fault
        run.failed(fault)
        say(f"{job.name}: failed ({type(fault).__name__}: {fault}); see {run.path / 'error.json'}")
    finally:
        track.finish()


def policy_to_fit(job: Job, bench: Bench) -> Policy:
    """The base at the prompt that methods are fitted on; B0 itself for a decoding strategy, which no prompt changes.

    Exemplars would be booked (class T) without any effect. Raises ConfigError if the task has no such prompt.
    """
    method, prompt = job.settings.method, job.settings.fit.prompt or bench.plan.prompt
    policy = bench.fitted_on(prompt)
    if prompt == bench.plan.prompt or method is None or method.strategy is None:
        return policy
    bench.console.say(f"{job.name}: fit.prompt={prompt} is ignored, a decoding strategy is not fitted on a prompt")
    return bench.base()


def measure_job(job: Job, run: RunFolder, bench: Bench, intervention: Intervention) -> list[Entry]:
    """The entries of a fitted job: at B0's prompt, and for a method at its own dev-best prompt if that is another.

    Raises LedgerError if it was fitted on evaluated items.
    """
    from elicit.evaluate.entry import Entry
    from elicit.ledger import beyond_prompt, data_class, refuse_used, summary

    policy = stacked(bench.base(), run).with_intervention(intervention)
    below = layers(run)
    used = sorted({*(run.manifest.get("used_items") or []), *(item for one in below for item in one.used)})
    refuse_used(used, [item.id for item in bench.items])
    samples, grades = bench.measured(job.name, policy, bench.items, job.n)
    rows = beyond_prompt(rows_of(run), bench.base().prompt)
    edit = relative_norm(intervention, bench)
    entry = Entry(
        role=job.role,
        name=job.name,
        policy=policy.id,
        samples=samples,
        grades=grades,
        method=run.manifest["method"],
        parent=job.parent,
        arm=job.arm,
        prompt=bench.plan.prompt,
        seed=job.settings.seed,
        n=job.n,
        data_class=data_class(rows),
        ledger=summary(rows),
        used_items=tuple(used),
        fit_seconds=run.manifest.get("fit_seconds"),
        fit_warnings=tuple(run.manifest.get("fit_warnings") or ()),
        run=str(run.path),
        edit=edit,
        on=tuple(run.manifest.get("on_names", ())),
    )
    entry = bench.annotated(entry, policy)
    entries = [entry]
    if job.role == "method" and bench.plan.own_prompts and len(bench.prompts) > 1:
        entries = at_own_prompt(entry, policy, rows, bench)
    plain = [one.plain() for one in entries]
    run.update(policy_id=policy.id, prompt=bench.plan.prompt, prompt_hash=policy.prompt.id, entries=plain, edit=edit)
    return entries


def at_own_prompt(entry: Entry, policy: Policy, rows: list[LedgerRow], bench: Bench) -> list[Entry]:
    """`entry` with the name of its dev-best prompt, and the entry at that prompt if B0 has another."""
    from elicit.ledger import data_class, prompt_rows, summary

    best = bench.best_prompt(policy, entry.name)
    entry = replace(entry, own_prompt=best)
    if best == bench.plan.prompt:
        return [entry]
    prompted = policy.with_prompt(bench.prompts[best])
    samples, grades = bench.measured(f"{entry.name}, prompt {best}", prompted, bench.items, bench.plan.n)
    all_rows = [*rows, *prompt_rows(entry.name, prompted.prompt)]
    bits = summary(all_rows)
    bits["select_bits"] += bench.choice_bits
    own = replace(entry, policy=prompted.id, samples=samples, grades=grades, at_one=None, prompt=best)
    return [entry, replace(own, data_class=data_class(all_rows), ledger=bits)]


def relative_norm(intervention: Intervention, bench: Bench) -> dict[str, float] | None:
    """Norm that an activation edit writes, relative to the residual's, at its largest layer; None for other kinds."""
    from elicit.policy.activations import ActivationEdit, relative_norms, residual_norms

    if not isinstance(intervention, ActivationEdit):
        return None
    rows = [bench.base().prompt_ids(item.question) for item in (bench.dev or bench.items)[:16]]
    layers = sorted({edit.layer for edit in intervention.edits})
    norms = relative_norms(intervention, residual_norms(bench.checkpoint.model, rows, layers))
    measured = [value for value in norms.values() if value is not None]
    return {"relative_norm": round(max(measured), 4)} if measured else None
