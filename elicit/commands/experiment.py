"""`elicit [overrides]`, `elicit -m`, `elicit resume`: plan, print the forecast, run."""

from __future__ import annotations

from collections.abc import Sequence

from elicit import ranks
from elicit.commands.arguments import COMMON, Command
from elicit.config.compose import Composer, sweep_jobs
from elicit.console import Console
from elicit.errors import ConfigError
from elicit.experiment.plan import ComparisonPlan, plan
from elicit.lazy import defer
from elicit.studies.study import PREFIX

RESUME = Command("resume RUN: name one run folder", COMMON)


def run(overrides: list[str], many: bool, argv: Sequence[str]) -> int:
    """Plan and run; with `dry_run=true` only print the plan and the resolved configuration."""
    from elicit.experiment.forecast.forecast import describe

    if many and not overrides:
        raise ConfigError("elicit -m: give what is swept, such as elicit -m method=rlvr,contrastive task=chain")
    declared = any(override.startswith("sweep=") for override in overrides)
    if declared and not many:
        raise ConfigError("sweep=... multiplies jobs: use elicit -m")
    if any(override.startswith(f"experiment={PREFIX}") for override in overrides):
        from elicit.commands.study import study

        ranks.refuse_several("a study")
        if many:
            raise ConfigError(
                "elicit -m: a study states its own training seeds; leave -m away (study/all runs them all)"
            )
        return study(overrides)
    defer("torch")  # a plan reads the fields of methods, whose modules import it
    composer = Composer()
    comparisons = plan(sweep_jobs(overrides, composer) if many else [overrides], composer)
    first = comparisons[0].settings
    console = Console(first.output)
    if first.dry_run:
        lines = [describe(comparison) for comparison in comparisons]
        for line in lines:
            console.say(line)
        _print_plan(comparisons, lines, console)
        return 0
    from elicit.experiment.finished import kept
    from elicit.experiment.run import execute

    again = kept(comparisons, console.say)
    for comparison in comparisons:
        if comparison.group not in again:  # what the others cost was spent before
            console.say(describe(comparison))
    return execute(comparisons, console, argv, again)


def resume(words: list[str]) -> int:
    """`elicit resume RUN`."""
    given = RESUME.read(words)
    from elicit.experiment.run import resume as resume_run

    return resume_run(given.names[0], given.path("root"), given.console(), ["resume", *words])


def _print_plan(comparisons: Sequence[ComparisonPlan], lines: Sequence[str], console: Console) -> None:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # in C if libyaml is there: ten times as fast
    for comparison in comparisons:
        for job in comparison.jobs:
            console.say(f"\n# {comparison.group}: {job.role} {job.name}, seed {job.settings.seed}")
            console.say(yaml.dump(job.settings.node, Dumper=dumper, sort_keys=False, allow_unicode=True).rstrip())
    console.result({"plan": list(lines), "jobs": [job.name for c in comparisons for job in c.jobs], "dry_run": True})
