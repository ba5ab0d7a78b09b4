"""`elicit runs` (or `elicit status`): the runs under a root with their state, and how to go on. Reads manifests only.

running       a process holds the folder's lock
done, failed, interrupted                    as the manifest says
planned, fitted: stopped                     no process works on it: it was killed, or its turn has not come yet
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from elicit.commands.arguments import COMMON, Command
from elicit.experiment.run_folder import DONE, ERROR, FAILED, INTERRUPTED, RunFolder, all_runs
from elicit.files import is_locked, read_json

RUNS = Command("runs [GROUP]: list runs, of one comparison or all", COMMON, needs_name=False)
RUNNING, STOPPED = "running", "stopped"


def runs(words: list[str]) -> int:
    """One line per run, oldest first, then what to type for those that are not done."""
    given = RUNS.read(words)
    root, console = given.path("root"), given.console()
    group = given.names[0] if given.names else None
    chosen = [run for run in all_runs(root) if group in (None, run.manifest.get("group"))]
    states = [state_of(run) for run in chosen]
    if not chosen:
        console.say(f"no runs{f' of {group}' if group else ''} under {root}; start one with elicit method=...")
    for run, state in zip(chosen, states, strict=True):
        console.say(line_of(run, state))
    for line in advice(chosen, states, str(root)):
        console.say(line)
    console.result({"runs": [
        {"run": str(run.path), "group": run.manifest.get("group"), "name": run.manifest.get("name"),
         "seed": run.manifest.get("seed"), "state": state}
        for run, state in zip(chosen, states, strict=True)
    ]})  # fmt: skip
    return 0


def state_of(run: RunFolder) -> str:
    """The manifest's status; of a run that is not done, whether a process works on it."""
    status = str(run.manifest.get("status"))
    if status in (DONE, FAILED):
        return status
    return RUNNING if held(run) else INTERRUPTED if status == INTERRUPTED else f"{status}, {STOPPED}"


def held(run: RunFolder) -> bool:
    """Whether a process holds the lock of the folder (`files.locked`)."""
    return is_locked(run.path / ".lock")


def line_of(run: RunFolder, state: str) -> str:
    """Folder, state and how long ago it was planned; of a failed run the fault."""
    manifest = run.manifest
    text = f"{state:16} {run.path.name}  {manifest.get('group', '-')}  {_ago(manifest.get('created'))}"
    if state == FAILED and (run.path / ERROR).exists():
        error = read_json(run.path / ERROR)
        text += f"\n{'':16} {error.get('type')}: {str(error.get('message')).splitlines()[0][:160]}"
    return text


def advice(chosen: Sequence[RunFolder], states: Sequence[str], root: str) -> list[str]:
    """The command that continues each command of which a run is neither done, worked on nor repeated since."""
    first: dict[str, RunFolder] = {}
    last = last_done(chosen)
    busy = {run.manifest.get("invocation") for run, state in zip(chosen, states, strict=True) if state == RUNNING}
    for run, state in zip(chosen, states, strict=True):
        invocation = str(run.manifest.get("invocation"))
        if state not in (DONE, RUNNING) and not is_repeated(run, last) and run.manifest.get("invocation") not in busy:
            first.setdefault(invocation, run)
    place = "" if root == "runs" else f" root={root}"
    return [f"continue {run.manifest.get('group')}: elicit resume {run.path.name}{place}" for run in first.values()]


def job_of(run: RunFolder) -> tuple[object, ...]:
    """What a repeated run has in common with the earlier one."""
    return tuple(run.manifest.get(key) for key in ("group", "name", "seed", "config_hash"))


def last_done(runs: Sequence[RunFolder]) -> dict[tuple[object, ...], str]:
    """The name of the last run of each job that is done; names begin with their time."""
    return {job_of(run): run.path.name for run in runs if run.manifest.get("status") == DONE}  # the oldest first


def is_repeated(run: RunFolder, last: Mapping[tuple[object, ...], str]) -> bool:
    """Whether its job was done by a later run. `last`: what `last_done` gives."""
    return last.get(job_of(run), "") > run.path.name


def _ago(created: float | None) -> str:
    if created is None:
        return ""
    seconds = max(0, time.time() - created)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "now"
