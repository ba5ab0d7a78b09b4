"""What a comparison will cost, in three lines, before anything is loaded. Estimates, and they say so.

    samples    generated paths and tokens of the evaluation, and what the fits sample and train (`fits`)
    time       their passes over what this machine did before (`speed`); device hours, and minutes where several
               processes share the work
    memory     the peak of one process (`memory`), from the checkpoint's shape alone (`shape`)

What is not known (a model that is not at hand, a machine that has not sampled it) is called unknown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elicit.config import Settings
from elicit.experiment.forecast.speed import ORGANISM, Speed, fit_seconds, measured
from elicit.experiment.forecast.work import Work, work
from elicit.experiment.plan import Comparison, Job

__all__ = ["chains", "describe", "evaluation_paths"]

SHARE = 0.25
"""of the token limit that a completion takes, where this task has not been sampled yet"""
WHOLE_SPLIT = 500
"""items that `limit: null` is counted as"""


def describe(comparison: Comparison) -> str:
    """The three lines. Reads the store and configs, downloads nothing, loads no weights."""
    from elicit.experiment.forecast.memory import limit_of

    chosen = comparison.settings
    known = _speed(chosen)
    limit = limit_of(chosen)
    length = (known and known.tokens_per_path) or SHARE * limit
    paths = evaluation_paths(comparison)
    return "\n".join(
        (
            f"{comparison.group}: {_jobs(comparison)} x {chosen.eval.limit or 'all'} items x {chosen.eval.n} samples, "
            f"with base, prompts and ceilings about {paths:,.0f} generated paths{_own_prompts(comparison)}, at most "
            f"{paths * limit:,.0f} and roughly {paths * length:,.0f} tokens; budget of a fit: {_budget(chosen)}",
            f"  time: {_time(comparison, known, paths * length, length)}",
            f"  memory: {_memory(comparison)}",
        )
    )


def evaluation_paths(comparison: Comparison) -> float:
    """Completions that measuring takes: base rungs, ceilings, every job, and the choice among the fixed prompts."""
    plan = comparison.settings.eval
    items, choice = plan.limit or WHOLE_SPLIT, _choice(comparison.settings)
    jobs = sum(items * job.n * chains(job) for job in comparison.jobs if job.role != "base")
    choices = choice * (1 + sum(chains(job) for job in _choosing(comparison)))
    return items * (plan.n * 3 + (plan.support_n or 0)) + jobs + choices


def _choosing(comparison: Comparison) -> list[Job]:
    """Jobs that are measured again at their own dev-best prompt where that is not the bare one."""
    return [job for job in comparison.jobs if job.role == "method" and comparison.settings.eval.own_prompts]


def _own_prompts(comparison: Comparison) -> str:
    """How many more paths it may become by that."""
    items = comparison.settings.eval.limit or WHOLE_SPLIT
    more = sum(items * job.n * chains(job) for job in _choosing(comparison))
    return f" (and up to {more:,.0f} at methods' own best prompts)" if more else ""


def chains(job: Job) -> float:
    """Paths that one sample of this job generates: a strategy's k or n, and one sample an item where it is fixed."""
    strategy: Any = getattr(job.settings.method, "strategy", None)
    if strategy is None:
        return 1
    several = getattr(strategy, "k", None) or getattr(strategy, "n", None) or 1
    return several / job.n if strategy.deterministic else several


def _choice(chosen: Settings) -> int:
    """Samples that choosing among the fixed prompts takes."""
    names = chosen.task.prompts if chosen.eval.prompts is None else chosen.eval.prompts
    return len(names) * chosen.eval.prompt_limit * chosen.eval.prompt_n


def _jobs(comparison: Comparison) -> str:
    """Names by role; how many runs, where seeds or draws make more of them."""
    told = []
    for role in dict.fromkeys(job.role for job in comparison.jobs):
        runs = [job.name for job in comparison.jobs if job.role == role]
        names = len(set(runs))
        more = f" ({len(runs)} runs)" if len(runs) > names else ""
        told.append(f"{names} {role}{'s' if names > 1 else ''}{more}")
    return ", ".join(told)


def _budget(chosen: Settings) -> str:
    given = vars(chosen.budget).items()
    return ", ".join(f"{name} {'unlimited' if value is None else format(value, ',')}" for name, value in given)


def _speed(chosen: Settings) -> Speed | None:
    path = str(chosen.model.path)
    guess = ORGANISM if path.startswith("organism") else None
    return measured(Path(chosen.root), path, chosen.task.name) or guess


def _time(comparison: Comparison, known: Speed | None, tokens: float, length: float) -> str:
    """Device hours of evaluation and fits, and minutes of the whole."""
    chosen = comparison.settings
    before = fit_seconds(Path(chosen.root), str(chosen.model.path))
    fitted = [job for job in comparison.jobs if job.role != "base"]
    rest = sum((work(job.settings.method) for job in fitted if job.arm not in before), Work())
    told = f"sampling {rest.paths:,.0f} paths and training {rest.rows:,.0f} rows, searches not counted"
    if known is None:
        return f"not known before the first samples of this model under root={chosen.root}; fits: {told}"
    evaluation = tokens / known.tokens_per_second
    seen = [before[job.arm] for job in fitted if job.arm in before]
    fits = sum(seen) + rest.passes * length / known.tokens_per_second
    minutes = (evaluation + fits) / chosen.parallel / 60
    together = f" on {chosen.parallel} processes" if chosen.parallel > 1 else ""
    if len(seen) == len(fitted):
        fitting = f"{fits / 3600:.2g} to fit (as before in this root)" if fitted else "nothing to fit"
    else:
        counted = f"{len(seen)} of {len(fitted)} as before in this root, the others " if seen else ""
        fitting = f"at least {fits / 3600:.2g} to fit ({counted}{told})"
    return (
        f"about {(evaluation + fits) / 3600:.2g} device hours, {evaluation / 3600:.2g} to measure and {fitting}; "
        f"roughly {max(1, round(minutes))} min{together} at {known.tokens_per_second:,.0f} tokens a second "
        f"({known.source})"
    )


def _memory(comparison: Comparison) -> str:
    from elicit.experiment.forecast.memory import peak
    from elicit.experiment.forecast.shape import unloaded

    config = comparison.settings.model
    model = unloaded(config)
    if model is None:
        return (
            f"not known before the checkpoint is at hand (no config.json of {config.path} here or in the hub's cache)"
        )
    found = peak(model, [(job.name, job.settings) for job in comparison.jobs])
    processes = comparison.settings.parallel
    return f"{found}" + (f"; {processes} processes" if processes > 1 else "")
