"""Fit one job: method + policy + ledger -> intervention, in its run folder.

An intervention that was fitted before with the same fingerprint (checkpoint, method and its code,
task, seed, budget) is taken over with its ledger. While the method runs, the audit hook of
`elicit.watch` is active; a read that it reports makes the data class "unaccounted". Knows nothing about the evaluation.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from elicit import ranks
from elicit.config.compose import own_places
from elicit.console import Console, Progress
from elicit.errors import LedgerError
from elicit.experiment.plan import Job
from elicit.experiment.provenance import code_hash
from elicit.experiment.run_folder import FITTED, RunFolder, all_runs
from elicit.files import content_hash, file_hash, fingerprint, seed_of
from elicit.ledger import OPEN_SPLITS, Ledger
from elicit.method import Context
from elicit.track import Run
from elicit.watch import door, watching

if TYPE_CHECKING:
    from elicit.policy.decoding import DecodingStrategy
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.tasks.task import Task

Say = Callable[[str], None]
MAX_PATH = 1024
"""characters of a path, at most: longer texts of a configuration are no paths"""


def fit_job(job: Job, run: RunFolder, policy: Policy, console: Console, track: Run) -> Intervention:
    """The job's intervention, fitted now or before. Writes intervention/ and ledger.jsonl."""
    from elicit.policy.policy import load_intervention

    # 1) what was logged before a resume: an offline file of wandb is whole, and one online drops the rows that it has
    for number, row in enumerate(run.logged(), 1):
        track.log({"step": number, **{key: value for key, value in row.items() if key != "time"}})
    # 2) fitted in this folder (a resumed run), or in another run with the same fingerprint
    now, say = fit_fingerprint(job, policy), console.say
    here = run.manifest.get("fit") == now and (run.intervention / "spec.json").exists()
    before = None if here else _fitted_before(now, Path(job.settings.root))
    here, before = ranks.shared((here, before), "whether it is fitted")
    if here:
        return load_intervention(run.intervention, policy.checkpoint)
    if before is not None:
        say(f"{job.name}: fitted before in {before.path.name}, taken over")
        if ranks.main():
            shutil.copytree(before.intervention, run.intervention, dirs_exist_ok=True)
            shutil.copyfile(before.ledger, run.ledger)
        kept = {
            key: before.manifest.get(key)
            for key in ("fit_seconds", "data_class", "ledger_hash", "used_items", "spent", "fit_warnings")
        }
        run.update(fit=now, fit_from=before.path.name, status=FITTED, **kept)
        ranks.wait("a fit that is taken over")
        return load_intervention(run.intervention, policy.checkpoint)
    # 3) fit now: of several processes rank 0 alone, unless gradients are summed over all of them
    method = job.settings.method
    assert method is not None
    if method.sft is not None or method.parameters is not None:
        fitted: Intervention | None = _fit(job, run, policy, now, console, track)
    else:
        fitted = ranks.by_main(lambda: _fit(job, run, policy, now, console, track), "a fit")
    ranks.wait("a fit that is saved")
    return fitted if ranks.main() and fitted is not None else load_intervention(run.intervention, policy.checkpoint)


def _fit(job: Job, run: RunFolder, policy: Policy, now: dict[str, str], console: Console, track: Run) -> Intervention:
    """Fit a job and write its intervention and its ledger."""
    from elicit.policy.intervention import save

    # 1) a new ledger, with what was read before the fit began
    settings, method = job.settings, job.settings.method
    assert method is not None
    ledger = Ledger(settings.task, job.name, settings.budget, max_new_tokens=settings.eval.max_new_tokens)
    for what in settings.smuggled:
        ledger.unaccounted(what)
    for text in (part for exemplar in policy.prompt.exemplars for part in exemplar):
        ledger.foreign(text, f"exemplars of {policy.prompt.name}", "-", stage="prompt")
    # 2) fit, under the audit hook
    warnings: list[str] = []
    allowed = [run.path, *own_places(), *_checkpoint_files(policy)]
    started = time.monotonic()
    try:
        with console.progress(f"{job.name}: fit") as progress, watching(allowed, ledger.unaccounted):
            context = _context(job, run, ledger, console.say, progress, track, warnings)
            intervention = method.fit(policy, ledger, context)
    finally:
        ledger.close()
    seconds = time.monotonic() - started
    # 3) save; a verifier that is asked at inference is class L, whatever the method booked
    strategy = cast("DecodingStrategy", intervention) if intervention.kind == "decoding" else None
    if strategy is not None and strategy.needs_verifier and ledger.data_class != "L":
        ledger.teacher()
    if ranks.main():
        ledger.save(run.ledger)
        save(intervention, run.intervention, ledger.used)
    run.update(
        fit=now,
        fit_seconds=round(seconds, 3),
        data_class=ledger.data_class,
        ledger_hash=content_hash(list(ledger.rows)),
        used_items=ledger.used,
        spent=vars(ledger.spent),
        fit_warnings=list(dict.fromkeys(warnings)),
        status=FITTED,
    )
    return intervention


def fit_fingerprint(job: Job, policy: Policy) -> dict[str, str]:
    """Named hashes of everything a fit depends on, among them the content of files that the configuration names.

    A file behind `task.path` may change while its path remains: so the items count (an id hashes question and gold).
    The engine that samples within the fit counts if it is not the step loop.
    """
    settings = job.settings
    assert settings.method is not None
    items = [item.id for split in OPEN_SPLITS for item in settings.task.items(split)]
    method = {key: value for key, value in settings.node["method"].items() if key != "name"}
    engine = policy.checkpoint.engine
    return fingerprint(
        **({} if engine is None else {"engine": engine.name}),
        checkpoint=policy.id,
        method=method,
        code=code_hash(settings.method),
        task=settings.node["task"],
        items=items,
        files=[file_hash(path) for path in (*named_files(method), *settings.method.files)],
        seed=settings.seed,
        budget=settings.node["budget"],
        max_new_tokens=settings.eval.max_new_tokens,
    )


def named_files(node: Any) -> Iterator[Path]:
    """The files that a configuration names, in its order."""
    if isinstance(node, str) and node and len(node) < MAX_PATH:
        with suppress(OSError, ValueError, RuntimeError):  # a sentence: too long for a name, or with NUL, or "~nobody"
            if (path := Path(node).expanduser()).is_file():
                yield path
    elif isinstance(node, Mapping | list):
        for value in node.values() if isinstance(node, Mapping) else node:
            yield from named_files(value)


def dev_score(task: Task, ledger: Ledger) -> Callable[[Policy, int | None], float]:
    """Strict accuracy on a seeded subset of dev in regime `compare`, its label bits booked as select.

    Completions have the token limit of the ledger: the evaluation's. An ungraded answer is left out of the mean. Raises
    DataError for a task without dev items, LedgerError if no answer could be graded.
    """
    from elicit.policy.decoding import REGIMES
    from elicit.records import FINISHED
    from elicit.tasks.grading.pool import GradeRequest
    from elicit.tasks.splits import filled

    def score(policy: Policy, limit: int | None = None) -> float:
        from elicit.sampling.sample import sample

        with door():
            items = filled(task.items("dev", limit), "dev", task.name, "a dev score")
        ledger.selected(len(items), [item.id for item in items])
        drawn = sample(policy, items, [0], REGIMES["compare"], task, max_new_tokens=ledger.max_new_tokens)
        requests = [GradeRequest(item, o.path.text, o.path.finish in FINISHED) for item, _, o in drawn]
        grades = [judgement.strict for judgement in ledger.judge(requests) if judgement.strict is not None]
        if not grades:
            raise LedgerError(f"dev score of {len(items)} items of {task.name}: no answer could be graded")
        return sum(grades) / len(grades)

    return score


def _context(
    job: Job, run: RunFolder, ledger: Ledger, say: Say, progress: Progress, track: Run, warnings: list[str]
) -> Context:
    settings, started = job.settings, time.monotonic()

    def log(row: Mapping[str, Any]) -> None:
        """A row with what had been spent when it was written: curves have tokens, label bits and seconds as x."""
        seconds = round(time.monotonic() - started, 3)
        spent = {"tokens": ledger.spent.tokens, "label_bits": ledger.spent.labels, "seconds": seconds}
        step = run.log({**row, **spent})
        track.log({"step": step, **row, **spent})

    def warn(line: str) -> None:
        warnings.append(line)
        say(f"{job.name}: warning: {line}")

    folder = run.path / "fit"
    folder.mkdir(exist_ok=True)
    ranks.wait("the folder of a fit")
    return Context(
        rng=np.random.default_rng(seed_of("fit", settings.seed, job.arm)),
        folder=folder,
        seed=settings.seed,
        dev_score=dev_score(settings.task, ledger),
        log=log,
        warn=warn,
        progress=progress,
        say=say if job.twin is None else lambda line: say(f"{job.name}: {line}"),
    )


def _checkpoint_files(policy: Policy) -> list[Path]:
    """Files of the checkpoint that may be read again during the fit: its own, a dequantised copy, the hub's cache."""
    checkpoint = policy.checkpoint
    path = Path(str(checkpoint.config.path)).expanduser()
    copied = checkpoint.facts.get("weights_read_from")
    if path.exists() or copied:
        return [path, Path(copied)] if copied else [path]
    from huggingface_hub.constants import HF_HUB_CACHE

    return [Path(HF_HUB_CACHE) / f"models--{str(path).replace('/', '--')}"]


def _fitted_before(now: dict[str, str], root: Path) -> RunFolder | None:
    wanted = content_hash(now)
    for run in reversed(list(all_runs(root))):
        same = run.manifest.get("fit") and content_hash(run.manifest["fit"]) == wanted
        if same and (run.intervention / "spec.json").exists() and run.ledger.exists():
            return run
    return None
