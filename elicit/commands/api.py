"""What `import elicit` offers: run a command line, read a comparison, use its policies (docs/api.md)."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from elicit.commands.saved import SavedComparison
from elicit.config.build import packages_in, trusting
from elicit.config.compose import Composer
from elicit.console import Console
from elicit.errors import ConfigError, MethodError, near
from elicit.experiment.run_folder import RunFolder
from elicit.results import Comparison, read_comparison

if TYPE_CHECKING:
    import pandas

    from elicit.policy.checkpoint import Checkpoint
    from elicit.policy.policy import Policy

FACTS = ("name", "role", "parent", "method", "prompt", "seeds", "n_items", "n", "data_class")
"""columns of `Loaded.table` that describe a policy"""


@dataclass(frozen=True)
class Loaded:
    """A comparison on disk."""

    folder: Path
    result: Comparison
    """every number with its interval: `elicit.results`"""

    def table(self) -> pandas.DataFrame:
        """One row per policy: what it is, and each number KEY with its 95 % interval KEY/lo and KEY/hi.

        NaN if it was refused or not measured; `why(name)` has the reasons. Raises ConfigError without pandas.
        """
        try:
            import pandas
        except ImportError:
            raise ConfigError("comparison.table() needs pandas: pip install pandas") from None
        rows = []
        for line in self.result.lines:
            row = {fact: getattr(line, fact) for fact in FACTS}
            for column in self.result.columns:
                if (value := line.get(column.key)) is not None:
                    row |= {column.key: value.point, f"{column.key}/lo": value.lo, f"{column.key}/hi": value.hi}
            rows.append(row)
        return pandas.DataFrame(rows).set_index("name")

    def why(self, name: str) -> dict[str, str]:
        """The refused numbers of a policy with their reasons. Raises ConfigError with near matches."""
        lines = [line for line in self.result.lines if line.name == name]
        if not lines:
            raise ConfigError(f"{name}: {near(name, [line.name for line in self.result.lines])}")
        return {key: value.refused for line in lines for key, value in line.values.items() if value.refused}

    def show(self) -> None:
        """Print the scorecard."""
        from elicit.report import scorecard

        scorecard(self.result)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The base, loaded once."""
        from elicit.policy.checkpoint import load_checkpoint

        return load_checkpoint(SavedComparison(self.folder).settings.model)

    def policy(self, name: str = "base") -> Policy:
        """The base, or the policy of a fitted run of this comparison (its first seed), at the prompt of the comparison.

        `with policy.applied():` changes `checkpoint.model` and undoes it. Raises ConfigError with near matches.
        """
        from elicit.experiment.stack import stacked
        from elicit.policy.policy import Policy, load_intervention

        saved = SavedComparison(self.folder)
        base = Policy(self.checkpoint, prompt=saved.settings.task.prompts[saved.settings.eval.prompt])
        if name == "base":
            return base
        runs = {entry.name: Path(entry.run) for entry in reversed(saved.entries) if entry.run}
        if name not in runs:
            raise ConfigError(f"{name}: {near(name, ['base', *runs])}")
        run = RunFolder(runs[name])
        return stacked(base, run).with_intervention(load_intervention(run.intervention, self.checkpoint))


def run(*overrides: str, quiet: bool = False) -> Loaded:
    """What `elicit OVERRIDES` does; returns its comparison. `quiet`: print nothing but warnings of the libraries.

    Raises ConfigError if the words plan more than one comparison, MethodError if a job of it failed.
    """
    from elicit.experiment.plan import plan
    from elicit.experiment.run import execute

    with trusting(packages_in(overrides)):
        planned = plan([list(overrides)], Composer())
        if len(planned) > 1:
            names = ", ".join(one.group for one in planned)
            raise ConfigError(f"{len(planned)} comparisons ({names}): run them one by one, or with elicit in a shell")
        with open(os.devnull, "w") if quiet else nullcontext(sys.stdout) as stream:
            code = execute(planned, Console("text", stream), ["elicit.run", *overrides])
    if code:
        group = planned[0].group
        raise MethodError(f"jobs of {group} failed: elicit runs {group} lists their faults, and how to continue")
    return load(planned[0].folder)


def load(path: Path | str, root: Path | str = "runs") -> Loaded:
    """A comparison by its folder, by the path of its comparison.json, or by its name under `root`.

    Raises ConfigError with near matches if there is none.
    """
    path = Path(path)
    if path.name == "comparison.json":
        path = path.parent
    if not (path / "comparison.json").exists():
        path = SavedComparison.find(str(path), Path(root)).folder
    return Loaded(path, read_comparison(path / "comparison.json"))
