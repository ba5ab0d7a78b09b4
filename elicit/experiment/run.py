"""The orchestration of a command: fit every job, measure every policy, compare, report.

    plan -> run folders (all planned first) -> freeze -> base, prompts, ceilings -> each job: fit, measure
         -> compare -> report -> scorecard

A failing job writes its error into its own run folder and the others continue; a comparison that fails as a whole does
not stop those after it. Every step is resumable: fits are found by fingerprint, samples and grades by key, so
`elicit resume RUN` repeats the same steps over the folders of all comparisons of the command. The only module that
knows all steps.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit import ranks
from elicit.config import EvalPlan
from elicit.config.build import REMOTE_CODE, trusting
from elicit.console import Console
from elicit.errors import ConfigError
from elicit.experiment import finished
from elicit.experiment.job import Invocation, Outcome, job_of, make_folder, run_job
from elicit.experiment.plan import ComparisonPlan
from elicit.experiment.provenance import Provenance, provenance
from elicit.experiment.run_folder import DONE, ERROR, FAILED, INTERRUPTED, RunFolder, all_runs, find_run
from elicit.files import content_hash, ordered_time
from elicit.names import published_node
from elicit.processes import working_in
from elicit.results import Comparison, content_of, read_comparison
from elicit.studies.frozen import frozen

if TYPE_CHECKING:
    from elicit.evaluate.entry import Entry
    from elicit.experiment.bench import Bench

OK, JOB_FAILED, PARTLY_FAILED = 0, 1, 3


def execute(
    comparisons: Sequence[ComparisonPlan],
    console: Console,
    argv: Sequence[str],
    kept: Mapping[str, Sequence[RunFolder]] | None = None,
) -> int:
    """Run planned comparisons; returns the exit code (0 ok, 1 failed, 2 bad configuration, 3 partly failed).

    `kept`: by group, the runs of the comparisons that are finished and unchanged (`finished.kept`; None: look here).
    """
    allowed: list[str] = []
    for settings in (comparison.settings for comparison in comparisons):  # of the command line, not read from a run
        allowed += [*settings.allow_classes, *([REMOTE_CODE] if settings.model.trust_remote_code else [])]
    with trusting(allowed), ranks.joined():
        # what went through before and would come out the same keeps its runs, and is shown again
        kept = finished.kept(comparisons, console.say) if kept is None else kept
        # every run folder first: a command that is killed in its first comparison can be resumed as a whole
        invocation = Invocation(argv, sum(len(comparison.jobs) for comparison in comparisons))
        made = ranks.by_main(
            lambda: [
                kept.get(comparison.group)
                or [make_folder(job, comparison.group, invocation) for job in comparison.jobs]
                for comparison in comparisons
            ],
            "run folders",
        )
        folders = ranks.shared([[run.path for run in runs] for runs in made or ()], "the names of run folders")
        planned = [
            (comparison, [RunFolder(path) for path in paths])
            for comparison, paths in zip(comparisons, folders, strict=True)
        ]
        return _execute_all(planned, console, argv, kept)


def resume(name: str, root: Path, console: Console, argv: Sequence[str]) -> int:
    """Continue the command that `name`'s run belongs to: all of its comparisons, in their order.

    Relative paths of its configuration (data files, models) are those of the folder that it was started in.
    """
    run = find_run(name, root)
    with ranks.joined(), working_in(run.manifest.get("working_directory")) as moved:
        run = RunFolder(moved(run.path))
        invocation = run.manifest["invocation"]  # a manifest without it is refused, and not a command of no runs
        runs = [one for one in all_runs(run.path.parent) if one.manifest.get("invocation") == invocation] or [run]
        runs.sort(key=lambda one: one.manifest["index"])
        if (lacking := run.manifest.get("of", len(runs)) - len(runs)) > 0:
            console.say(f"runs of this command that were removed or never planned: {lacking}; give their command again")
        by_group: dict[str, list[RunFolder]] = {}
        for one in runs:
            by_group.setdefault(one.manifest["group"], []).append(one)
        if len(by_group) > 1:
            console.say(f"{len(runs)} runs in {len(by_group)} comparisons: {', '.join(by_group)}")
        planned = []
        for group, of_group in by_group.items():
            jobs = [job_of(one) for one in of_group]
            planned.append((ComparisonPlan(group, tuple(jobs), jobs[0].settings), of_group))
        return _execute_all(planned, console, argv)


def _execute_all(
    planned: Sequence[tuple[ComparisonPlan, Sequence[RunFolder]]],
    console: Console,
    argv: Sequence[str],
    kept: Collection[str] = (),
) -> int:
    """One comparison after the other; the fault of one is kept in its runs, unless it is the only one.

    `kept`: groups that are finished and unchanged.
    """
    from elicit.experiment.so_far import at_work

    results: list[Comparison] = []
    outcomes: list[Outcome] = []
    # those that wait for their turn are worked on, too: `elicit watch` of one of them does not end
    working = {one.group: ExitStack() for one, _ in planned}
    for comparison, _ in planned:
        if comparison.group not in kept:
            working[comparison.group].enter_context(at_work(comparison.folder))
    for comparison, runs in planned:
        again = show_again if comparison.group in kept else execute_one
        try:
            with working[comparison.group]:
                result, of_jobs = again(comparison, runs, console, argv)
        except Exception as fault:  # whatever a model or a task raises, the other comparisons continue
            if len(planned) == 1:
                raise
            console.say(f"{comparison.group}: failed ({type(fault).__name__}: {fault}); see {runs[0].path / ERROR}")
            of_jobs = [Outcome(job, run, fault=fault) for job, run in zip(comparison.jobs, runs, strict=True)]
        else:
            results.append(result)
        outcomes += of_jobs
    return _close(results, outcomes, console, kept)


def show_again(
    comparison: ComparisonPlan, runs: Sequence[RunFolder], console: Console, argv: Sequence[str]
) -> tuple[Comparison, list[Outcome]]:
    """The result of a comparison that is finished and unchanged: no model is loaded, nothing is computed."""
    result = read_comparison(comparison.folder / "comparison.json")
    folder, settings = comparison.folder, comparison.settings
    expected = settings.experiment.expected if settings.experiment else {}
    pages = [folder / "report" / name for name in ("report.html", "report.md")]
    page = next((page for page in pages if page.exists()), None)  # of a user's template it may be neither
    show(result, folder, console, settings.template, expected, page)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(result.created))
    console.say(
        f"{comparison.group}: nothing has changed since this was computed on {when}; nothing was sampled, computed or "
        f"tracked now (elicit compare {comparison.group} computes it again)"
    )
    return result, [Outcome(job, run) for job, run in zip(comparison.jobs, runs, strict=True)]


def execute_one(
    comparison: ComparisonPlan, runs: Sequence[RunFolder], console: Console, argv: Sequence[str]
) -> tuple[Comparison, list[Outcome]]:
    """One comparison from its run folders to its report."""
    from elicit.evaluate.comparison import prereg
    from elicit.experiment import ceilings, workers
    from elicit.experiment.bench import Bench
    from elicit.policy.checkpoint import load_checkpoint
    from elicit.sampling.engine import set_engine

    outcomes = [Outcome(job, run) for job, run in zip(comparison.jobs, runs, strict=True)]
    started = time.monotonic()
    try:
        begun = finished.causes(comparison) if ranks.main() else {}
        # 1) load the checkpoint, and freeze the plan before the first test sample
        with console.progress(f"loading {comparison.settings.model.path}"):
            loaded = load_checkpoint(comparison.settings.model)
        checkpoint = set_engine(loaded, comparison.settings.engine, console.say)
        bench = Bench(comparison, checkpoint, console)
        ranks.by_main(
            lambda: prereg.freeze(frozen_plan(bench), comparison.folder, ordered_time(bench.store)), "the frozen plan"
        )
        if bench.plan.limit and len(bench.items) < bench.plan.limit:
            console.say(f"eval.limit={bench.plan.limit}: the test split has {len(bench.items)} items, all are used")
        facts = provenance(argv)
        # 2) measure the base and its ceilings; fit and measure every job that no worker process has claimed
        helpers = comparison.settings.parallel - 1
        if ranks.world() > 1 and helpers:
            raise ConfigError(f"parallel={helpers + 1} in {ranks.world()} launched processes: leave parallel=1")
        with workers.helping(helpers, runs) if ranks.main() else nullcontext("") as lease:
            entries, best = bench.base_entries()
            entries += ceilings.extra_ceilings(bench)
            for outcome in outcomes:
                if not ranks.main() or workers.claim(outcome.run, lease):
                    run_job(outcome, bench, facts)
        # 3) collect the jobs of the workers; what one of them left unfinished is done here
        for outcome in outcomes:
            collect(outcome, bench, facts)
        entries += counted_once([entry for outcome in outcomes for entry in outcome.entries], console)
        # 4) rung B2 is forced to the methods' token counts, so it comes last
        entries = ceilings.with_b2(bench, entries, best)
        for outcome in outcomes if bench.plan.b2 is not None else ():
            ceilings.note(outcome.run, entries)
        # 5) compare, report, track
        concluded = ranks.by_main(lambda: conclude(bench, entries, best, facts, started), "the comparison")
        result = concluded or read_comparison(comparison.folder / "comparison.json")
        if ranks.main() and not any(outcome.fault for outcome in outcomes):
            finished.write(comparison, runs, begun)
    except KeyboardInterrupt:
        for outcome in outcomes:
            outcome.run.read()  # a worker may have finished it
            if outcome.run.manifest["status"] not in (DONE, FAILED):
                outcome.run.update(status=INTERRUPTED)
        console.say(f"interrupted; finished shards are kept. Continue with: elicit resume {outcomes[0].run.path}")
        raise
    except Exception as fault:
        for outcome in outcomes:
            if outcome.run.manifest["status"] != FAILED:
                outcome.run.failed(fault)
        raise
    return result, outcomes


def collect(outcome: Outcome, bench: Bench, facts: Provenance) -> None:
    """Read the result of a job that a worker process did; do the job if the worker left it unfinished."""
    from elicit.evaluate.entry import Entry
    from elicit.experiment import workers

    if outcome.entries or outcome.fault or not ranks.main():
        return
    if not workers.finished(outcome.run):
        return run_job(outcome, bench, facts)
    outcome.fault = workers.fault_of(outcome.run)
    if outcome.fault is None:
        root = outcome.run.path.resolve().parent
        outcome.entries = [Entry.of(plain, root) for plain in outcome.run.manifest.get("entries", [])]


def counted_once(entries: Sequence[Entry], console: Console) -> list[Entry]:
    """The distinct entries; says which seeds gave a policy that another seed has given."""
    from elicit.evaluate.entry import distinct

    kept = distinct(entries)
    first = {entry.key: entry for entry in kept}
    for entry in entries:
        if (same := first[entry.key]) is not entry:
            console.say(f"{entry.name}: seeds {same.seed} and {entry.seed} give the same policy, counted once")
    return kept


def added_entries(comparison: ComparisonPlan) -> list[Entry]:
    """Of the runs that `elicit add` gave to the comparison. Raises DataError if one was removed."""
    from elicit.evaluate.entry import Entry

    runs = [RunFolder(path) for path in finished.added(comparison)]
    return [Entry.of(plain, run.path.resolve().parent) for run in runs for plain in run.manifest["entries"]]


def conclude(bench: Bench, entries: Sequence[Entry], best: str | None, facts: Provenance, started: float) -> Comparison:
    """The result of a comparison, also on disk, in the report, on the terminal and in the tracker.

    `started`: when the comparison began (`time.monotonic`).
    """
    from elicit.evaluate.comparison.compare import compare
    from elicit.experiment.so_far import FILE as SO_FAR
    from elicit.track.scores import track_comparison

    comparison, settings, console = bench.comparison, bench.comparison.settings, bench.console
    # 1) compute and write comparison.json; what `elicit add` gave to this comparison stays
    entries = counted_once([*entries, *added_entries(comparison)], console)
    config = bench.compare_config(best)
    info, shown = bench.checkpoint.info(), facts.shown(time.monotonic() - started)
    with console.progress(f"{comparison.group}: intervals and tests"):
        result = compare(entries, bench.items, comparison.folder, bench.task, config, info, [facts.command], shown)
    (comparison.folder / SO_FAR).unlink(missing_ok=True)
    # 2) the report and the scorecard, next to the published figures of a preset
    expected = settings.experiment.expected if settings.experiment else {}
    show(result, comparison.folder, console, settings.template, expected)
    # 3) one tracked run per policy
    track_comparison(result, comparison.folder, settings.tracker, console.say_once)
    console.say(f"{time.monotonic() - started:.0f} s in total")
    return result


def show(
    result: Comparison,
    folder: Path,
    console: Console,
    template: str,
    expected: dict[str, Any],
    page: Path | None = None,
) -> Path:
    """Render the report, unless its `page` is given, and print the scorecard with the path of the page."""
    from rich.console import Console as RichConsole

    from elicit.report import report, scorecard

    if page is None:
        with console.progress("figures and report"):
            page = report(folder / "comparison.json", folder / "report", template)
    width = None if console.stream.isatty() else 150
    scorecard(result, expected or None, RichConsole(file=console.stream, width=width, highlight=False))
    console.say(f"report: {page}")
    return page


def frozen_plan(bench: Bench) -> dict[str, Any]:
    """Everything that is fixed before the first test sample."""
    comparison, chosen = bench.comparison, bench.comparison.settings
    study = chosen.experiment.study if chosen.experiment else None
    rule = {} if study is None else {"study": frozen(study)}
    return rule | {
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


_LATER = ("base_n", "annotate", "annotate_limit", "annotate_n", "b2", "sibling", "c3", "c1_prompt", "prompt")
"""settings younger than the first frozen plans: written only if they are set, so that an older plan still agrees"""


def _unset(key: str, value: Any) -> bool:
    return key in _LATER and value == getattr(EvalPlan(), key)


def _close(results: Sequence[Comparison], outcomes: Sequence[Outcome], console: Console, kept: Collection[str]) -> int:
    """Print the table of all jobs if there are several, and the JSON object; returns the exit code."""
    from rich.console import Console as RichConsole

    from elicit.report.pages.overview import overview

    failed = [outcome for outcome in outcomes if outcome.fault]
    if len(results) > 1:
        console.say("")
        overview(results, RichConsole(file=console.stream, highlight=False))
    if len(outcomes) > 1:
        console.say("")
        for outcome in outcomes:
            what = f"{type(outcome.fault).__name__}: {str(outcome.fault).splitlines()[0]}" if outcome.fault else "ok"
            console.say(f"  {outcome.job.name:32} seed {outcome.job.settings.seed:<4} {outcome.run.path}  {what}")
    console.result({
        "comparisons": [content_of(result) for result in results],
        "runs": [_line(outcome) for outcome in outcomes],
        "unchanged": sorted(kept),
    })  # fmt: skip
    if failed and all(isinstance(outcome.fault, ConfigError) for outcome in failed) and len(failed) == len(outcomes):
        return ConfigError.exit_code
    return OK if not failed else JOB_FAILED if len(failed) == len(outcomes) else PARTLY_FAILED


def _line(outcome: Outcome) -> dict[str, Any]:
    manifest = outcome.run.manifest
    return {
        "name": outcome.job.name,
        "run": str(outcome.run.path),
        "status": manifest["status"],
        "policy_id": manifest.get("policy_id"),
        "error": f"{type(outcome.fault).__name__}: {outcome.fault}" if outcome.fault else None,
    }
