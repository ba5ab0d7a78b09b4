"""The jobs of a command line as plain rows, and the rows that were frozen when each command was first planned.

python -m tests.plans       writes the rows of today's code; do so only if a change of configuration is intended
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from elicit.config.compose import sweep_jobs
from elicit.experiment.plan import plan
from elicit.experiment.provenance import config_hash

FROZEN = Path(__file__).parent / "fixtures" / "plans.json"
COMMANDS = (
    "experiment=demo",
    "experiment=five_methods",
    "-m method=contrastive,decoding seed=1,2 placebos=all rivals=all",
    "-m method=contrastive method.items=8,16 seed=1,2 group=g-${seed} placebos=one placebo_seeds=2",
    "-m method=critique_ft method/critic=self,program placebos=one ~method.response eval.limit=8",
    "-m experiment=calibration sweep=seeds task=add eval=quick",
)


def rows(command: str) -> list[list[str | int]]:
    """One row per job: group, name, role, seed, config_hash, arm, overrides, hash of the config.yaml."""
    words = command.split()
    comparisons = plan(sweep_jobs(words[1:]) if words[0] == "-m" else [words])
    return [
        [comparison.group, job.name, job.role, job.settings.seed, config_hash(job.settings.node), job.arm,
         " ".join(job.overrides), saved(job.settings.node)]
        for comparison in comparisons
        for job in comparison.jobs
    ]  # fmt: skip


def saved(node: dict[str, object]) -> str:
    """Hash of the text that a run folder keeps as config.yaml, the order of its keys included."""
    text = yaml.safe_dump(node, sort_keys=False, allow_unicode=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main() -> None:
    parts = []
    for command in COMMANDS:
        lines = ",\n".join("  " + json.dumps(row) for row in rows(command))
        parts.append(f" {json.dumps(command)}: [\n{lines}\n ]")
    FROZEN.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
