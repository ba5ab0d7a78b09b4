"""What a comparison will cost, in one line, before anything is loaded. Estimates, and they say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elicit.config import Settings
from elicit.files import read_json
from elicit.plan import Comparison, Job

TOKENS_PER_SECOND = 5_000
"""of the organism on two idle cores; replaced by what the store's own samples took, where there are any. What another
model takes on this machine is not guessed"""


def describe(comparison: Comparison) -> str:
    """Methods, items, samples, generations, tokens, minutes, and the budget of a fit."""
    chosen = comparison.settings
    plan = chosen.eval
    items = plan.limit or "all"
    counted = plan.limit or 500
    paths = sum(counted * plan.n * chains(job) for job in comparison.jobs if job.role != "base")
    base = counted * (plan.n * 3 + (plan.support_n or 0)) + _choice(chosen)
    if plan.own_prompts:
        paths += sum(
            (counted * plan.n + _choice(chosen)) * chains(job) for job in comparison.jobs if job.role == "method"
        )
    limit = plan.max_new_tokens or chosen.task.stop.max_new_tokens
    guess = TOKENS_PER_SECOND if str(chosen.model.path).startswith("organism") else None
    speed, length = measured_speed(Path(chosen.root)) or (guess, 0.25 * limit)
    tokens = (paths + base) * length
    time = f"roughly {max(1, round(tokens / speed / 60))} min" if speed else "a time not known before the first samples"
    roles = [job.role for job in comparison.jobs]
    jobs = ", ".join(
        f"{roles.count(role)} {role}{'s' if roles.count(role) > 1 else ''}" for role in dict.fromkeys(roles)
    )
    budget = ", ".join(
        f"{name} {'unlimited' if value is None else value}" for name, value in vars(chosen.budget).items()
    )
    return (
        f"{comparison.group}: {jobs} x {items} items x {plan.n} samples, with base, prompts and ceilings about "
        f"{paths + base:,.0f} generated paths, at most {(paths + base) * limit:,.0f} and roughly {tokens:,.0f} tokens, "
        f"{time} and the fits; budget of a fit: {budget}"
    )


def _choice(chosen: Settings) -> int:
    """Samples that choosing among the fixed prompts takes."""
    names = chosen.task.prompts if chosen.eval.prompts is None else chosen.eval.prompts
    return len(names) * chosen.eval.prompt_limit * chosen.eval.prompt_n


def chains(job: Job) -> float:
    """Paths that one sample of this job generates: a strategy's k or n, and one sample an item where it is fixed."""
    strategy: Any = getattr(job.settings.method, "strategy", None)
    if strategy is None:
        return 1
    several = getattr(strategy, "k", None) or getattr(strategy, "n", None) or 1
    return several / job.settings.eval.n if getattr(strategy, "deterministic", False) else several


def measured_speed(root: Path) -> tuple[float, float] | None:
    """(tokens a second, tokens a sample) of the samples in the store; None where there is none."""
    rows = [read_json(path) for path in sorted((root / "store" / "samples").glob("*/*/timings-*.json"))[-200:]]
    seconds, tokens, samples = (sum(row[key] for row in rows) for key in ("seconds", "tokens", "samples"))
    return (tokens / seconds, tokens / samples) if seconds and tokens else None
