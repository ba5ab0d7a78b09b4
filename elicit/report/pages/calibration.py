"""The calibration of the yardstick as tables: intervals and decision rule on simulations, methods on the organisms.

Reads the `calibration` of comparison.json: what `elicit calibrate` found and the workbench ships, with `current` false
where the statistics have changed since; or rows made by hand ({"rows": [...], "note": text}). Computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from elicit.report import numbers, text

WANTED = {"coverage": "93\u201397 % wanted", "false_positives": "at most 5 % wanted"}


@dataclass(frozen=True)
class CalibrationTable:
    """One table with its sentence."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


def tables(given: Any) -> list[CalibrationTable]:
    """All tables that the comparison's calibration holds, in order; none where there is none."""
    if isinstance(given, dict) and ("simulated" in given or "organisms" in given):
        return [*_simulated(given.get("simulated") or {}), *_organisms(given.get("organisms") or {})]
    lines = given.get("rows") if isinstance(given, dict) else given
    if not lines:
        return []
    columns = list(dict.fromkeys(key for line in lines for key in line))
    rows = [[_cell(line.get(column)) for column in columns] for line in lines]
    note = given.get("note", "") if isinstance(given, dict) else ""
    return [CalibrationTable("On the organisms", columns, rows, note)]


def _simulated(found: dict[str, Any]) -> list[CalibrationTable]:
    out = []
    for key, title, holds in (
        ("coverage", "Coverage of 95 % intervals on simulated policies", "calibrated"),
        ("false_positives", "Claims of the decision rule where there is nothing", "holds"),
    ):
        rows = [
            [text.one_line(name, 60), _rate(row), numbers.plain(row.get("of")), _cell(row.get(holds))]
            for name, row in (found.get(key) or {}).items()
        ]
        if rows:
            columns = ["What", f"Rate, percent ({WANTED[key]})", "Simulations", "Holds"]
            out.append(CalibrationTable(title, columns, rows, _version(found)))
    return out


def _rate(row: dict[str, Any]) -> str:
    estimate = {"point": row.get("rate"), "lo": row.get("lo"), "hi": row.get("hi")}
    return "refused every time" if row.get("rate") is None else numbers.show(estimate, "percent").line


def _organisms(found: dict[str, Any]) -> list[CalibrationTable]:
    rows = []
    for organism, methods in (found.get("totals") or {}).items():
        for name, row in methods.items():
            elicits = row.get("elicits")
            share = numbers.show(elicits, "percent").line if elicits else "\u2013"
            rows.append([text.one_line(organism, 40), text.one_line(name, 40), numbers.plain(row.get("fits")),
                         numbers.plain(row.get("judged")), _points(row.get("gain")), _plain(row.get("fraction")),
                         share])  # fmt: skip
    if not rows:
        return []
    columns = ["Organism", "Method", "Fits", "Judged", "Mean gain, points", "Mean fraction B0\u2192C4",
               "Fits that elicit, percent"]  # fmt: skip
    note = f"Means are over fits and describe them; the share that elicits has its binomial interval. {_version(found)}"
    return [CalibrationTable("Fits on the organisms", columns, rows, note.strip())]


def _version(found: dict[str, Any]) -> str:
    return "" if found.get("current", True) else "Found with another version of the statistics: not of this report."


def _points(value: Any) -> str:
    return numbers.figure(value, "points") if isinstance(value, int | float) else "\u2013"


def _plain(value: Any) -> str:
    return numbers.figure(value, "ratio") if isinstance(value, int | float) else "\u2013"


def _cell(value: Any) -> str:
    if isinstance(value, dict) and ("point" in value or "refused" in value):
        return numbers.show(value, "points").line
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "\u2013"}[value]
    return numbers.plain(value) if isinstance(value, int | float) else text.one_line(value, 60)
