"""The same jobs under hydra's own launchers and sweepers (extras submitit, joblib, optuna).

    python -m elicit.commands.hydra_app -m hydra/launcher=joblib method=contrastive seed=1,2,3
    python -m elicit.commands.hydra_app -m hydra/launcher=submitit_slurm method=contrastive task=gsm8k,math
    python -m elicit.commands.hydra_app -m hydra/sweeper=optuna '++method.items=choice(32,64)' method=contrastive

Every job is its own comparison (`group=` names it); a field that no YAML states is written `++method.field=value`,
because hydra reads it before this module does. A job returns the accuracy of its method, which a sweeper maximises
(`hydra.sweeper.direction=maximize`). `elicit -m` needs none of this.
"""

from __future__ import annotations

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from elicit.config.compose import config_dirs


@hydra.main(version_base="1.3", config_path=str(config_dirs()[0].resolve()), config_name="config")
def main(composed: DictConfig) -> float:
    """Run the job that hydra composed; its overrides are composed again, and checked."""
    from elicit.console import Console
    from elicit.errors import MethodError
    from elicit.experiment.plan import plan
    from elicit.experiment.run import execute
    from elicit.files import content_hash
    from elicit.results import read_comparison

    overrides = list(HydraConfig.get().overrides.task)
    if not any(override.startswith("group=") for override in overrides):
        overrides.append(f"group=hydra-{content_hash(sorted(overrides), 8)}")
    (comparison,) = plan([overrides])
    code = execute([comparison], Console("json", sys.stderr), overrides)
    if code:
        raise MethodError(f"a job of {comparison.group} failed; see error.json in its run folder")
    lines = read_comparison(comparison.folder / "comparison.json").lines
    accuracies = (line.values["acc/strict"].point for line in lines if line.role in ("method", "base"))
    return next(point for point in accuracies if point is not None)


if __name__ == "__main__":
    main()
