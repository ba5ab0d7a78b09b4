"""One job of a command: its run folder, its fit, its measurement. Any process of the command may do it.

A fault stays in the job's own folder, so that the others go on. Knows no other job and no comparison (`run.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from elicit.config import Settings
from elicit.config.compose import build_settings
from elicit.errors import StageError
from elicit.experiment.plan import Job
from elicit.experiment.provenance import config_hash
from elicit.experiment.run_folder import DONE, RunFolder
from elicit.names import published_name


@dataclass
class Outcome:
    """What came of one job."""

    job: Job
    run: RunFolder
    entries: list[Any] = field(default_factory=list)
    """at the bare prompt, and at its own dev-best one where that is another"""
    fault: BaseException | None = None


def make_folder(job: Job, group: str, invocation: str, argv: Sequence[str]) -> RunFolder:
    """The planned run folder of one job."""
    chosen = job.settings
    manifest = {
        "role": job.role,
        "name": job.name,
        "method": chosen.method.name if chosen.method else None,
        "method_class": published_name(type(chosen.method)),
        "parent": job.parent,
        "twin": job.twin,
        "arm": job.arm,
        "seed": chosen.seed,
        "group": group,
        "invocation": invocation,
        "index": _next_index(),
        "argv": list(argv),
        "overrides": list(job.overrides),
        "config_hash": config_hash(chosen.node),
        "pid": os.getpid(),
    }
    return RunFolder.create(Path(chosen.root), job.name.replace("/", "-"), chosen.task.name, chosen.node, manifest)


_index = 0


def _next_index() -> int:
    global _index
    _index += 1
    return _index


def job_of(run: RunFolder) -> Job:
    """The job of a run folder, composed again from its config.yaml."""
    saved: Settings = build_settings(run.config())
    told = run.manifest
    if told.get("config_hash") != config_hash(saved.node):
        raise StageError(f"{run.path / 'config.yaml'} was changed since the run was planned; start a new run instead")
    return Job(told["name"], told["role"], saved, tuple(told["overrides"]), told["parent"], told["twin"])


def run_job(outcome: Outcome, bench: Any, facts: dict[str, Any]) -> None:
    """Fit and measure one job; a fault stays in its folder and in `outcome`."""
    from elicit.experiment.fit import fit_job

    job, run, say = outcome.job, outcome.run, bench.console.say
    started = time.monotonic()
    run.update(**facts, checkpoint=bench.checkpoint.info(), items=[item.id for item in bench.items])
    if job.role == "base":
        run.update(status=DONE, policy_id=bench.bare().id)
        return
    name = f"{job.name.replace('/', '-')}-s{job.settings.seed}"
    config = {key: value for key, value in job.settings.node.items() if key not in ("experiment", "sweep")}
    track = job.settings.tracker.start(run.path, "fit", name, bench.comparison.group, config, once(say))
    try:
        intervention = fit_job(job, run, bench.fitted_on(job.settings.fit.prompt), say, track)
        outcome.entries = measure_job(job, run, bench, intervention)
        run.update(status=DONE, seconds=round(time.monotonic() - started, 3), wandb=track.id)
        track.artifact(f"intervention-{intervention.id}", "intervention", run.intervention)
    except Exception as fault:
        outcome.fault = fault
        run.failed(fault)
        say(f"{job.name}: failed ({type(fault).__name__}: {fault}); see {run.path / 'error.json'}")
    finally:
        track.finish()


def measure_job(job: Job, run: RunFolder, bench: Any, intervention: Any) -> list[Any]:
    """The entries of a fitted job: at the bare prompt, and for a method at its own dev-best prompt if that is another.

    Raises LedgerError where it was fitted on evaluated items.
    """
    from elicit.evaluate.entry import Entry
    from elicit.experiment.fit import ledger_rows
    from elicit.ledger import data_class, refuse_used, summary

    policy = bench.bare().with_intervention(intervention)
    used = run.manifest.get("used_items") or []
    refuse_used(used, [item.id for item in bench.items])
    samples, grades = bench.measured(job.name, policy, bench.items, job.n)
    rows = ledger_rows(run)
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
        prompt="bare",
        seed=job.settings.seed,
        n=job.n,
        data_class=data_class(rows),
        ledger=summary(rows),
        used_items=tuple(used),
        fit_seconds=run.manifest.get("fit_seconds"),
        run=str(run.path),
        edit=edit,
    )
    entry = bench.annotated(entry, policy)
    entries = [entry]
    if job.role == "method" and bench.plan.own_prompts and len(bench.prompts) > 1:
        entries = at_own_prompt(entry, policy, rows, bench)
    plain = [each.plain() for each in entries]
    run.update(policy_id=policy.id, prompt="bare", prompt_hash=policy.prompt.id, entries=plain, edit=edit)
    return entries


def at_own_prompt(entry: Any, policy: Any, rows: list[Any], bench: Any) -> list[Any]:
    """`entry` with the name of its dev-best prompt, and the entry there if that is another than the bare one."""
    from elicit.ledger import data_class, prompt_rows, summary

    best = bench.best_prompt(policy, entry.name)
    entry = replace(entry, own_prompt=best)
    if best == "bare":
        return [entry]
    asked = policy.with_prompt(bench.prompts[best])
    samples, grades = bench.measured(f"{entry.name}, prompt {best}", asked, bench.items, bench.plan.n)
    whole = [*rows, *prompt_rows(entry.name, asked.prompt)]
    bits = summary(whole)
    bits["select_bits"] += bench.choice_bits
    there = replace(entry, policy=asked.id, samples=samples, grades=grades, at_one=None, prompt=best)
    return [entry, replace(there, data_class=data_class(whole), ledger=bits)]


def relative_norm(intervention: Any, bench: Any) -> dict[str, float] | None:
    """What an activation edit writes over the residual's norm, its largest layer; None for other kinds."""
    from elicit.policy.activations import ActivationEdit, relative_norms, residual_norms

    if not isinstance(intervention, ActivationEdit):
        return None
    rows = [bench.bare().prompt_ids(item.question) for item in bench.dev[:16]]
    layers = sorted({edit.layer for edit in intervention.edits})
    found = relative_norms(intervention, residual_norms(bench.checkpoint.model, rows, layers))
    known = [value for value in found.values() if value is not None]
    return {"relative_norm": round(max(known), 4)} if known else None


def once(say: Any) -> Any:
    """Say each line once a process: a tracker's mode is the same for all of its runs."""

    def said(line: str) -> None:
        if line not in _said:
            _said.add(line)
            say(line)

    return said


_said: set[str] = set()
