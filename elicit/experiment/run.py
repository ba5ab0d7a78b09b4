"""The orchestration of a command: fit every job, measure every policy, compare, report.

    plan -> run folders (all planned first) -> freeze -> base, prompts, ceilings -> each job: fit, measure
         -> compare -> report -> scorecard

A failing job writes its error into its own run folder and the others go on. Every step is resumable:
fits are found by fingerprint, samples and grades by key, so `elicit resume RUN` is the same walk over
folders that exist. Below this floor nobody knows the whole.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from elicit.config import EvalPlan
from elicit.console import Console
from elicit.errors import ConfigError
from elicit.experiment.job import Outcome, job_of, make_folder, once, run_job
from elicit.experiment.plan import Comparison
from elicit.experiment.provenance import provenance
from elicit.experiment.run_folder import DONE, FAILED, INTERRUPTED, RunFolder, all_runs, find_run
from elicit.files import content_hash
from elicit.names import published_node
from elicit.results import Comparison as Compared
from elicit.results import content_of

OK, JOB_FAILED, PARTLY_FAILED = 0, 1, 3


def execute(comparisons: Sequence[Comparison], console: Console, argv: Sequence[str]) -> int:
    """Run planned comparisons; returns the exit code (0 ok, 1 failed, 3 partly failed)."""
    invocation = secrets.token_hex(4)
    results, outcomes = [], []
    for comparison in comparisons:
        runs = [make_folder(job, comparison.group, invocation, argv) for job in comparison.jobs]
        result, of_jobs = execute_one(comparison, runs, console, argv)
        results.append(result)
        outcomes += of_jobs
    return _close(results, outcomes, console)


def resume(name: str, root: Path, console: Console, argv: Sequence[str]) -> int:
    """Go on with the command that `name`'s run belongs to: its siblings too, in their order."""
    run = find_run(name, root)
    invocation, group = run.manifest["invocation"], run.manifest["group"]
    runs = [
        other
        for other in all_runs(run.path.parent)
        if other.manifest.get("invocation") == invocation and other.manifest.get("group") == group
    ]
    runs.sort(key=lambda other: other.manifest["index"])
    jobs = [job_of(other) for other in runs]
    comparison = Comparison(group, tuple(jobs), jobs[0].settings)
    result, outcomes = execute_one(comparison, runs, console, argv)
    return _close([result], outcomes, console)


def execute_one(
    comparison: Comparison, runs: Sequence[RunFolder], console: Console, argv: Sequence[str]
) -> tuple[Compared, list[Outcome]]:
    """One comparison from its run folders to its report."""
    from elicit.evaluate.comparison import prereg
    from elicit.experiment import ceilings as rungs
    from elicit.experiment import workers
    from elicit.experiment.bench import Bench
    from elicit.policy.checkpoint import load_checkpoint

    outcomes = [Outcome(job, run) for job, run in zip(comparison.jobs, runs, strict=True)]
    started = time.monotonic()
    try:
        checkpoint = load_checkpoint(comparison.settings.model)
        bench = Bench(comparison, checkpoint, console)
        prereg.freeze(frozen_plan(bench), comparison.folder)
        if bench.plan.limit and len(bench.items) < bench.plan.limit:
            console.say(f"eval.limit={bench.plan.limit}: the test split has {len(bench.items)} items, all are taken")
        facts = provenance(list(argv))
        with workers.helping(comparison.settings.parallel - 1, runs):
            entries, best = bench.base_entries()
            entries += rungs.extra_ceilings(bench)
            for outcome in outcomes:
                if workers.claim(outcome.run):
                    run_job(outcome, bench, facts)
        for outcome in outcomes:
            take_over(outcome, bench, facts)
        entries += distinct([entry for outcome in outcomes for entry in outcome.entries], console)
        entries = rungs.with_b2(bench, entries, best)
        for outcome in outcomes if bench.plan.b2 is not None else ():
            rungs.note(outcome.run, entries)
        result = conclude(bench, entries, best, facts, time.monotonic() - started)
    except KeyboardInterrupt:
        for outcome in outcomes:
            if outcome.run.manifest["status"] not in (DONE, FAILED):
                outcome.run.update(status=INTERRUPTED)
        console.say(f"interrupted; finished shards are kept. Go on with: elicit resume {outcomes[0].run.path}")
        raise
    except Exception as fault:
        for outcome in outcomes:
            if outcome.run.manifest["status"] != FAILED:
                outcome.run.failed(fault)
        raise
    return result, outcomes


def distinct(entries: Sequence[Any], console: Console) -> list[Any]:
    """Entries of different policies: a method without randomness gives one policy for all seeds, counted once."""
    kept: dict[Any, Any] = {}
    for entry in entries:
        first = kept.setdefault((entry.policy, entry.row), entry)
        if first is not entry:
            console.say(f"{entry.name}: seeds {first.seed} and {entry.seed} give the same policy, counted once")
    return list(kept.values())


def take_over(outcome: Outcome, bench: Any, facts: dict[str, Any]) -> None:
    """What a worker process made of a job; a job that its worker left unfinished is done here."""
    from elicit.evaluate.entry import Entry
    from elicit.experiment import workers

    if outcome.entries or outcome.fault:
        return
    if not workers.finished(outcome.run):
        return run_job(outcome, bench, facts)
    outcome.fault = workers.fault_of(outcome.run)
    if outcome.fault is None:
        outcome.entries = [Entry.of(plain) for plain in outcome.run.manifest.get("entries", [])]


def conclude(bench: Any, entries: list[Any], best: str | None, facts: dict[str, Any], seconds: float) -> Compared:
    """Compare, track one score run a policy, report, and print the scorecard."""
    from elicit.evaluate.comparison.compare import CompareConfig, compare
    from elicit.track.scores import track_comparison

    comparison, plan = bench.comparison, bench.plan
    seed = comparison.settings.seed
    config = CompareConfig(comparison.group, best, plan.n, plan.bootstrap_draws, seed, plan.limit, bench.refused)
    command = "elicit " + " ".join(facts["argv"])
    shown = {key: facts[key] for key in ("python", "packages", "git", "device")} | {"seconds": round(seconds, 1)}
    info = bench.checkpoint.info()
    result = compare(entries, bench.items, comparison.folder, bench.task, config, info, [command], shown)
    chosen = comparison.settings
    expected = chosen.experiment.expected if chosen.experiment else {}
    show(result, comparison.folder, bench.console, chosen.template, expected)
    track_comparison(result, comparison.folder, chosen.tracker, once(bench.console.say))
    bench.console.say(f"{seconds:.0f} s in all")
    return result


def show(result: Compared, folder: Path, console: Console, template: str, expected: dict[str, Any]) -> Path:
    """Render the report and print the scorecard with the path of the page."""
    from rich.console import Console as RichConsole

    from elicit.report import report, scorecard

    page = report(folder / "comparison.json", folder / "report", template)
    width = None if console.stream.isatty() else 150
    scorecard(result, expected or None, RichConsole(file=console.stream, width=width, highlight=False))
    console.say(f"report: {page}")
    return page


def frozen_plan(bench: Any) -> dict[str, Any]:
    """What is fixed before the first test sample."""
    comparison, chosen = bench.comparison, bench.comparison.settings
    return {
        "family": sorted({job.name for job in comparison.jobs if job.role == "method"}),
        "controls": sorted({job.name for job in comparison.jobs if job.role in ("placebo", "rival")}),
        "seeds": sorted({job.settings.seed for job in comparison.jobs}),
        "endpoints": ["ef", "ctrl"],
        "checkpoint": bench.checkpoint.id,
        "task": published_node(chosen.node["task"]),
        "eval": {
            key: value for key, value in asdict(chosen.eval).items() if key != "workers" and not _unset(key, value)
        },
        "budget": published_node(chosen.node["budget"]),
        "items": content_hash(sorted(item.id for item in bench.items)),
        "methods": {job.name: published_node(job.settings.node.get("method")) for job in comparison.jobs},
    }


_LATER = ("base_n", "annotate", "annotate_limit", "annotate_n", "b2", "sibling", "c3")
"""settings younger than the first frozen plans: written where they are set, so that an older plan still agrees"""


def _unset(key: str, value: Any) -> bool:
    return key in _LATER and value == getattr(EvalPlan(), key)


def _close(results: Sequence[Compared], outcomes: Sequence[Outcome], console: Console) -> int:
    """The table of all jobs where there are several, the JSON object, and the exit code."""
    failed = [outcome for outcome in outcomes if outcome.fault]
    if len(results) > 1:
        _overview(results, console)
    if len(outcomes) > 1:
        console.say("")
        for outcome in outcomes:
            what = f"{type(outcome.fault).__name__}: {str(outcome.fault).splitlines()[0]}" if outcome.fault else "ok"
            console.say(f"  {outcome.job.name:32} seed {outcome.job.settings.seed:<4} {outcome.run.path}  {what}")
    console.result(
        {"comparisons": [content_of(result) for result in results], "runs": [_line(outcome) for outcome in outcomes]}
    )
    if failed and all(isinstance(outcome.fault, ConfigError) for outcome in failed) and len(failed) == len(outcomes):
        return ConfigError.exit_code
    return OK if not failed else PARTLY_FAILED if len(outcomes) > 1 else JOB_FAILED


def _overview(results: Sequence[Compared], console: Console) -> None:
    from rich.console import Console as RichConsole

    from elicit.report.pages.overview import overview

    console.say("")
    overview(results, RichConsole(file=console.stream, highlight=False))


def _line(outcome: Outcome) -> dict[str, Any]:
    manifest = outcome.run.manifest
    return {
        "name": outcome.job.name,
        "run": str(outcome.run.path),
        "status": manifest["status"],
        "policy_id": manifest.get("policy_id"),
        "error": f"{type(outcome.fault).__name__}: {outcome.fault}" if outcome.fault else None,
    }
