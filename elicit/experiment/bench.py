"""Measuring the policies of one comparison: everything is sampled into one store, and graded next to it.

    <root>/store/samples/<policy>/<regime>-<task>/   shared by all runs: the base is sampled once
    <root>/store/grades/<policy>/<regime>-<task>/

The bench owns gold: it reads `test` for the evaluation and `dev` for the choice of rung B1. It fits
nothing; it returns `Entry` rows for `compare`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from elicit import ranks
from elicit.config import EvalPlan
from elicit.console import Console
from elicit.errors import ConfigError, near
from elicit.evaluate.comparison.inputs import Inputs
from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.measure import Measures, measure
from elicit.evaluate.metrics.rungs import choose_b1
from elicit.evaluate.metrics.table import CompareConfig
from elicit.evaluate.stages.grade import grade
from elicit.experiment.plan import ComparisonPlan
from elicit.experiment.so_far import FILE as SO_FAR
from elicit.files import content_hash
from elicit.ledger import data_class, prompt_rows, summary
from elicit.records import BARE, Item
from elicit.tasks.splits import filled

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint
    from elicit.policy.policy import Policy
    from elicit.tasks.task import PromptFormat, Task


@dataclass
class Bench:
    """One checkpoint, one task, one evaluation plan."""

    comparison: ComparisonPlan
    checkpoint: Checkpoint
    console: Console
    refused: dict[str, str] = field(default_factory=dict)
    """why a ceiling that was asked for was not measured, by its name"""
    measured_rungs: list[Entry] = field(default_factory=list)
    """of the base, in the order in which they were measured: `elicit watch` reads them while the others are made"""
    b1: str | None = None
    """name of B1's prompt, as soon as it is chosen"""

    @property
    def task(self) -> Task:
        return self.comparison.settings.task

    @property
    def plan(self) -> EvalPlan:
        return self.comparison.settings.eval

    @property
    def store(self) -> Path:
        return Path(self.comparison.settings.root) / "store"

    @functools.cached_property
    def items(self) -> list[Item]:
        """The test items of the comparison: a seeded subset, the same for all policies."""
        return filled(self.task.items("test", self.plan.limit), "test", self.task.name, "an evaluation")

    @functools.cached_property
    def dev(self) -> list[Item]:
        """The dev items that B1's prompt is chosen on."""
        return self.task.items("dev", self.plan.prompt_limit)

    @functools.cached_property
    def prompts(self) -> dict[str, PromptFormat]:
        """The fixed prompts of rung B1, that of B0 first. Raises ConfigError for one that the task lacks."""
        chosen = self.plan.prompts
        if unknown := sorted(set(chosen or ()) - set(self.task.prompts)):
            raise ConfigError(f"eval.prompts={unknown[0]!r}: {near(unknown[0], self.task.prompts)}")
        names = dict.fromkeys([self.plan.prompt, *(self.task.prompts if chosen is None else chosen)])
        prompts = {name: self.task.prompts[name] for name in names}
        if not self.checkpoint.tokenizer.chat_template:
            for name in [name for name, prompt in prompts.items() if prompt.chat]:
                if chosen is not None:
                    raise ConfigError(
                        f"eval.prompts={name!r}: the tokenizer of {self.checkpoint.name} has no chat template"
                    )
                self.console.say_once(
                    f"prompt {name} is refused: the tokenizer of {self.checkpoint.name} has no chat template"
                )
                del prompts[name]
        return prompts

    def refuse(self, name: str, reason: str) -> None:
        """Record and print why a ceiling is not measured."""
        self.refused[name] = reason
        self.console.say(f"{name} is refused: {reason}")

    def base(self) -> Policy:
        """The base as methods and controls are compared with it: B0, at the prompt `eval.prompt`."""
        from elicit.policy.policy import Policy

        return Policy(self.checkpoint, prompt=self.task.prompts[self.plan.prompt])

    def fitted_on(self, prompt: str) -> Policy:
        """The base as a method is fitted on it. Raises ConfigError if the task has no such prompt, or it is a chat."""
        if prompt not in self.task.prompts:
            raise ConfigError(f"fit.prompt={prompt!r}: {near(prompt, self.task.prompts)}")
        if self.task.prompts[prompt].chat:
            raise ConfigError(f"fit.prompt={prompt!r}: rows of a fit are plain text; a chat is a prompt to measure at")
        return self.base().with_prompt(self.task.prompts[prompt])

    def measured(
        self, what: str, policy: Policy, items: list[Item], n: int, regime: str | None = None
    ) -> tuple[Path, Path]:
        """Sample and grade a policy; returns (samples, grades). Rows that exist are not made again."""
        from elicit.evaluate.stages.generate import generate
        from elicit.policy.decoding import REGIMES

        chosen = REGIMES[regime or self.plan.regime]
        limit = self.plan.max_new_tokens
        self._warn_of_positions(policy, items)
        with self.console.progress(what) as progress:
            samples = generate(policy, self.task, items, chosen, n, self.store, limit, self.console.say, progress)
        return samples, self.graded(samples)

    def _warn_of_positions(self, policy: Policy, items: list[Item]) -> None:
        """Print once that texts are longer than the model was made for: computed positions go on without an error."""
        from elicit.policy.layers import text_config

        made_for = int(getattr(text_config(self.checkpoint.model), "max_position_embeddings", None) or 0)
        limit = self.plan.max_new_tokens or self.task.stop.max_new_tokens
        longest = max((len(policy.prompt_ids(item.question)) for item in items), default=0) + limit
        if 0 < made_for < longest:
            self.console.say_once(
                f"the longest prompt and max_new_tokens={limit} make {longest:,} tokens, {self.checkpoint.name} was "
                f"made for {made_for:,} positions: do not trust what it writes beyond them; choose shorter prompts or "
                "a lower limit"
            )

    def graded(self, samples: Path) -> Path:
        """The grades of a samples folder, brought up to date."""
        out = self.store / "grades" / samples.parent.name / samples.name
        ranks.by_main(lambda: grade(samples, self.task, self.known, out, self.plan.workers), "grades")
        return out

    @functools.cached_property
    def known(self) -> dict[str, Item]:
        """Items of everything in the store that may need a grade: other comparisons share it, with other limits."""
        return {item.id: item for item in (*self.task.items("test"), *self.task.items("dev"))}

    def prompts_on_dev(self, policy: Policy, what: str) -> dict[str, Measures]:
        """A policy under every fixed prompt, measured on dev."""
        on_dev: dict[str, Measures] = {}
        filled(self.dev, "dev", self.task.name, "the choice of a prompt (eval.prompts)")
        for name, prompt in self.prompts.items():
            prompted = policy.with_prompt(prompt)
            folders = self.measured(f"{what}, prompt {name} on dev", prompted, self.dev, self.plan.prompt_n)
            on_dev[name] = measure(*folders, self.dev)
        return on_dev

    def best_prompt(self, policy: Policy, what: str) -> str:
        """The fixed prompt under which a policy has the best strict dev accuracy: B1's of the base, a method's own."""
        return choose_b1(self.prompts_on_dev(policy, what))

    @property
    def choice_bits(self) -> int:
        """Label bits that choosing one of the fixed prompts takes."""
        return len(self.prompts) * len(self.dev) * self.plan.prompt_n

    def base_entries(self) -> tuple[list[Entry], str | None]:
        """B0, the bare prompt if B0 has another, B1 and the ceilings; and the name of B1's prompt."""
        n = self.plan.base_n or self.plan.n
        entries = [self.entry("base", "base", self.plan.prompt, self.base(), n)]
        self.b1 = best = self.best_prompt(self.base(), "base") if len(self.prompts) > 1 else None
        for name in dict.fromkeys((BARE, best or BARE)):
            if name != self.plan.prompt:
                policy, bits = self.base().with_prompt(self.task.prompts[name]), self.choice_bits if name == best else 0
                entries.append(self.entry("prompt", name, name, policy, n, select_bits=bits))
        return entries + self._ceilings(best), best

    def c1_prompt(self, best: str | None) -> str:
        """The prompt that C1 is drawn at (`eval.c1_prompt`), given B1's; None: B1 was not measured."""
        return best if best is not None and self.plan.c1_prompt == "best" else self.plan.prompt

    def _ceilings(self, best: str | None) -> list[Entry]:
        entries = []
        if "C4" in self.plan.ceilings and (forced := self.task.keys.get("forced")):
            entries.append(self.entry("ceiling", "C4", "forced", self.base().with_prompt(forced), self.plan.n))
        if "C1" in self.plan.ceilings and self.plan.support_n:
            prompt = self.c1_prompt(best)
            policy, bits = self.base(), 0
            if prompt != self.plan.prompt:  # the same policy and the same choice as B1
                policy, bits = policy.with_prompt(self.prompts[prompt]), self.choice_bits
            entries.append(self.entry("ceiling", "C1", prompt, policy, self.plan.support_n, "support", bits))
        return entries

    def entry(
        self,
        role: str,
        name: str,
        prompt: str,
        policy: Policy,
        n: int,
        regime: str | None = None,
        select_bits: int = 0,
    ) -> Entry:
        """Measure a policy of the base (rungs, ceilings) on the test items."""
        samples, grades = self.measured(name, policy, self.items, n, regime)
        rows = prompt_rows(name, policy.prompt)
        entry = Entry(
            role=role,
            name=name,
            policy=policy.id,
            samples=samples,
            grades=grades,
            prompt=prompt,
            n=n,
            data_class=data_class(rows),
            ledger={**summary(rows), "select_bits": select_bits},
        )
        entry = entry if role == "ceiling" else self.annotated(entry, policy)
        self.measured_rungs.append(entry)
        ids, info = [item.id for item in self.items], self.checkpoint.info()
        inputs = Inputs(self.measured_rungs, ids, self.compare_config(self.b1), info)
        ranks.by_main(lambda: inputs.write(self.comparison.folder, SO_FAR), "the rungs so far")
        return entry

    def compare_config(self, best: str | None) -> CompareConfig:
        """Settings of the comparison, given the name of B1's prompt."""
        plan, seed = self.plan, self.comparison.settings.seed
        return CompareConfig(self.comparison.group, best, plan.n, plan.bootstrap_draws, seed, plan.limit, self.refused)

    def annotated(self, entry: Entry, policy: Policy) -> Entry:
        """The entry with KL, likelihood under the base and support, if the plan asks for them (`eval.annotate`).

        All are of a policy's own draws at T=1, and the comparison uses another regime: so some items are sampled at
        T=1, `annotate_n` times each, scored token by token and graded. A strategy draws by its own rule in any regime,
        so its existing samples are annotated.
        """
        from elicit.evaluate.stages.annotate import annotate
        from elicit.evaluate.stages.generate import generate
        from elicit.policy.decoding import REGIMES

        plan, at_one = self.plan, None
        if not plan.annotate:
            return entry
        items = limited(self.items, plan.annotate_limit)
        with self.console.progress(f"{entry.name}: KL and likelihood") as progress:
            if policy.strategy is None and plan.regime != "support":
                regime, limit = REGIMES["support"], plan.max_new_tokens
                at_one = generate(policy, self.task, items, regime, plan.annotate_n, self.store, limit)
                self.graded(at_one)  # its right answers at T=1 are its support
            scored, n = at_one or entry.samples, plan.annotate_n
            ranks.by_main(
                lambda: annotate(policy, self.base(), items, scored, progress=progress, n=n), f"KL of {entry.name}"
            )
        return replace(entry, at_one=at_one)


def limited(items: Sequence[Item], limit: int) -> list[Item]:
    """A random subset of the items, the same for all policies, in their order."""
    chosen = {item.id for item in sorted(items, key=lambda item: content_hash(["annotate", item.id]))[:limit]}
    return [item for item in items if item.id in chosen]
