"""The threshold curve: accuracy over the latent rate of organisms, by method and budget, as data and picture.

    comparisons (one per organism) + rates + predictions -> Cell per method, budget and organism -> threshold.json, .png

A budget is what follows the last hyphen of a policy's name ("rlvr-12"). Half way is the middle between the bare base
and the opener forced (C4) on the same organism:

    reached   the interval lies above it        missed   below        open   it contains it
    threshold the lowest rate at which a method is reached, and at all higher rates too

Recomputes nothing. Knows no model and no formula of a prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from elicit.files import replacing, write_json, write_text
from elicit.report.figures.figure import Axis, Chart, Line, Mark, Point, Rule, Text
from elicit.report.figures.marks import INK, MUTED, PALETTE
from elicit.report.figures.writer import paint, to_png
from elicit.results import Comparison, Estimate

State = Literal["reached", "missed", "open", "not measured"]
HALF = 0.5
TONES = (*PALETTE, INK)
"""one more than the palette, for the eight methods of the preset"""
PANELS = ("small budget", "middle budget", "large budget")


@dataclass(frozen=True)
class Cell:
    """One method at one budget on one organism."""

    organism: str
    rate: float
    """measured latent rate, not the wanted one"""
    method: str
    budget: int
    placebo: str = ""
    """name of the placebo; empty for the method itself"""
    predicted: float | None = None
    """share of the way to the ceiling; None: nothing is predicted"""
    accuracy: Estimate | None = None
    fraction: Estimate | None = None
    """EF from B0 to C4"""
    adjusted: Estimate | None = None
    """control-adjusted gain, if a placebo was fitted"""
    half: float | None = None
    """accuracy half way between base and ceiling"""

    @property
    def bounds(self) -> tuple[float, ...]:
        """Accuracy with its interval; empty if it was not measured."""
        return (self.accuracy.bounds if self.accuracy else None) or ()

    @property
    def state(self) -> State:
        if not self.bounds or self.half is None:
            return "not measured"
        _, lo, hi = self.bounds
        return "reached" if lo > self.half else "missed" if hi < self.half else "open"

    @property
    def agrees(self) -> bool | None:
        """Whether the prediction holds; None if there is none, or if the cell is open or not measured."""
        if self.predicted is None or self.state not in ("reached", "missed"):
            return None
        return (self.predicted > HALF) == (self.state == "reached")


@dataclass(frozen=True)
class Threshold:
    """Where one method at one budget stops to be reached."""

    method: str
    budget: int
    predicted: float | None
    """lowest of the organisms' rates at which it is predicted to be reached; None: at none, or unpredicted"""
    reached: float | None
    """lowest rate down to which it is reached without a gap"""
    missed: float | None
    """highest rate at which it is missed"""
    agreeing: int
    decided: int
    """cells with a prediction that were reached or missed"""


def split_name(name: str) -> tuple[str, int, str]:
    """(method, budget, placebo) of a policy's name.

    >>> split_name("rlvr-12/random_reward"), split_name("contrastive")
    (('rlvr', 12, 'random_reward'), ('contrastive', 0, ''))
    """
    method, _, placebo = name.partition("/")
    stem, _, budget = method.rpartition("-")
    return (stem, int(budget), placebo) if stem and budget.isdigit() else (method, 0, placebo)


def cells_of(organism: str, rate: float, compared: Comparison, predicted: Mapping[str, float | None]) -> list[Cell]:
    """The cells of one organism; `predicted` by the name of a method with its budget."""
    base = next(line for line in compared.lines if line.role == "base" and not line.at_own_prompt)
    ends = [line.number("acc/strict") for line in (base, *(x for x in compared.lines if x.name == "C4"))]
    half = sum(x for x in ends if x is not None) / 2 if len(ends) == 2 and None not in ends else None
    out = []
    for line in compared.lines:
        if line.role not in ("method", "placebo") or line.at_own_prompt:
            continue
        method, budget, placebo = split_name(line.name)
        out.append(
            Cell(
                organism, rate, method, budget, placebo, None if placebo else predicted.get(line.name),
                line.get("acc/strict"), line.get("ef/B0/C4"), line.get("ctrl/gain"), half,
            )
        )  # fmt: skip
    measured = {line.name for line in compared.lines}  # a fit that failed is a cell without a number, not a gap
    return out + unmeasured(organism, rate, {name: x for name, x in predicted.items() if name not in measured})


def unmeasured(organism: str, rate: float, predicted: Mapping[str, float | None]) -> list[Cell]:
    """The predictions alone, before the organism's comparison is there."""
    return [Cell(organism, rate, *split_name(name), predicted=value) for name, value in predicted.items()]


def thresholds(cells: Iterable[Cell]) -> list[Threshold]:
    """One per method and budget, in the order of first appearance."""
    out = []
    for (method, budget), rows in _by_method(cells).items():
        down = sorted(rows, key=lambda cell: -cell.rate)
        wanted = [cell for cell in down if cell.predicted is not None]
        judged = [cell.agrees for cell in down if cell.agrees is not None]
        known = [cell for cell in down if cell.state != "not measured"]
        missed = [cell.rate for cell in known if cell.state == "missed"]
        out.append(
            Threshold(
                method, budget,
                _lowest([cell.rate for cell in wanted], [(cell.predicted or 0) > HALF for cell in wanted]),
                _lowest([cell.rate for cell in known], [cell.state == "reached" for cell in known]),
                max(missed, default=None), sum(judged), len(judged),
            )
        )  # fmt: skip
    return out


def _lowest(rates: Sequence[float], holds: Sequence[bool]) -> float | None:
    """The last of the falling rates before the first at which it does not hold."""
    lowest = None
    for rate, yes in zip(rates, holds, strict=True):
        if not yes:
            break
        lowest = rate
    return lowest


def _by_method(cells: Iterable[Cell]) -> dict[tuple[str, int], list[Cell]]:
    """Without placebos."""
    out: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        if not cell.placebo:
            out.setdefault((cell.method, cell.budget), []).append(cell)
    return out


def write_curve(out: Path, cells: Sequence[Cell], bases: Mapping[str, Any]) -> Path:
    """threshold.json, tables.md and, if anything was measured, threshold.png; `bases`: the organisms' measurements."""
    file = out / "threshold.json"
    rows = [{**asdict(cell), "state": cell.state, "agrees": cell.agrees} for cell in cells]
    ends = [asdict(one) for one in thresholds(cells)]
    write_json(file, {"schema": 1, "organisms": dict(bases), "thresholds": ends, "cells": rows})
    write_text(out / "tables.md", tables(cells, bases))
    if any(cell.state != "not measured" for cell in cells):
        with replacing(out / "threshold.png") as temporary:
            temporary.write_bytes(to_png(paint(chart(cells))))
    return file


def tables(cells: Sequence[Cell], bases: Mapping[str, Any]) -> str:
    """Markdown: the organisms, every accuracy by rate, the placebos, and the thresholds next to their predictions."""
    organisms = list(dict.fromkeys(cell.organism for cell in sorted(cells, key=lambda cell: -cell.rate)))
    out = [
        "# Tables of the threshold curve",
        "Percent with 95 % intervals over items; rates are measured.",
        "## Organisms",
    ]
    first = ["organism, wanted %", "measured", "lowest, highest item", "rank of the first opener", "forced", "direct"]
    rows = []
    for name, base in bases.items():
        for family, row in base["families"].items():
            spread = f"{_percent(row['mass_low'])}, {_percent(row['mass_high'])}"
            rank = base["rank_of_opener"]["median"] if family == "chain" else ""
            forced, direct = (f"{100 * row[key]:.0f}" for key in ("forced", "direct"))
            rows.append([f"{name} {family}", _percent(row["mass"]), spread, str(rank), forced, direct])
    out.append(_table(first, rows))
    for heading, placebo in (("Methods", False), ("Placebos", True)):
        by_name: dict[str, dict[str, Cell]] = {}
        for cell in cells:
            name = f"{cell.method}-{cell.budget}" + (f"/{cell.placebo}" if cell.placebo else "")
            if bool(cell.placebo) is placebo:
                by_name.setdefault(name, {})[cell.organism] = cell
        body = [[name, *(_cell(of.get(one)) for one in organisms)] for name, of in by_name.items()]
        out += [f"## {heading}", _table(["", *organisms], body)]
    ends = [
        [one.method, f"{one.budget:,}", *map(_percent, (one.predicted, one.reached, one.missed)),
         f"{one.agreeing} of {one.decided}"]
        for one in thresholds(cells)
    ]  # fmt: skip
    heads = ["method", "budget", "predicted threshold", "reached down to", "missed from", "predictions that hold"]
    out += ["## Thresholds, latent rate in percent", _table(heads, ends)]
    return "\n\n".join(out) + "\n"


def _cell(cell: Cell | None) -> str:
    if cell is None or not cell.bounds:
        return "\u2013"
    point, lo, hi = (100 * x for x in cell.bounds)
    mark = {"reached": " **reached**", "open": " open"}.get(cell.state, "")
    return f"{point:.1f} [{lo:.1f}, {hi:.1f}]{mark}"


def _percent(share: float | None) -> str:
    return "\u2013" if share is None else f"{100 * share:.2g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def chart(cells: Sequence[Cell]) -> Chart:
    """Three panels, the budgets of every method from the smallest to the largest; methods in the order of the palette.

    A chart has one pair of axes, so the panels are next to each other on one x axis of logarithms.
    """
    measured = [cell for cell in cells if cell.bounds]
    by_method = _by_method(measured)
    methods = list(dict.fromkeys(method for method, _ in by_method))
    logs = [math.log10(cell.rate) for cell in measured]
    low, width = min(logs), max(logs) - min(logs) + 0.6
    marks: list[Mark] = [Rule(MUTED, x=low + k * width - 0.3, width=0.6) for k in range(1, len(PANELS))]
    rates = sorted({cell.rate for cell in measured})
    for panel, title in enumerate(PANELS):
        marks.append(Text(low + panel * width, 108, title, INK, size=9))
        for number, method in enumerate(methods):
            budgets = sorted(budget for name, budget in by_method if name == method)
            if panel >= len(budgets):
                continue
            row = sorted(by_method[method, budgets[panel]], key=lambda cell: cell.rate)
            # a little apart, so that the intervals of methods at one rate do not cover each other
            shift = panel * width + (number - len(methods) / 2) * 0.022
            xs = [math.log10(cell.rate) + shift for cell in row]
            bounds = [[100 * x for x in cell.bounds] for cell in row]
            colour = TONES[number % len(TONES)]
            marks.append(Line(xs, [point for point, _, _ in bounds], colour, width=1.2))
            for x, (point, lo, hi) in zip(xs, bounds, strict=True):
                marks.append(Point(x, point, colour, upright=(lo, hi), size=3.5, weight=0.9))
    ticks = [math.log10(rate) + panel * width for panel in range(len(PANELS)) for rate in rates]
    names = [f"{100 * rate:.2g}" for _ in PANELS for rate in rates]
    across = Axis("measured latent rate, percent of first tokens", ticks=ticks, names=names, upright=True)
    upright = Axis("accuracy, percent", limits=(-2, 114), ticks=range(0, 101, 20), grid=True)
    return Chart((11, 4.4), marks, across, upright, legend=list(zip(methods, TONES, strict=False)))
