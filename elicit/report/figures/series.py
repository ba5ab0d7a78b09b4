"""Rows behind figures: flat dicts that go into a CSV as they are. Knows nothing of drawing.

Dose rows describe a search on dev items: their intervals are Wilson's, over that many items (E. B. Wilson, 1927).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elicit.report.rows import TableRow
    from elicit.results.estimate import Estimate

Rows = list[dict[str, Any]]
TRIPLE = ("point", "lo", "hi")


def head(row: TableRow) -> dict[str, Any]:
    """The first columns of every CSV: which policy, in which role, how many items, samples and seeds, which class."""
    line = row.line
    return {"policy": row.name, "label": row.label, "id": line.id, "role": row.role, "badge": row.badge,
            "prompt": line.prompt, "depth": row.depth, "method": line.method, "class": line.data_class or "unaccounted",
            "n_items": line.n_items or None, "n": line.n or None, "seeds": line.seeds}  # fmt: skip


def interval(value: Estimate | None) -> tuple[float, float, float] | None:
    """(point, lo, hi) of a measured value; None if it was refused, not measured or has no interval."""
    if value is None or value.bounds is None:
        return None
    point, lo, hi = value.bounds
    return float(point), float(lo), float(hi)


def columns(numbers: tuple[float, float, float] | None, names: Sequence[str] = TRIPLE) -> dict[str, Any]:
    """An interval as three columns; empty ones if there is none."""
    return dict(zip(names, numbers or (None, None, None), strict=True))


def curve(row: TableRow, key: str) -> Rows:
    """The points of a curve over k samples, without those that have no interval."""
    values = row.line.curves.get(key)
    if values is None or values.refused or not all((values.k, values.point, values.lo, values.hi)):
        return []
    zipped = zip(values.k, values.point, values.lo, values.hi, strict=True)
    return [head(row) | {"k": k} | columns((p, lo, hi)) for k, p, lo, hi in zipped if None not in (p, lo, hi)]


def grouped(rows: Rows, *keys: str) -> list[Rows]:
    """Rows by the values of some columns, in the order of first appearance."""
    out: dict[tuple[Any, ...], Rows] = {}
    for row in rows:
        out.setdefault(tuple(row[key] for key in keys), []).append(row)
    return list(out.values())


def log_rows(path: Path) -> Rows:
    """The rows of a log.jsonl; a last line that a killed run left half-written is skipped."""
    out = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict):
            out.append(row)
    return out


def logged(rows: Rows, what: str) -> Rows:
    """The log rows whose keys are `.../<what>/...`, by the last parts of these keys."""
    named = ({key.split(f"/{what}/", 1)[1]: value for key, value in row.items() if f"/{what}/" in key} for row in rows)
    return [row for row in named if row]


def wilson(share: float, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a share of n items, one sample each.

    For shares of a run's log, which no measure of comparison.json holds and of which no bootstrap can be made; what is
    measured on test items comes with the evaluator's own intervals (`elicit.evaluate.statistics.resamples`).

    >>> [round(x, 3) for x in wilson(0.5, 100)]
    [0.404, 0.596]
    """
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
