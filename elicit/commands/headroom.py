"""`elicit headroom experiment=headroom model=...`: which tasks leave a base something to elicit? Measured on dev only.

    gap = C1 - B1       C1: coverage of the base's own samples, lenient     B1: the best fixed prompt, strict

C1 is drawn at the prompt of `eval.c1_prompt`: B0's, or B1's and B0's (the gap is of B1's). No method is
run and no test item is read, so a task can be chosen here before anything is fitted on it. B1 is chosen and measured on
the same dev items, which makes it larger and the gap smaller. Each task of the preset is one row, written to
<root>/headroom/<checkpoint>.json as soon as it is measured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from elicit.commands.arguments import ALL, Command
from elicit.config.compose import Composer
from elicit.console import Console
from elicit.errors import ConfigError
from elicit.evaluate.measures.measure import Measures, measure
from elicit.evaluate.metrics.ceilings import ceiling_c1
from elicit.evaluate.metrics.rungs import choose_b1
from elicit.experiment.plan import plan
from elicit.files import write_json

if TYPE_CHECKING:
    from elicit.experiment.bench import Bench

SCHEMA = 2
HEADROOM = Command("headroom: settings only, such as experiment=headroom model=organism", {}, names=0, overrides=(ALL,))


@dataclass(frozen=True)
class Asked:
    """One way of asking: shares of all samples, and their length."""

    strict: float
    lenient: float
    declared: float
    """has an answer that the strict reading accepts as one"""
    ended: float
    """ended by itself or by a stop string, not by the token limit"""
    tokens: float


@dataclass(frozen=True)
class Covered:
    """C1 at one prompt."""

    support: Asked
    """the samples that C1 is read from"""
    c1: float | None
    """None: refused"""
    c1_kind: str
    k: int
    refused: str | None
    raw: float
    """share of items with a right sample among all, however it came about"""
    guessing: float | None

    def __str__(self) -> str:
        c1 = f"refused ({self.refused})" if self.c1 is None else f"{self.c1:.1%}"
        return f"{c1} at k={self.k} (right {self.raw:.1%})"


@dataclass(frozen=True)
class Headroom:
    """One task."""

    task: str
    items: int
    """dev items of the prompts"""
    prompts: dict[str, Asked]
    best: str
    c1_items: int
    c1_prompt: str
    """prompt of the C1 that the gap is of"""
    c1_at: dict[str, Covered]
    """by prompt: that one, and B0's"""

    @property
    def c1(self) -> float | None:
        return self.c1_at[self.c1_prompt].c1

    @property
    def gap(self) -> float | None:
        return None if self.c1 is None else self.c1 - self.prompts[self.best].strict


def headroom(words: list[str]) -> int:
    """Measure every task of the plan; prints a row each. Raises ConfigError without eval.support_n."""
    from elicit.experiment.bench import Bench
    from elicit.policy.checkpoint import load_checkpoint

    comparisons = plan([list(HEADROOM.read(words).overrides)], Composer())
    first = comparisons[0].settings
    if first.eval.support_n is None:
        raise ConfigError("eval.support_n=null: C1 needs samples of the base, such as eval.support_n=64")
    console, checkpoint = Console(first.output), load_checkpoint(first.model)
    path, rows = Path(first.root) / "headroom" / f"{checkpoint.id}.json", []
    for comparison in comparisons:
        row = measured(Bench(comparison, checkpoint, console))
        rows.append({**asdict(row), "c1": row.c1, "gap": row.gap})
        write_json(path, {"schema": SCHEMA, "checkpoint": checkpoint.info(), "eval": asdict(first.eval), "tasks": rows})
        console.say(line(row))
    console.say(f"written: {path}")
    console.result({"headroom": rows})
    return 0


def measured(bench: Bench) -> Headroom:
    """Prompts on `eval.prompt_limit` dev items, C1 on `eval.limit` of them."""
    on_dev = bench.prompts_on_dev(bench.base(), "base")
    best = choose_b1(on_dev)
    chosen = bench.c1_prompt(best)
    return Headroom(
        task=bench.task.name,
        items=len(bench.dev),
        prompts={name: asked(measures) for name, measures in on_dev.items()},
        best=best,
        c1_items=len(bench.task.items("dev", bench.plan.limit)),
        c1_prompt=chosen,
        c1_at={prompt: covered(bench, prompt) for prompt in dict.fromkeys((chosen, bench.plan.prompt))},
    )


def covered(bench: Bench, prompt: str) -> Covered:
    """C1 of the base at a fixed prompt, on dev."""
    items, policy = bench.task.items("dev", bench.plan.limit), bench.base().with_prompt(bench.prompts[prompt])
    folders = bench.measured(f"C1 at {prompt} on dev", policy, items, bench.plan.support_n or 2, "support")
    support = measure(*folders, items)
    c1 = ceiling_c1(support, items, bench.task.answer_class)
    covered_N = (support.read("lenient") == 1).any(1)
    return Covered(
        support=asked(support),
        c1=None if c1.values_N is None else float(c1.values_N.mean()),
        c1_kind=c1.kind,
        k=c1.k,
        refused=c1.refused,
        raw=float(covered_N.mean()),
        guessing=c1.guessing,
    )


def asked(m: Measures) -> Asked:
    """Shares over all samples of a prompt."""
    return Asked(
        strict=float((m.strict_N_J == 1).mean()),
        lenient=float((m.read("lenient") == 1).mean()),
        declared=float((m.classes_N_J >= 0).mean()),
        ended=float((m.finish_N_J != "length").mean()),
        tokens=float(np.nanmean(m.tokens_N_J)),
    )


def line(row: Headroom) -> str:
    """A task as text."""
    best, (b0, at_b0) = row.prompts[row.best], next(iter(row.prompts.items()))
    c1 = ", ".join(f"C1 at {prompt} {drawn}" for prompt, drawn in row.c1_at.items())
    gap = "–" if row.gap is None else f"{100 * row.gap:+.1f} points"
    return (
        f"{row.task}: {b0} {at_b0.strict:.1%}, best {row.best} {best.strict:.1%} "
        f"({best.tokens:.0f} tokens, {best.ended:.0%} ended), {c1}, gap {gap}"
    )
