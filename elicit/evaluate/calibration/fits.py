"""Fits on the model organisms, one by one: what they recover from a planted ability, and what without one.

A comparison pools the seeds of a method; here every fit is a comparison of its own (base, ceilings, the fit, its
placebos of the same seed), computed by the ordinary code from the stored samples. A fit *elicits* if the report's
label of its row claims something (`nulls.CLAIMS`): on the positive organism that is power, on the twins it is false
elicitation. On the format twin a method gains strictly, and the label has to say "format". Rates over so few fits are
descriptive, and carry their binomial interval. Knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from elicit.errors import DataError
from elicit.evaluate.calibration.nulls import CLAIMS
from elicit.evaluate.comparison.compare import tabulate
from elicit.evaluate.comparison.inputs import Inputs
from elicit.evaluate.comparison.lines import lines_of
from elicit.evaluate.statistics.resamples import jeffreys
from elicit.records import Item
from elicit.report.rows import TableRow, unwarned
from elicit.report.verdict import verdict_label
from elicit.results import Estimate
from elicit.tasks.task import Task

RUNGS = ("base", "prompt", "ceiling")


@dataclass(frozen=True)
class Fit:
    """One fit of a method, judged alone."""

    method: str
    seed: int | None
    acc: Estimate
    gain: Estimate
    """over B0"""
    ctrl: Estimate
    """control-adjusted"""
    fraction: Estimate
    """EF B0/C4"""
    label: str
    """the report's label of its row"""

    @property
    def elicits(self) -> bool:
        """Whether the label claims something, with or without a warning."""
        return unwarned(self.label) in CLAIMS


@dataclass(frozen=True)
class Share:
    """A share of fits with its binomial (Jeffreys) interval."""

    point: float
    lo: float
    hi: float
    of: int


@dataclass(frozen=True)
class Total:
    """The fits of one method, or of all."""

    fits: int
    judged: int
    """fits with a placebo: the others can't be judged"""
    gain: float | None
    """mean over the fits whose gain was not refused"""
    fraction: float | None
    elicits: Share | None


def each_fit(folder: Path, items: Iterable[Item], task: Task) -> list[Fit]:
    """The fits of the comparison in `folder`. Raises DataError if its items are no longer in the task."""
    saved = Inputs.read(folder)
    known = {item.id: item for item in items}
    if lost := [name for name in saved.items if name not in known]:
        raise DataError(f"{folder}: {len(lost)} of its items are no longer in {task.name} ({lost[0]})")
    ordered = [known[name] for name in saved.items]
    entries, config = saved.entries, replace(saved.config, b1=None)
    rungs = [entry for entry in entries if entry.role in RUNGS]
    bare = next(entry.prompt for entry in entries if entry.role == "base")  # controls are measured at the bare prompt
    fitted = [entry for entry in entries if entry.prompt == bare]
    fits = []
    for method in (entry for entry in fitted if entry.role == "method"):
        placebos = [e for e in fitted if e.role == "placebo" and e.parent == method.name]
        own = [e for e in placebos if e.seed == method.seed] or placebos
        table = tabulate([*rungs, method, *own], ordered, task, config, saved.checkpoint)
        line = next(line for line in lines_of(table) if line.role == "method")
        values, label = line.values, verdict_label(TableRow(line, line.name, "Methods", 0, "method"))
        no_c4 = Estimate(refused="no C4")
        fits.append(
            Fit(
                method.name, method.seed, values["acc/strict"], values["gain/B0"], values["ctrl/gain"],
                values.get("ef/B0/C4", no_c4), label,
            )
        )  # fmt: skip
    return fits


def summarise(fits: Sequence[Fit]) -> dict[str, Total]:
    """By method, and `all`: fits, mean gain and recovered fraction, share of fits that elicit with its interval."""
    by_method: dict[str, list[Fit]] = {"all": list(fits)}
    for fit in fits:
        by_method.setdefault(fit.method, []).append(fit)
    return {name: _total(own) for name, own in by_method.items() if own}


def _total(fits: Sequence[Fit]) -> Total:
    judged = [fit for fit in fits if fit.ctrl.refused is None]
    elicits = None
    if judged:
        interval = jeffreys(sum(fit.elicits for fit in judged) / len(judged), len(judged))
        elicits = Share(*(interval.bounds or (0.0, 0.0, 1.0)), of=len(judged))
    return Total(
        fits=len(fits),
        judged=len(judged),
        gain=_mean([fit.gain for fit in fits]),
        fraction=_mean([fit.fraction for fit in fits]),
        elicits=elicits,
    )


def _mean(estimates: Sequence[Estimate]) -> float | None:
    """Mean of the points of the estimates that were not refused; None if all were."""
    points = [estimate.number for estimate in estimates if estimate.number is not None]
    return float(np.mean(points)) if points else None


def lines(organisms: Mapping[str, Mapping[str, Total]]) -> list[str]:
    """The summaries of several organisms as text."""
    out = ["fits on the organisms: mean gain over the bare base, recovered fraction B0/C4, share that elicits"]
    for organism, methods in organisms.items():
        for name, total in methods.items():
            share = total.elicits
            text = "-" if share is None else f"{share.point:.0%} [{share.lo:.0%}, {share.hi:.0%}] of {share.of}"
            gain, fraction = ("-" if value is None else f"{value:+.3f}" for value in (total.gain, total.fraction))
            out.append(
                f"  {organism:20} {name:22} {total.fits:3} fits  gain {gain}  fraction {fraction}  elicits {text}"
            )
    return out
