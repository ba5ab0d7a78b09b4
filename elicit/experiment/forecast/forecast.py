"""What a comparison will cost, in three lines or four, before anything is loaded. All figures are labelled estimates.

    samples    generated paths and tokens of the evaluation, and what the fits sample and train (`work`)
    time       these passes over the speed of this machine before (`speed`); device hours, and minutes if several
               processes share the work
    memory     the peak of one process (`memory`), from the checkpoint's shape alone (`shape`)
    limits     only if a fit samples under another token limit than the evaluation

What is not known (a model that is not at hand, a machine that has not sampled it) is called unknown. If this task was
not sampled with this model before, every path is counted with its token limit: an upper bound, and the line says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elicit.config import Settings
from elicit.experiment.forecast.speed import ORGANISM, Speed, fit_seconds, measured
from elicit.experiment.plan import ComparisonPlan, Job
from elicit.method import Work
from elicit.records import BARE

__all__ = ["chains", "describe", "evaluation_paths"]

WHOLE_SPLIT = 500
"""items that `limit: null` is counted as"""


def describe(comparison: ComparisonPlan) -> str:
    """The lines. Reads the store and configs, downloads nothing, loads no weights."""
    from elicit.experiment.forecast.memory import limit_of

    settings = comparison.settings
    speed = _speed(settings)
    limit = limit_of(settings)
    paths, length = evaluation_paths(comparison), speed.tokens_per_path if speed is not None else None
    tokens, bound = f"at most {paths * limit:,.0f}", ""
    if length is not None:
        tokens += f" and roughly {paths * length:,.0f}"
    elif speed is not None:
        bound = f"; an upper bound of the sampling: no length is known, each path counts as {limit} tokens, its limit"
    length = length or limit
    return "\n".join(
        (
            f"{comparison.group}: {_jobs(comparison)} x {settings.eval.limit or 'all'} items x {settings.eval.n} "
            f"samples, about {paths:,.0f} generated paths ({_parts(comparison)}){_own_prompts(comparison)}, "
            f"{tokens} tokens; budget per fit: {_budget(settings)}",
            f"  time: {_time(comparison, speed, paths * length, length)}{bound}",
            f"  memory: {_memory(comparison)}",
            *_token_limits(comparison, limit),
        )
    )


def _token_limits(comparison: ComparisonPlan, limit: int) -> list[str]:
    """A line with the token limits if a method samples under another one than the evaluation."""
    from elicit.experiment.forecast.memory import limit_of

    own = {job.name: limit_of(job.settings, job.settings.method) for job in comparison.jobs}
    others = [f"{name} fits with {value}" for name, value in own.items() if value != limit]
    return [f"  token limits differ: evaluation and dev scores {limit}; {', '.join(others)}"] if others else []


def evaluation_paths(comparison: ComparisonPlan) -> float:
    """Completions that measuring takes."""
    return sum(path_parts(comparison).values())


def path_parts(comparison: ComparisonPlan) -> dict[str, float]:
    """The same by use: base rungs, the choice among the fixed prompts, jobs by role, ceilings C4 and C1.

    The rungs are B0, B1, and the bare prompt if B0 has another.
    """
    plan, items = comparison.settings.eval, _items(comparison)
    choice = prompt_choice(comparison.settings)
    parts = {
        "base": items * (2.0 + (plan.prompt != BARE)) * (plan.base_n or plan.n),
        "choice of prompts": choice * (1 + sum(chains(job) for job in _choosing(comparison))),
    }
    for role in ("method", "placebo", "rival"):
        jobs = [job for job in comparison.jobs if job.role == role]
        parts[f"{role}s"] = sum(items * job.n * chains(job) for job in jobs)
    return parts | {"ceilings": float(items * (plan.n + (plan.support_n or 0)))}


def chains(job: Job) -> float:
    """Paths that one sample of this job generates: a strategy's k or n; if it is deterministic, once per item."""
    strategy: Any = getattr(job.settings.method, "strategy", None)
    if strategy is None:
        return 1
    several = getattr(strategy, "k", None) or getattr(strategy, "n", None) or 1
    return several / job.n if strategy.deterministic else several


def prompt_choice(settings: Settings) -> int:
    """Samples that choosing among the fixed prompts takes."""
    names = settings.task.prompts if settings.eval.prompts is None else settings.eval.prompts
    return len(names) * settings.eval.prompt_limit * settings.eval.prompt_n


def _items(comparison: ComparisonPlan) -> int:
    return comparison.settings.eval.limit or WHOLE_SPLIT


def _choosing(comparison: ComparisonPlan) -> list[Job]:
    """Jobs that are measured again at their own dev-best prompt if that is not the bare one."""
    return [job for job in comparison.jobs if job.role == "method" and comparison.settings.eval.own_prompts]


def _parts(comparison: ComparisonPlan) -> str:
    """The paths by use, without what there is none of."""
    return ", ".join(f"{name} {paths:,.0f}" for name, paths in path_parts(comparison).items() if paths)


def _own_prompts(comparison: ComparisonPlan) -> str:
    """How many more paths that may add."""
    more = sum(_items(comparison) * job.n * chains(job) for job in _choosing(comparison))
    return f" and up to {more:,.0f} at methods' own best prompts" if more else ""


def _jobs(comparison: ComparisonPlan) -> str:
    """Names by role, and the number of runs if seeds or draws make it larger."""
    parts = []
    for role in dict.fromkeys(job.role for job in comparison.jobs):
        runs = [job.name for job in comparison.jobs if job.role == role]
        names = len(set(runs))
        more = f" ({len(runs)} runs)" if len(runs) > names else ""
        parts.append(f"{names} {role}{'s' if names > 1 else ''}{more}")
    return ", ".join(parts)


def _budget(settings: Settings) -> str:
    limits = vars(settings.budget).items()
    return ", ".join(f"{name} {'unlimited' if value is None else format(value, ',')}" for name, value in limits)


def _speed(settings: Settings) -> Speed | None:
    path = str(settings.model.path)
    guess = ORGANISM if path.startswith("organism") else None
    return measured(Path(settings.root), path, settings.task.name) or guess


def _time(comparison: ComparisonPlan, speed: Speed | None, tokens: float, length: float) -> str:
    """Device hours of evaluation and fits, and minutes of the whole command."""
    settings = comparison.settings
    # 1) fits: as long as the same arm took before in this root, else from the work that the method states
    before = fit_seconds(Path(settings.root), str(settings.model.path))
    fitted = [job for job in comparison.jobs if job.role != "base"]
    items = _items(comparison)
    stated = {job.name: job.settings.method.work(items, length) for job in fitted
              if job.arm not in before and job.settings.method is not None}  # fmt: skip
    new = [stated[job.name] for job in fitted if job.arm not in before]
    rest = sum((work for work in new if work is not None), Work())
    unknown = [name for name, work in stated.items() if work is None]
    counted = f"sampling {rest.paths:,.0f} paths and training {rest.rows:,.0f} rows, searches not counted"
    counted += f"; not known for {', '.join(unknown)}" if unknown else ""
    if speed is None:
        return f"not known before the first samples of this model under root={settings.root}; fits: {counted}"
    # 2) device hours
    evaluation = tokens / speed.tokens_per_second
    seen = [before[job.arm] for job in fitted if job.arm in before]
    fits = sum(seen) + rest.passes * length / speed.tokens_per_second
    if len(seen) == len(fitted):
        fitting = f"{fits / 3600:.2g} to fit (as before in this root)" if fitted else "nothing to fit"
    else:
        known = f"{len(seen)} of {len(fitted)} as before in this root, the others " if seen else ""
        fitting = f"at least {fits / 3600:.2g} to fit ({known}{counted})"
    # 3) minutes, shared by the processes
    minutes = (evaluation + fits) / settings.parallel / 60
    together = f" on {settings.parallel} processes" if settings.parallel > 1 else ""
    return (
        f"about {(evaluation + fits) / 3600:.2g} device hours, {evaluation / 3600:.2g} to measure and {fitting}; "
        f"roughly {max(1, round(minutes))} min{together} at {speed.tokens_per_second:,.0f} tokens per second "
        f"({speed.source})"
    )


def _memory(comparison: ComparisonPlan) -> str:
    from elicit.experiment.forecast.memory import peak
    from elicit.experiment.forecast.shape import shape_of

    config = comparison.settings.model
    model = shape_of(config)
    if model is None:
        return (
            f"not known before the checkpoint is at hand (no config.json of {config.path} here or in the hub's cache)"
        )
    need = peak(model, [(job.name, job.settings) for job in comparison.jobs])
    processes = comparison.settings.parallel
    return f"{need}" + (f"; {processes} processes" if processes > 1 else "")
