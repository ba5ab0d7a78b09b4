"""The same jobs under hydra's own launchers and sweepers (extras submitit, joblib, optuna).

    python -m elicit.commands.hydra_app -m hydra/launcher=joblib method=contrastive seed=1,2,3
    python -m elicit.commands.hydra_app -m hydra/launcher=submitit_slurm method=contrastive task=gsm8k,math
    python -m elicit.commands.hydra_app -m hydra/sweeper=optuna '++method.items=choice(32,64)' method=contrastive

Every job is its own comparison, hydra-HASH of its overrides (`group=NAME` makes it NAME-HASH in a sweep); a field that
no YAML states is written `++method.field=value`, because hydra reads it before this module does. The same command again
continues the sweep: hydra numbers the jobs as before, a finished one is skipped, an unfinished one goes on in its own
run folders. A job returns the accuracy of its method, which a sweeper maximises (`hydra.sweeper.direction=maximize`).
`elicit -m` needs none of this.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from elicit.config.compose import config_dirs

if TYPE_CHECKING:
    from elicit.experiment.plan import ComparisonPlan
    from elicit.experiment.run_folder import RunFolder


@hydra.main(version_base="1.3", config_path=str(config_dirs()[0].resolve()), config_name="config")
def main(composed: DictConfig) -> float:
    """Run the job that hydra composed; its overrides are composed again, and checked."""
    from elicit.console import Console
    from elicit.errors import MethodError
    from elicit.experiment.plan import plan
    from elicit.experiment.run import execute, resume
    from elicit.experiment.run_folder import DONE
    from elicit.results import read_comparison

    overrides = named(list(HydraConfig.get().overrides.task), HydraConfig.get().mode == RunMode.MULTIRUN)
    (comparison,) = plan([overrides])
    console, code, runs = Console("json", sys.stderr), 0, earlier(comparison)
    if not runs:
        code = execute([comparison], console, overrides)
    elif all(run.manifest["status"] == DONE for run in runs) and (comparison.folder / "comparison.json").exists():
        console.say(f"{comparison.group}: finished before, skipped")
    else:
        code = resume(str(runs[0].path), runs[0].path.parent, console, overrides)
    if code:
        raise MethodError(f"a job of {comparison.group} failed; see error.json in its run folder")
    lines = read_comparison(comparison.folder / "comparison.json").lines
    accuracies = (line.values["acc/strict"].point for line in lines if line.role in ("method", "base"))
    return next(point for point in accuracies if point is not None)


def named(overrides: list[str], sweep: bool) -> list[str]:
    """The overrides with a group of their own: the jobs of a sweep share the name that was given to all of them."""
    from elicit.files import content_hash

    groups = [override for override in overrides if override.startswith("group=")]
    if groups and not sweep:
        return overrides
    others = [override for override in overrides if override not in groups]
    name = groups[-1].removeprefix("group=") if groups else "hydra"
    return [*others, f"group={name}-{content_hash(sorted(others), 8)}"]


def earlier(comparison: ComparisonPlan) -> list[RunFolder]:
    """The runs of the last command that planned this very comparison; none if its configuration was another."""
    from elicit.experiment.provenance import config_hash
    from elicit.experiment.run_folder import all_runs

    wanted = sorted(config_hash(job.settings.node) for job in comparison.jobs)
    commands: dict[str, list[RunFolder]] = {}
    for run in all_runs(Path(comparison.settings.root)):
        if run.manifest.get("group") == comparison.group:
            commands.setdefault(str(run.manifest.get("invocation")), []).append(run)
    same = [runs for runs in commands.values() if sorted(run.manifest["config_hash"] for run in runs) == wanted]
    return same[-1] if same else []


if __name__ == "__main__":
    main()
