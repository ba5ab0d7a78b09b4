"""compare: measures of base, prompts, methods, placebos, rivals and ceilings -> comparison.json.

    <folder>/inputs.json         the entries and settings: enough to compute everything again, offline
    <folder>/comparison.json     the numbers, written last
    <folder>/per_item.parquet    c, n, tokens of every policy and item
    <folder>/items.json          question and gold of every item, for readers without the task

Everything is computed jointly on the items that all policies have, with one set of resampled clusters. It
refuses to set side by side what was not sampled and graded alike (`entry.check`). Knows no model; no torch.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.errors import DataError
from elicit.evaluate.comparison import escalation, prereg
from elicit.evaluate.comparison import lines as rows
from elicit.evaluate.comparison.pairs import paired
from elicit.evaluate.comparison.traces import side_by_side
from elicit.evaluate.comparison.warnings import collect
from elicit.evaluate.entry import Entry, check
from elicit.evaluate.measures.measure import Measures, measure, timings
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.evaluate.metrics.coverage import coverage, powers
from elicit.evaluate.metrics.majority import majorities, majority
from elicit.evaluate.metrics.matched import best_of_k, matched_k
from elicit.evaluate.metrics.net import coverage_net
from elicit.evaluate.metrics.pass_hat_k import pass_hat_k
from elicit.evaluate.metrics.rungs import B2, Ceiling, ceiling_c1, describe
from elicit.evaluate.metrics.table import CompareConfig, Row, Table
from elicit.evaluate.statistics.joint import Joint
from elicit.evaluate.statistics.resamples import Resamples
from elicit.evaluate.statistics.shipped import load as load_calibration
from elicit.files import write_json, write_rows
from elicit.records import Item
from elicit.tasks.task import Task

SCHEMA = 1
OWN = "own best"
"""stands for the prompt of a method's row at the dev-best prompt of each seed"""


def compare(
    entries: Sequence[Entry],
    items: Sequence[Item],
    folder: Path,
    task: Task,
    config: CompareConfig,
    checkpoint: Mapping[str, Any] | None = None,
    commands: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Compute, write and return the comparison. `items` are the test items, with gold.

    Raises StageError on unfinished or unlike folders, LedgerError on used items, ConfigError without a base.
    """
    folder, checkpoint = Path(folder), dict(checkpoint or {})
    shared = check(entries, items)
    write_json(folder / "inputs.json", _inputs(entries, items, config, checkpoint, commands, provenance))
    table = tabulate(entries, items, task, config, checkpoint)
    table.settings = shared
    out = _comparison(table, folder, commands, provenance or {})
    write_rows(folder / "per_item.parquet", _per_item(table))
    asked = [{"id": item.id, "question": item.question, "gold": item.gold} for item in table.items]
    write_json(folder / "items.json", asked)
    write_json(folder / "comparison.json", out)
    return out


def tabulate(
    entries: Sequence[Entry], items: Sequence[Item], task: Task, config: CompareConfig, checkpoint: Mapping[str, Any]
) -> Table:
    """Measure all entries on their common items and bootstrap all columns at once."""
    measured = [measure(entry.samples, entry.grades, items, _wanted(entry, config)) for entry in entries]
    return tabulate_measures(entries, measured, items, task, config, checkpoint)


def tabulate_measures(
    entries: Sequence[Entry],
    measured: Sequence[Measures],
    items: Sequence[Item],
    task: Task,
    config: CompareConfig,
    checkpoint: Mapping[str, Any],
) -> Table:
    """`tabulate` of measures at hand: what a simulation has instead of folders."""
    known_N = np.all([np.isfinite(accuracy(m, lenient=True)) for m in measured], axis=0)
    if not known_N.any():
        raise DataError(
            "no item has a graded sample of every policy: grade again (elicit score), or compare fewer policies"
        )
    index = np.flatnonzero(known_N).tolist()
    kept = [items[i] for i in index]
    found = _rows(entries, [m.at(index) for m in measured])
    joint = Joint(Resamples([item.cluster for item in kept], config.draws, config.seed))
    table = Table(
        rows=found,
        items=kept,
        joint=joint,
        base=next(row for row in found if row.first.role == "base"),
        b1=_find_b1(found, config.b1),
        c1=_c1(found, kept, task),
        c4=next((row for row in found if row.first.role == "ceiling" and row.first.name.startswith("C4")), None),
        config=config,
        checkpoint=checkpoint,
        dropped=len(items) - len(kept),
    )
    _fill(table)
    _fill_net(table, task)
    joint.solve()
    return table


def _wanted(entry: Entry, config: CompareConfig) -> int | None:
    """n of the configuration, but for policies that declare fewer (n = 1) and for ceilings in another regime."""
    from elicit.files import read_json

    sets = read_json(Path(entry.samples) / "manifest.json").get("sets", {})
    asked = max((entry["n"] for entry in sets.values()), default=None)
    if config.n is None or entry.role == "ceiling":
        return None
    return 1 if asked == 1 else entry.n or config.n


def _rows(entries: Sequence[Entry], measured: Sequence[Measures]) -> list[Row]:
    """The seeds of an arm are one row; at its own best prompt they are one too, whichever prompt is best for each."""
    bare = next(entry.prompt for entry in entries if entry.role == "base")
    found: dict[Any, Row] = {}
    for entry, m in sorted(zip(entries, measured, strict=True), key=lambda pair: pair[0].seed or 0):
        row = found.setdefault(_arm(entry, bare), Row("", [], [], []))
        row.entries.append(entry)
        row.measures.append(m)
    for (*arm, asked), row in found.items():
        if asked == OWN and (plain := found.get((*arm, bare))) is not None:
            at_best = [pair for pair in zip(plain.entries, plain.measures, strict=True) if pair[0].own_prompt == bare]
            row.entries += [entry for entry, _ in at_best]
            row.measures += [m for _, m in at_best]
    ordered = [found[_arm(entry, bare)] for entry in entries if entry is found[_arm(entry, bare)].first]
    for row in ordered:
        row.key = f"{row.first.role} {row.first.name} {row.first.policy}"
        row.ks = powers(min(int(m.total_N.min()) for m in row.measures))
    return ordered


def _arm(entry: Entry, bare: str) -> tuple[str, str, str | None, str]:
    """What the seeds of one row have in common."""
    return (entry.role, entry.name, entry.arm, OWN if entry.role == "method" and entry.prompt != bare else entry.prompt)


def _find_b1(found: Sequence[Row], prompt: str | None) -> Row | None:
    if prompt is None:
        return None
    for row in found:
        if row.first.role in ("base", "prompt") and row.first.prompt == prompt and not row.first.name.startswith(B2):
            return row
    names = ", ".join(row.first.prompt for row in found if row.first.role in ("base", "prompt"))
    raise DataError(f"b1={prompt!r} was not sampled on these items (there are: {names}); sample it, or set b1=null")


def _c1(found: Sequence[Row], items: Sequence[Item], task: Task) -> Ceiling | None:
    named = {row.first.name: row.measures[0] for row in found if row.first.role == "ceiling"}
    if "C1" not in named:
        return None
    return ceiling_c1(named["C1"], items, task.answer_class, named.get("C1/direct"))


def _fill(table: Table) -> None:
    """Add every column that any number needs but cov_net's."""
    joint = table.joint
    for row in table.rows:
        joint.add(row.key, "acc", [accuracy(m) for m in row.measures])
        joint.add(row.key, "lenient", [accuracy(m, lenient=True) for m in row.measures])
        elected = [majorities(m, row.ks) for m in row.measures]
        for k in row.ks:
            joint.add(row.key, f"cov@{k}", [coverage(m.right_N, m.total_N, k) for m in row.measures])
            joint.add(row.key, f"pass_hat@{k}", [pass_hat_k(m.right_N, m.total_N, k) for m in row.measures])
            votes = [votes_of[k] for votes_of in elected]
            joint.add(row.key, f"maj@{k}", [vote.accuracy_N for vote in votes])
            row.tied.append(float(np.mean([vote.tied_N for vote in votes])))
            row.silent.append(float(np.mean([vote.silent_N for vote in votes])))
        if row.first.role in ("method", "placebo", "rival"):
            tokens = float(np.mean([np.nanmean(m.tokens_N_J) for m in row.measures]))
            for rival in table.matched_bases:
                row.match[rival.measures[0].regime] = matched_k(tokens, rival.measures[0])
    for rival in table.matched_bases:
        of_base = rival.measures[0]
        for k in sorted({row.match[of_base.regime].k for row in table.rows if row.match}):
            joint.add(rival.key, f"vote@{k}", [majority(of_base, k).accuracy_N])
            if (best_N := best_of_k(of_base, k)) is not None:
                joint.add(rival.key, f"best@{k}", [best_N])
    if table.c1 is not None and table.c1.values_N is not None:
        joint.add("C1", "acc", [table.c1.values_N])


def _fill_net(table: Table, task: Task) -> None:
    """cov_net@k of every row: coverage net of the larger guessing null."""
    answer_class = functools.cache(task.answer_class)
    direct = next((row.measures[0] for row in table.rows if row.first.name == "C1/direct"), None)
    for row in table.rows:
        for k in row.ks:
            net = [coverage_net(m, table.items, answer_class, k, direct) for m in row.measures]
            table.joint.add(row.key, f"cov_net@{k}", [values_N for values_N, _ in net])
            row.guessing.append(float(np.mean([null_N for _, null_N in net])))


def _comparison(table: Table, folder: Path, commands: Sequence[str], provenance: Mapping[str, Any]) -> dict[str, Any]:
    lines = rows.lines(table)
    escalation.attach(lines, folder)
    methods = [row for row in table.rows if row.first.role == "method"]
    sides = [(row.first.policy, row.measures[0], row.first.samples, row.first.grades) for row in [table.base, *methods]]
    compared = [row for row in table.rows if row.first.role != "ceiling"]
    return {
        "schema": SCHEMA,
        "group": table.config.group,
        "task": table.items[0].task,
        "created": time.time(),
        "frozen": prereg.status(folder, _first_sample(table)),
        "checkpoint": dict(table.checkpoint),
        "settings": _settings(table),
        "rungs": {
            "B0": table.base.first.policy,
            "B1": table.b1.first.policy if table.b1 else None,
            "B1_prompt": table.config.b1,
            "B2": [row.first.policy for row in table.rows if row.first.name.startswith(B2)],
        },
        "ceilings": rows.ceilings(table),
        "c1": describe(table.c1) if table.c1 else None,
        "policies": lines,
        "family": rows.family(lines),
        "pairs": paired(table),
        "solves": {
            "items": [item.id for item in table.items],
            "by_policy": {row.first.policy: _rounded(table.joint.values_N(row.key)) for row in compared},
        },
        "traces": side_by_side(sides[0], sides[1:], table.items),
        "warnings": collect(table, lines),
        "calibration": load_calibration(),
        "commands": list(commands),
        "provenance": dict(provenance),
    }


def _settings(table: Table) -> dict[str, Any]:
    base = table.base.measures[0]
    return {
        "n": table.config.n or base.n,
        "n_items": len(table.items),
        "clusters": table.joint.resamples.clusters,
        "regime": base.regime,
        "max_new_tokens": table.settings.get("max_new_tokens"),
        "limit": table.config.limit,
        "bootstrap_draws": table.config.draws,
        "seed": table.config.seed,
        "prompts": sorted({row.first.prompt for row in table.rows if row.first.role in ("base", "prompt")}),
        **{name: table.settings.get(name) for name in ("engine", "dtype", "attention")},
    }


def _first_sample(table: Table) -> float | None:
    """When the first test sample of this comparison was begun (epoch seconds); None where a time is not known."""
    tests = {item.id for item in table.items}
    begun = []
    for row in table.rows:
        for entry in row.entries:
            own = [record["begun"] for record in timings(entry.samples) if tests & set(record["items"])]
            if not own:
                return None
            begun += own
    return min(begun)


def _rounded(values_N: NDArray) -> list[float]:
    return [round(float(value), 4) for value in values_N]


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
        for row in table.rows
        for entry, m in zip(row.entries, row.measures, strict=True)
        if _arm(entry, bare) == _arm(row.first, bare)  # a bare one in the row of best prompts stands in its own row too
        for i, item in enumerate(table.items)
    ]


def _inputs(
    entries: Sequence[Entry],
    items: Sequence[Item],
    config: CompareConfig,
    checkpoint: Mapping[str, Any],
    commands: Sequence[str],
    provenance: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "entries": [entry.plain() for entry in entries],
        "items": [item.id for item in items],
        "config": config,
        "checkpoint": dict(checkpoint),
        "commands": list(commands),
        "provenance": dict(provenance or {}),
    }
