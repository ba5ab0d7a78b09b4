"""`elicit escalate GROUP`: sample the base more often on items that only a method solved. Needs the checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elicit.commands.arguments import COMMON, Command
from elicit.commands.saved import SavedComparison
from elicit.console import Console
from elicit.errors import DataError

if TYPE_CHECKING:
    from elicit.evaluate.comparison.escalation import Escalation

ESCALATE = Command("escalate GROUP: name one comparison", {**COMMON, "levels": ""})


def escalate(words: list[str]) -> int:
    """`elicit escalate GROUP [levels=64,256,1024 root=runs]`; compare again (`elicit compare GROUP`) shows it."""
    from elicit.evaluate.metrics.support import LEVELS

    given = ESCALATE.read(words)
    saved, console = SavedComparison.find(given.names[0], given.path("root")), given.console()
    found = run(saved, console, given.integers("levels") or LEVELS)
    for name, total in found.methods.items():
        bound = f", rate below {total.upper_bound:.4f}" if total.upper_bound is not None else ""
        console.say(
            f"{name}: {total.E} items solved by the method only; the base solves {total.solved_by_base} of them "
            f"when asked more often, {total.unsolved} stay unsolved{bound}"
        )
    console.result({"escalation": found.plain()})
    return 0


def run(saved: SavedComparison, console: Console, levels: tuple[int, ...]) -> Escalation:
    """Escalate the items that only a method solved, for every method; writes escalation.json.

    Raises DataError if the checkpoint is no longer the one that was compared.
    """
    from elicit.evaluate.comparison import escalation
    from elicit.evaluate.measures.measure import measure
    from elicit.experiment.bench import Bench
    from elicit.experiment.plan import ComparisonPlan
    from elicit.policy.checkpoint import load_checkpoint

    folder, settings = saved.folder, saved.settings
    bench = Bench(ComparisonPlan(folder.name, (), settings), load_checkpoint(settings.model), console)
    measured = {entry.policy: measure(entry.samples, entry.grades, saved.items) for entry in saved.entries}
    base = next(entry for entry in saved.entries if entry.role == "base")
    if base.policy != bench.base().id:
        raise DataError(
            f"{folder}: its base is {base.policy}, {settings.model.path} is now {bench.base().id}; run it again"
        )
    methods = {entry.policy: measured[entry.policy] for entry in saved.entries if entry.role == "method"}
    found = escalation.look(
        methods,
        measured[base.policy],
        saved.items,
        lambda left, n: bench.measured(f"base x {n}", bench.base(), left, n, "support"),
        levels,
        console.say,
    )
    escalation.save(found, folder)
    return found
