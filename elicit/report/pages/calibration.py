"""The calibration of the yardstick as tables: intervals and decision rule on simulations, methods on the organisms.

Reads the `calibration` of a comparison: the results of `elicit calibrate` that the workbench ships, with `current`
false if the statistics have changed since; or rows made by hand ({"rows": [...], "note": text}). Computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elicit.report import numbers, text
from elicit.results import Estimate

WANTED = {"coverage": "93\u201397 % wanted", "false_positives": "at most 5 % wanted"}


@dataclass(frozen=True)
class CalibrationTable:
    """One table with a note below it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


def tables(content: Mapping[str, Any]) -> list[CalibrationTable]:
    """All tables that the comparison's calibration holds, in order."""
    if "simulated" in content or "organisms" in content:
        return [*_simulated(content.get("simulated") or {}), *_organisms(content.get("organisms") or {})]
    lines = content.get("rows")
    if not lines:
        return []
    columns = list(dict.fromkeys(key for line in lines for key in line))
    rows = [[_cell(line.get(column)) for column in columns] for line in lines]
    return [CalibrationTable("On the organisms", columns, rows, content.get("note", ""))]


def _simulated(content: Mapping[str, Any]) -> list[CalibrationTable]:
    out = []
    for key, title, holds in (
        ("coverage", "Coverage of 95 % intervals on simulated policies", "calibrated"),
        ("false_positives", "Claims of the decision rule on simulated nulls", "holds"),
    ):
        rows = [
            [text.one_line(name, 60), _rate(row), numbers.plain(row.get("of")), _cell(row.get(holds))]
            for name, row in (content.get(key) or {}).items()
        ]
        if rows:
            columns = ["What", f"Rate, percent ({WANTED[key]})", "Simulations", "Holds"]
            out.append(CalibrationTable(title, columns, rows, _version(content)))
    return out


def _rate(row: Mapping[str, Any]) -> str:
    estimate = Estimate(row.get("rate"), row.get("lo"), row.get("hi"))
    return "refused every time" if estimate.point is None else numbers.show(estimate, "percent").line


def _organisms(content: Mapping[str, Any]) -> list[CalibrationTable]:
    rows = []
    for organism, methods in (content.get("totals") or {}).items():
        for name, row in methods.items():
            elicits = row.get("elicits")
            share = numbers.show(numbers.estimate_of(elicits), "percent").line if elicits else numbers.DASH
            rows.append([text.one_line(organism, 40), text.one_line(name, 40), numbers.plain(row.get("fits")),
                         numbers.plain(row.get("judged")), _points(row.get("gain")), _plain(row.get("fraction")),
                         share])  # fmt: skip
    if not rows:
        return []
    columns = ["Organism", "Method", "Fits", "Judged", "Mean gain, points", "Mean fraction B0\u2192C4",
               "Fits that elicit, percent"]  # fmt: skip
    note = (
        f"Means are over fits and describe them; the share that elicits has its binomial interval. {_version(content)}"
    )
    return [CalibrationTable("Fits on the organisms", columns, rows, note.strip())]


def _version(content: Mapping[str, Any]) -> str:
    return "" if content.get("current", True) else "Made with another version of the statistics than this report."


def _points(value: Any) -> str:
    return numbers.figure(value, "points") if isinstance(value, int | float) else numbers.DASH


def _plain(value: Any) -> str:
    return numbers.figure(value, "ratio") if isinstance(value, int | float) else numbers.DASH


def _cell(value: Any) -> str:
    if isinstance(value, dict) and ("point" in value or "refused" in value):
        return numbers.show(numbers.estimate_of(value), "points").line
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: numbers.DASH}[value]
    return numbers.plain(value) if isinstance(value, int | float) else text.one_line(value, 60)
