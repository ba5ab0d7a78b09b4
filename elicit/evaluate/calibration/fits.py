"""Fits on the model organisms, one by one: what they recover where something is planted, and where nothing is.

A comparison pools the seeds of a method; here every fit is a comparison of its own (base, ceilings, the fit, its
placebos of the same seed), computed by the ordinary code from the stored samples. A fit *elicits* where its
control-adjusted gain has its lower 95 % bound above 0: on the positive organism that is power, on the twins it is
false elicitation. Rates over so few fits are descriptive, and carry their binomial interval. Knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from elicit.errors import DataError
from elicit.evaluate.comparison import lines as rows
from elicit.evaluate.comparison.compare import tabulate
from elicit.evaluate.entry import Entry
from elicit.evaluate.metrics.table import CompareConfig
from elicit.evaluate.statistics.resamples import Estimate, jeffreys, refused
from elicit.files import read_json
from elicit.records import Item
from elicit.tasks.task import Task

RUNGS = ("base", "prompt", "ceiling")


def each_fit(folder: Path, items: Iterable[Item], task: Task) -> list[dict[str, Any]]:
    """One row a fit of the comparison in `folder`: method, seed, acc, gain, ctrl, fraction (EF B0/C4).

    Raises DataError where the comparison's items are no longer in the task.
    """
    saved = read_json(Path(folder) / "inputs.json")
    known = {item.id: item for item in items}
    if lost := [name for name in saved["items"] if name not in known]:
        raise DataError(f"{folder}: {len(lost)} of its items are no longer in {task.name} ({lost[0]})")
    ordered = [known[name] for name in saved["items"]]
    entries = [Entry.of(plain) for plain in saved["entries"]]
    config = replace(CompareConfig(**saved["config"]), b1=None)
    rungs = [entry for entry in entries if entry.role in RUNGS]
    found = []
    bare = next(entry.prompt for entry in entries if entry.role == "base")  # controls are measured at the bare prompt
    fitted = [entry for entry in entries if entry.prompt == bare]
    for method in (entry for entry in fitted if entry.role == "method"):
        placebos = [e for e in fitted if e.role == "placebo" and e.parent == method.name]
        own = [e for e in placebos if e.seed == method.seed] or placebos
        table = tabulate([*rungs, method, *own], ordered, task, config, saved["checkpoint"])
        line = next(line for line in rows.lines(table) if line["role"] == "method")
        found.append(_row(line, method))
    return found


def _row(line: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    controlled = line["ctrl"] if refused(line["ctrl"]) else line["ctrl"]["gain"]
    return {
        "method": entry.name,
        "seed": entry.seed,
        "acc": line["acc"],
        "gain": line["gain"]["B0"],
        "ctrl": controlled,
        "fraction": line["ef"].get("B0/C4", {"refused": "no C4"}),
    }


def summarise(fits: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By method, and `all`: fits, mean gain and recovered fraction, share of fits that elicit with its interval.

    A fit without a placebo can't be judged: it counts in `fits` and not in `judged`.
    """
    by_method: dict[str, list[Mapping[str, Any]]] = {"all": list(fits)}
    for fit in fits:
        by_method.setdefault(fit["method"], []).append(fit)
    return {name: _total(own) for name, own in by_method.items() if own}


def _total(fits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    judged = [fit["ctrl"] for fit in fits if not refused(fit["ctrl"])]
    above = sum(gain["lo"] > 0 for gain in judged)
    return {
        "fits": len(fits),
        "judged": len(judged),
        "gain": _mean([fit["gain"] for fit in fits]),
        "fraction": _mean([fit["fraction"] for fit in fits]),
        "elicits": {**jeffreys(above / len(judged), len(judged)), "of": len(judged)} if judged else None,
    }


def _mean(estimates: Sequence[Estimate]) -> float | None:
    """Mean of the points of the estimates that were not refused; None where all were."""
    points = [estimate["point"] for estimate in estimates if not refused(estimate)]
    return float(np.mean(points)) if points else None


def lines(organisms: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """The summaries of several organisms as text."""
    out = ["fits on the organisms: mean gain over the bare base, recovered fraction B0/C4, share that elicits"]
    for organism, methods in organisms.items():
        for name, row in methods.items():
            share = row["elicits"]
            told = (
                "-"
                if share is None
                else f"{share['point']:.0%} [{share['lo']:.0%}, {share['hi']:.0%}] of {share['of']}"
            )
            gain, fraction = (_told(row[key]) for key in ("gain", "fraction"))
            out.append(
                f"  {organism:20} {name:22} {row['fits']:3} fits  gain {gain}  fraction {fraction}  elicits {told}"
            )
    return out


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
