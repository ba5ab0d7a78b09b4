"""compare: measures of base, prompts, methods, placebos, rivals and ceilings -> comparison.json.

    <folder>/inputs.json         the entries and settings: enough to compute everything again, offline
    <folder>/per_item.parquet    c, n, tokens of every policy and item
    <folder>/items.json          question and gold of every item, for readers without the task
    <folder>/comparison.json     the numbers (`elicit.results.Comparison`), written last

Everything is computed jointly on the items that all policies have, with one set of resampled clusters. What was not
sampled and graded alike is refused (`entry.check`). Knows no metric in particular (`metrics.METRICS`), no model; no
torch.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elicit.errors import DataError
from elicit.evaluate import metrics
from elicit.evaluate.comparison import additions, escalation, prereg
from elicit.evaluate.comparison.inputs import Inputs
from elicit.evaluate.comparison.lines import lines_of
from elicit.evaluate.comparison.pairs import paired
from elicit.evaluate.comparison.traces import side_by_side
from elicit.evaluate.comparison.warnings import collect
from elicit.evaluate.entry import Entry, check
from elicit.evaluate.measures.measure import Measures, measure
from elicit.evaluate.metrics.accuracy import accuracy, loosest
from elicit.evaluate.metrics.ceilings import C1, ceiling_c1, ceilings
from elicit.evaluate.metrics.coverage import powers
from elicit.evaluate.metrics.metric import Metric, columns_of
from elicit.evaluate.metrics.p_values import family
from elicit.evaluate.metrics.rungs import B2
from elicit.evaluate.metrics.table import Arm, CompareConfig, Table
from elicit.evaluate.statistics.joint import Joint
from elicit.evaluate.statistics.resamples import Resamples
from elicit.evaluate.statistics.shipped import load as load_calibration
from elicit.evaluate.store import SampleFolder
from elicit.files import write_json, write_rows
from elicit.records import Item
from elicit.results import Comparison, Line, Rungs, Setup, Solves, write_comparison
from elicit.tasks.task import Task

FITTED_ROLES = ("method", "placebo", "rival")
OWN_BEST = "own best"
"""the prompt of an arm that holds each seed of a method at the dev-best prompt of that seed"""


def compare(
    entries: Sequence[Entry],
    items: Sequence[Item],
    folder: Path,
    task: Task,
    config: CompareConfig,
    checkpoint: Mapping[str, Any] | None = None,
    commands: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compute, write and return the comparison. `items` are the test items, with gold.

    Raises StageError on unfinished or unlike folders, LedgerError on used items, ConfigError without a base.
    """
    # 1) refuse what was not sampled and graded alike
    folder, checkpoint = Path(folder), dict(checkpoint or {})
    shared = check(entries, items)
    # 2) write down what is needed to compute this again
    ids = [item.id for item in items]
    Inputs(entries, ids, config, checkpoint, list(commands), dict(provenance or {})).write(folder)
    # 3) measure all entries on their common items, and bootstrap the columns of all metrics at once
    table = tabulate(entries, items, task, config, checkpoint)
    table.settings = shared
    # 4) one line per arm, filled by the metrics; an earlier escalation adds to it
    lines = lines_of(table)
    escalation.attach(lines, folder)
    # 5) the comparison around the lines, and its files
    comparison = _assembled(table, lines, folder, commands, provenance or {})
    write_rows(folder / "per_item.parquet", _per_item(table))
    asked = [{"id": item.id, "question": item.question, "gold": item.gold} for item in table.items]
    write_json(folder / "items.json", asked)
    write_comparison(comparison, folder / "comparison.json")
    return comparison


def tabulate(
    entries: Sequence[Entry], items: Sequence[Item], task: Task, config: CompareConfig, checkpoint: Mapping[str, Any]
) -> Table:
    """Measure all entries on their common items and bootstrap all columns at once."""
    measured = []
    for entry in entries:
        n = config.n if entry.n is None or config.n is None else entry.n
        if entry.role == "ceiling":  # in a regime of its own, with as many samples as it has
            n = None
        elif n is not None and SampleFolder(entry.samples).largest_n == 1:  # a deterministic policy
            n = 1
        measured.append(measure(entry.samples, entry.grades, items, n))
    return tabulate_measures(entries, measured, items, task, config, checkpoint)


def tabulate_measures(
    entries: Sequence[Entry],
    measured: Sequence[Measures],
    items: Sequence[Item],
    task: Task,
    config: CompareConfig,
    checkpoint: Mapping[str, Any],
    chosen: Sequence[Metric] | None = None,
) -> Table:
    """`tabulate` of given measures, for these metrics (None: all): a simulation has no folders."""
    # 1) the items on which every policy has a graded sample
    known_N = np.all([np.isfinite(accuracy(m, "lenient")) for m in measured], axis=0)
    if not known_N.any():
        raise DataError(
            "no item has a graded sample of every policy: grade again (elicit score), or compare fewer policies"
        )
    index = np.flatnonzero(known_N).tolist()
    kept = [items[i] for i in index]
    # 2) arms: the seeds of one configuration at one prompt
    arms = _arms(entries, [m.at(index) for m in measured])
    answer_class = functools.cache(task.answer_class)
    table = Table(
        arms=arms,
        items=kept,
        joint=Joint(Resamples([item.cluster for item in kept], config.draws, config.seed)),
        base=next(arm for arm in arms if arm.first.role == "base"),
        b1=_b1(arms, config.b1),
        c1=None,
        config=config,
        checkpoint=checkpoint,
        answer_class=answer_class,
        dropped=len(items) - len(kept),
    )
    table.c1 = _c1(table)
    # 3) the columns of all metrics under the same resampled clusters
    for metric in metrics.METRICS if chosen is None else chosen:
        metric.add(table)
    table.joint.solve()
    return table


def _arms(entries: Sequence[Entry], measured: Sequence[Measures]) -> list[Arm]:
    """Seeds of one arm share a line; so do their own-best-prompt runs, even if the best prompts differ."""
    bare = next(entry.prompt for entry in entries if entry.role == "base")
    arms: dict[tuple[str, str, str | None, str], Arm] = {}
    for entry, m in sorted(zip(entries, measured, strict=True), key=lambda pair: pair[0].seed or 0):
        arm = arms.setdefault(_arm_key(entry, bare), Arm("", [], [], []))
        arm.entries.append(entry)
        arm.measures.append(m)
    for (role, name, configuration, prompt), arm in arms.items():
        if prompt == OWN_BEST and (plain := arms.get((role, name, configuration, bare))) is not None:
            for entry, m in zip(plain.entries, plain.measures, strict=True):
                if entry.own_prompt == bare:  # a seed whose best prompt is the bare one
                    arm.entries.append(entry)
                    arm.measures.append(m)
    ordered = [arm for entry in entries if entry is (arm := arms[_arm_key(entry, bare)]).first]
    for arm in ordered:
        arm.key = f"{arm.first.role} {arm.first.name} {arm.first.policy}"
        arm.ks = powers(min(int(m.total_N.min()) for m in arm.measures))
    return ordered


def _arm_key(entry: Entry, bare: str) -> tuple[str, str, str | None, str]:
    """What the seeds of one arm have in common."""
    prompt = OWN_BEST if entry.role == "method" and entry.prompt != bare else entry.prompt
    return (entry.role, entry.name, entry.arm, prompt)


def _b1(arms: Sequence[Arm], prompt: str | None) -> Arm | None:
    if prompt is None:
        return None
    asked = [arm for arm in arms if arm.first.role in ("base", "prompt")]
    for arm in asked:
        if arm.first.prompt == prompt and not arm.first.name.startswith(B2):
            return arm
    names = ", ".join(arm.first.prompt for arm in asked)
    raise DataError(f"b1={prompt!r} was not sampled on these items (there are: {names}); sample it, or set b1=null")


def _c1(table: Table) -> C1 | None:
    named = {arm.first.name: arm.measures[0] for arm in table.arms if arm.first.role == "ceiling"}
    if "C1" not in named:
        return None
    reading = loosest(m for arm in table.arms for m in arm.measures)
    return ceiling_c1(named["C1"], table.items, table.answer_class, table.direct, reading)


def _assembled(
    table: Table, lines: list[Line], folder: Path, commands: Sequence[str], provenance: Mapping[str, Any]
) -> Comparison:
    base, config, added = table.base.measures[0], table.config, additions.additions(folder)
    compared = [arm for arm in table.arms if arm.first.role != "ceiling"]
    return Comparison(
        group=config.group,
        task=table.items[0].task,
        lines=lines,
        columns=columns_of(metrics.METRICS),
        setup=Setup(
            n=config.n or base.n,
            n_items=len(table.items),
            clusters=table.joint.resamples.clusters,
            regime=base.regime,
            max_new_tokens=table.settings.get("max_new_tokens"),
            limit=config.limit,
            bootstrap_draws=config.draws,
            seed=config.seed,
            prompts=tuple(sorted({arm.first.prompt for arm in compared if arm.first.role in ("base", "prompt")})),
            engine=table.settings.get("engine"),
            dtype=table.settings.get("dtype"),
            attention=table.settings.get("attention"),
        ),
        rungs=Rungs(
            b0=table.base.first.policy,
            b1=table.b1.first.policy if table.b1 else None,
            b1_prompt=config.b1,
            b2=tuple(arm.first.policy for arm in table.arms if arm.first.name.startswith(B2)),
        ),
        created=time.time(),
        frozen="after" if added else prereg.status(folder, _first_sample(table)),
        checkpoint=dict(table.checkpoint),
        ceilings=ceilings(table),
        c1=table.c1.record if table.c1 else None,
        tests=family(lines),
        pairs=paired(table),
        solves=Solves(
            items=tuple(item.id for item in table.items),
            by_policy={
                arm.first.policy: tuple(round(float(value), 4) for value in table.joint.values_N(arm.key))
                for arm in compared
            },
        ),
        traces=side_by_side(table.base, [arm for arm in table.arms if arm.first.role == "method"], table.items),
        warnings=(*(one.sentence for one in added), *collect(table, lines)),
        calibration=load_calibration(),
        commands=tuple(commands),
        provenance=dict(provenance),
    )


def _first_sample(table: Table) -> float | None:
    """When the first test sample of a method or control was begun (epoch seconds); None if a time is not known.

    Rungs and ceilings of the base do not count if there is any method: all plans of a root share them.
    """
    tests = {item.id for item in table.items}
    begun: list[float] = []
    entries = [entry for arm in table.arms for entry in arm.entries]
    for entry in [entry for entry in entries if entry.role in FITTED_ROLES] or entries:
        own = [shard.begun for shard in SampleFolder(entry.samples).timings if tests & set(shard.items)]
        if not own:
            return None
        begun += own
    return min(begun)


def _per_item(table: Table) -> list[dict[str, Any]]:
    bare = table.base.first.prompt
    return [
        {
            "policy": entry.policy,
            "role": entry.role,
            "name": entry.name,
            "prompt": entry.prompt,
            "seed": entry.seed,
            "item": item.id,
            "cluster": item.cluster,
            "right": int(m.right_N[i]),
            "n": int(m.total_N[i]),
            "tokens": float(np.nanmean(m.tokens_N_J[i])) if np.isfinite(m.tokens_N_J[i]).any() else None,
        }
        for arm in table.arms
        for entry, m in zip(arm.entries, arm.measures, strict=True)
        if _arm_key(entry, bare) == _arm_key(arm.first, bare)  # a bare seed in an own-best arm has its own arm too
        for i, item in enumerate(table.items)
    ]
