"""`elicit escalate GROUP`: ask the base more often about what only a method solved. Needs the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elicit.commands.arguments import split
from elicit.config.compose import build_settings
from elicit.console import Console
from elicit.errors import ConfigError, DataError, near
from elicit.experiment.run_folder import all_runs
from elicit.files import read_json


def escalate(arguments: list[str]) -> int:
    """`elicit escalate GROUP [levels=64,256,1024 root=runs]`; compare again (`elicit compare GROUP`) shows it."""
    names, given = split(arguments, ("root", "levels", "output"))
    if len(names) != 1:
        raise ConfigError("elicit escalate GROUP: name one comparison")
    root, console = Path(given.get("root", "runs")), Console(given.get("output", "text"))
    folder = root / "comparisons" / names[0]
    if not (folder / "inputs.json").exists():
        known = [path.parent.name for path in (root / "comparisons").glob("*/inputs.json")]
        raise ConfigError(f"{names[0]}: no comparison under {root}; {near(names[0], known)}")
    found = run(folder, root, console, _levels(given.get("levels", "")))
    for name, total in found["methods"].items():
        bound = f", rate below {total['upper_bound']:.4f}" if total["upper_bound"] is not None else ""
        console.say(
            f"{name}: {total['E']} items solved by the method only; the base solves {total['solved_by_base']} of them "
            f"when asked more often, {total['unsolved']} stay unsolved{bound}"
        )
    console.result({"escalation": found})
    return 0


def run(folder: Path, root: Path, console: Console, levels: tuple[int, ...]) -> dict[str, Any]:
    """Escalate the E items of every method of a comparison; writes escalation.json."""
    from elicit.evaluate.comparison import escalation
    from elicit.evaluate.entry import Entry
    from elicit.evaluate.measures.measure import measure
    from elicit.experiment.bench import Bench
    from elicit.experiment.plan import ComparisonPlan
    from elicit.policy.checkpoint import load_checkpoint

    run_folder = next((run for run in all_runs(root) if run.manifest.get("group") == folder.name), None)
    if run_folder is None:
        raise DataError(f"{folder}: no run folder of this comparison under {root}; keep runs and comparisons together")
    chosen, saved = build_settings(run_folder.config()), read_json(folder / "inputs.json")
    bench = Bench(ComparisonPlan(folder.name, (), chosen), load_checkpoint(chosen.model), console)
    items = {item.id: item for item in bench.items}
    ordered = [items[name] for name in saved["items"] if name in items]
    entries = [Entry.of(plain) for plain in saved["entries"]]
    measured = {entry.policy: measure(entry.samples, entry.grades, ordered) for entry in entries}
    base = next(entry for entry in entries if entry.role == "base")
    if base.policy != bench.bare().id:
        raise DataError(
            f"{folder}: its base is {base.policy}, {chosen.model.path} is now {bench.bare().id}; run it again"
        )
    methods = {entry.policy: measured[entry.policy] for entry in entries if entry.role == "method"}
    found = escalation.look(
        methods,
        measured[base.policy],
        ordered,
        lambda left, n: bench.measured(f"base x {n}", bench.bare(), left, n, "support"),
        levels,
        console.say,
    )
    escalation.save(found, folder)
    return found


def _levels(text: str) -> tuple[int, ...]:
    from elicit.evaluate.metrics.support import LEVELS

    if not text:
        return LEVELS
    try:
        return tuple(int(part) for part in text.strip("[]").split(","))
    except ValueError:
        raise ConfigError(f"levels={text}: numbers of samples, such as levels=64,256,1024") from None
