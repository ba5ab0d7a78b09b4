"""What lenses need from the model: annotations, continuations, plain-text loss, samples on the shift axes.

Every policy of the comparison is rebuilt from its run folder and checked against its id, so that what is measured is
what was compared. All passes are resumable: what is in the store is not made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit.config import Settings
from elicit.console import Console
from elicit.errors import ConfigError, DataError, ElicitError, StageError
from elicit.evaluate.entry import Entry
from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.directions import Directions
from elicit.evaluate.lenses.forced import traced_samples
from elicit.evaluate.lenses.lens import ANNOTATIONS, PROBES, SHIFTS
from elicit.evaluate.lenses.transplant import Transplant
from elicit.evaluate.lenses.view import make_view
from elicit.evaluate.stages.annotate import annotate
from elicit.evaluate.stages.pairs import run_directions, run_transplant
from elicit.evaluate.stages.passes import run_sentences, run_texts
from elicit.evaluate.stages.probes import run_probes
from elicit.evaluate.store import SampleFolder
from elicit.files import read_text
from elicit.records import Item
from elicit.tasks.task import SHIFTS as AXES

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint
    from elicit.policy.policy import Policy


class Runner:
    """The model passes of one comparison. The checkpoint is loaded on first use."""

    def __init__(
        self, settings: Settings, entries: Sequence[Entry], items: Sequence[Item], console: Console, text: str | None
    ) -> None:
        self.settings, self.entries, self.items, self.console = settings, list(entries), list(items), console
        self.task, self.text = settings.task, text
        self._checkpoint: Checkpoint | None = None

    def run(self, names: Sequence[str]) -> None:
        """Everything that these lenses need."""
        needs = {LENSES[name].needs for name in names}
        able = [entry for entry in self.entries if self._able(entry)]
        shown = [entry for entry in able if entry.role != "ceiling"]
        if ANNOTATIONS in needs or "length" in names:
            bare = next(entry.prompt for entry in self.entries if entry.role == "base")
            for entry in [*shown, *(entry for entry in able if entry.name == "C1" and entry.prompt == bare)]:
                self.console.say(f"annotate: {entry.name} ({entry.prompt})")
                annotate(self.policy(entry), self.base(), self.items, entry.samples)
        if "side_effects" in names:
            for entry in shown:
                run_texts(self.policy(entry), entry.samples, self._texts())
        if not {"directions", "transplant"}.isdisjoint(names):
            self._pairs(shown, names)
        if PROBES in needs:
            self._probe(shown, [name for name in names if LENSES[name].needs == PROBES])
        if SHIFTS in needs:
            self._shifts(shown)

    def _able(self, entry: Entry) -> bool:
        """Whether an entry's policy can be rebuilt; prints why not. A base that can't be rebuilt is raised."""
        try:
            self.policy(entry)
        except ElicitError as fault:
            if entry.role == "base":
                raise
            self.console.say(f"{entry.name} is left out: {fault}")
            return False
        return True

    def _probe(self, shown: Sequence[Entry], names: Sequence[str]) -> None:
        view = make_view(shown, self.items, self.task)
        for side in view.sides:
            entry = next(entry for entry in shown if entry.samples == side.samples)
            policy = self.policy(entry)
            for name in names:
                lens: Any = LENSES[name]
                plan = lens.plan(view, side)
                self.console.say(f"{name}: {side.name}, {len(plan)} prefixes to continue")
                run_probes(policy, self.items, entry.samples, name, plan, self.task)
            if "importance" in names:
                looks = [(one.item, one.j, one.ends)
                         for one in traced_samples(view, side, 1, 1, LENSES["importance"].items)]  # type: ignore[attr-defined]  # fmt: skip
                try:
                    run_sentences(policy, self.items, entry.samples, looks)
                except ConfigError as fault:
                    self.console.say(f"importance: {side.name}: no attention pass ({fault})")

    def _pairs(self, shown: Sequence[Entry], names: Sequence[str]) -> None:
        """Effects on activations, and swapped tokens (not of prompts alone), of every policy against the base."""
        base = next(entry for entry in shown if entry.role == "base")
        directions, transplant = Directions(), Transplant()
        for entry in (entry for entry in shown if entry is not base):
            policy, folders = self.policy(entry), (entry.samples, base.samples)
            if directions.name in names:
                self.console.say(f"directions: {entry.name} ({entry.prompt})")
                run_directions(policy, self.base(), self.items[: directions.items], *folders)
            if transplant.name not in names or entry.role == "prompt":
                continue
            if policy.strategy is not None:
                self.console.say(
                    f"transplant: {entry.name} is left out: a decoding strategy has no next token of its own"
                )
                continue
            self.console.say(f"transplant: {entry.name} ({entry.prompt})")
            run_transplant(policy, self.base(), self.items[: transplant.items], *folders, self.task,
                           transplant.per_item, transplant.swaps, self.settings.eval.workers)  # fmt: skip

    def _shifts(self, shown: Sequence[Entry]) -> None:
        """The shift axes at the comparison's own n, graded with the rest."""
        from elicit.evaluate.stages.generate import generate
        from elicit.evaluate.stages.grade import grade
        from elicit.policy.decoding import REGIMES

        axes = [axis for axis in AXES if axis in self.task.splits()]
        known = {item.id: item for split in self.task.splits() for item in self.task.items(split)}
        for entry in shown:
            samples = SampleFolder(Path(entry.samples))
            about = samples.manifest
            for axis in axes:
                self.console.say(f"shift: {entry.name} ({entry.prompt}) on {axis}")
                items = self.task.items(axis, len(self.items))
                n = samples.samples_of([self.items[0].id]) or 1
                limit = about["settings"]["max_new_tokens"]
                generate(self.policy(entry), self.task, items, REGIMES[about["regime"]], n, samples.store, limit)
            grade(entry.samples, self.task, known, entry.grades, self.settings.eval.workers)

    def _texts(self) -> list[tuple[str, str]]:
        """Plain texts: the questions, and the paragraphs of the file `text`, if there is one."""
        found = [("questions", item.question) for item in self.items]
        if self.text is not None:
            path = Path(self.text)
            if not path.is_file():
                raise DataError(f"text={self.text}: no such file; plain text with a blank line between paragraphs")
            parts = [part.strip() for part in read_text(path).split("\n\n")]
            found += [(path.name, part) for part in dict.fromkeys(parts) if part]
        return found

    def base(self) -> Policy:
        """The base at the prompt of the comparison."""
        return self.policy(next(entry for entry in self.entries if entry.role == "base"))

    def policy(self, entry: Entry) -> Policy:
        """An entry's policy. Raises StageError if it can't be rebuilt as it was."""
        from elicit.experiment.run_folder import RunFolder
        from elicit.experiment.stack import stacked
        from elicit.policy.checkpoint import load_checkpoint
        from elicit.policy.policy import Policy, load_intervention

        if self._checkpoint is None:
            self._checkpoint = load_checkpoint(self.settings.model)
        checkpoint = self._checkpoint
        prompts = {**self.task.prompts, **self.task.keys}
        if entry.prompt not in prompts:
            raise StageError(f"{entry.name}: {self.task.name} no longer has a prompt {entry.prompt!r}; sample it again")
        if entry.run is None and entry.role not in ("base", "prompt", "ceiling"):
            raise StageError(f"{entry.name}: its entry names no run folder, so its intervention can't be loaded")
        policy = Policy(checkpoint, prompt=prompts[entry.prompt])
        if entry.run:
            run = RunFolder(Path(entry.run))
            policy = stacked(policy, run).with_intervention(load_intervention(run.intervention, checkpoint))
        if policy.id != entry.policy:
            raise StageError(
                f"{entry.name}: its run folder now gives policy {policy.id}, {entry.policy} was sampled; "
                "the checkpoint or its prompts changed, run the experiment again"
            )
        return policy
