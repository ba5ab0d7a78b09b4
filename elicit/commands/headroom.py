"""`elicit headroom experiment=headroom model=...`: which tasks leave a base something to elicit? Measured on dev only.

    gap = C1 - B1       C1: coverage of the bare prompt's own samples, lenient     B1: the best fixed prompt, strict

No method is run and no test item is read, so a task can be chosen here before anything is fitted on it. B1 is chosen
and measured on the same dev items, which makes it larger and the gap smaller. Each task of the preset is one row,
written to <root>/headroom/<checkpoint>.json as soon as it is measured.
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
class Headroom:
    """One task."""

    task: str
    items: int
    """dev items of the prompts"""
    prompts: dict[str, Asked]
    best: str
    c1_items: int
    support: Asked
    """the samples that C1 is read from"""
    c1: float | None
    """None: refused"""
    c1_kind: str
    k: int
    refused: str | None
    raw: float
    """coverage at k by right answers, however they came about"""
    guessing: float | None

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
        rows.append({**asdict(row), "gap": row.gap})
        write_json(path, {"schema": 1, "checkpoint": checkpoint.info(), "eval": asdict(first.eval), "tasks": rows})
        console.say(line(row))
    console.say(f"written: {path}")
    console.result({"headroom": rows})
    return 0


def measured(bench: Bench) -> Headroom:
    """Prompts on `eval.prompt_limit` dev items, C1 on `eval.limit` of them."""
    task, items = bench.task, bench.task.items("dev", bench.plan.limit)
    on_dev = bench.prompts_on_dev(bench.bare(), "base")
    folders = bench.measured("C1 on dev", bench.bare(), items, bench.plan.support_n or 2, "support")
    support = measure(*folders, items)
    c1 = ceiling_c1(support, items, task.answer_class)
    covered_N = (support.read("lenient") == 1).any(1)
    return Headroom(
        task=task.name,
        items=len(bench.dev),
        prompts={name: asked(measures) for name, measures in on_dev.items()},
        best=choose_b1(on_dev),
        c1_items=len(items),
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
    best = row.prompts[row.best]
    c1 = f"refused ({row.refused})" if row.c1 is None else f"{row.c1:.1%}"
    gap = "–" if row.gap is None else f"{100 * row.gap:+.1f} points"
    return (
        f"{row.task}: bare {row.prompts['bare'].strict:.1%}, best {row.best} {best.strict:.1%} "
        f"({best.tokens:.0f} tokens, {best.ended:.0%} ended), C1 {c1} at k={row.k} (right {row.raw:.1%}), gap {gap}"
    )
