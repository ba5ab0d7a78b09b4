"""What a job is stacked on: `on=RUN`, `on=[RUN,RUN]`, or earlier jobs of the same command by their names.

    policy of the job = base + the interventions of these runs + its own
    <run>/on/0.0/          intervention/, ledger.jsonl, run.json: copied, so a run folder is complete by itself

A method is fitted on the stacked policy and measured with it. Its data class, label bits and used items are those of
all ledgers together. A job of the same command has to come earlier; if another process is fitting it, this one waits.
Knows no method and no metric.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elicit.errors import ConfigError, DataError, StageError
from elicit.experiment import run_folder
from elicit.experiment.run_folder import RunFolder, all_runs, find_run, ledger_rows
from elicit.files import content_hash, read_json, read_text, write_json, write_text

if TYPE_CHECKING:
    from elicit.experiment.plan import Job
    from elicit.policy.policy import Policy
    from elicit.records import LedgerRow

FOLDER = "on"
SECONDS = 1.0
"""between two looks at a run that another process is fitting"""


@dataclass(frozen=True)
class Layer:
    """One intervention that a run is stacked on, with its account."""

    folder: Path

    @property
    def name(self) -> str:
        """Of the run that it comes from."""
        return str(read_json(self.folder / "run.json")["name"])

    @property
    def intervention(self) -> Path:
        return self.folder / "intervention"

    @property
    def rows(self) -> list[LedgerRow]:
        """The rows of its ledger. Raises DataError if they were changed since they were copied."""
        from elicit.ledger import load_rows

        rows = load_rows(self.folder / "ledger.jsonl")
        if content_hash(rows) != read_json(self.folder / "run.json")["ledger"]:
            raise DataError(f"{self.folder / 'ledger.jsonl'} was changed since the run; run it again")
        return rows

    @property
    def used(self) -> list[str]:
        """Ids of the items that it was fitted on."""
        return [str(item) for item in read_json(self.folder / "run.json")["used"]]


def layers(run: RunFolder) -> list[Layer]:
    """What a run is stacked on, in the order of `on`; none for most runs."""
    return [Layer(folder) for folder in sorted((run.path / FOLDER).glob("*")) if (folder / "run.json").exists()]


def rows_of(run: RunFolder) -> list[LedgerRow]:
    """The rows of a run's own ledger and of all that it is stacked on."""
    return [row for layer in layers(run) for row in layer.rows] + ledger_rows(run)


def stacked(policy: Policy, run: RunFolder) -> Policy:
    """`policy` with everything that the run is stacked on. Raises what `load_intervention` raises."""
    from elicit.policy.policy import load_intervention

    for layer in layers(run):
        policy = policy.with_intervention(load_intervention(layer.intervention, policy.checkpoint))
    return policy


def stack(job: Job, run: RunFolder) -> None:
    """Copy what the job is stacked on into its run folder, unless that was done before.

    Raises ConfigError if there is no such run or if it is another checkpoint's, StageError if it was never fitted.
    """
    if run.manifest.get(FOLDER, []) == list(job.settings.stack):
        return
    names = []
    for i, name in enumerate(job.settings.stack):
        source = _fitted(name, job, run)
        names.append(source.manifest["name"])
        theirs, ours = (one.manifest.get("checkpoint") or {} for one in (source, run))
        if theirs.get("id") != ours.get("id"):
            raise ConfigError(
                f"on={name}: fitted on {theirs.get('name')} ({theirs.get('id')}), this is {ours.get('name')} "
                f"({ours.get('id')}); an intervention belongs to its checkpoint"
            )
        # what it is stacked on itself comes first
        for j, below in enumerate(layers(source)):
            _copy(run.path / FOLDER / f"{i}.{j}", below.intervention, below.name, below.rows, below.used)
        used = source.manifest.get("used_items") or []
        last = run.path / FOLDER / f"{i}.{len(layers(source))}"
        _copy(last, source.intervention, source.manifest["name"], ledger_rows(source), used)
    run.update(on=list(job.settings.stack), on_names=names)


def _copy(folder: Path, intervention: Path, name: str, rows: Sequence[LedgerRow], used: Sequence[str]) -> None:
    shutil.copytree(intervention, folder / "intervention", dirs_exist_ok=True)
    lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows]
    write_text(folder / "ledger.jsonl", "".join(lines))
    write_json(folder / "run.json", {"name": name, "used": list(used), "ledger": content_hash(list(rows))})


def _fitted(name: str, job: Job, run: RunFolder) -> RunFolder:
    """The run that `on=name` means: an earlier job of this command with this seed, else a run by its name or folder."""
    here = run.manifest
    same = [
        other
        for other in all_runs(run.path.parent)
        if all(other.manifest.get(key) == here.get(key) for key in ("invocation", "group"))
        and other.manifest["name"] == name
    ]
    same.sort(key=lambda other: other.manifest["seed"] != job.settings.seed)
    found = same[0] if same else find_run(name, run.path.parent)
    while (status := found.manifest["status"]) not in (run_folder.FITTED, run_folder.DONE):
        if status in (run_folder.FAILED, run_folder.INTERRUPTED) or not _at_work(found):
            raise StageError(f"on={name}: {found.path} is not fitted; continue it first with elicit resume")
        time.sleep(SECONDS)
        found.read()
    return found


def _at_work(run: RunFolder) -> bool:
    """Whether another living process has claimed a run."""
    claim = run.path / run_folder.CLAIM
    if not claim.exists():
        return False
    words = read_text(claim).split()
    pid = int(words[-1]) if words else os.getpid()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return pid != os.getpid()
