"""validity x correctness: is the trace right if the answer is, and the other way round? (arXiv 2505.13775)

             right answer   wrong answer
valid             a              b            phi = (ad - bc) / sqrt((a+b)(c+d)(a+c)(b+d))
not valid         c              d            odds ratio (Haldane) = (a+.5)(d+.5) / ((b+.5)(c+.5))

Sums over samples with a grade and a checked trace; shares are ratios of sums, resampled by cluster. A right answer
after an invalid trace is unearned.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, formatted, of_columns, reading, refusing
from elicit.evaluate.lenses.strata import difficulty
from elicit.evaluate.lenses.view import Side, View
from elicit.evaluate.statistics.ratios import Bootstrap
from elicit.files import read_rows, shards
from elicit.results import Estimate


@dataclass(frozen=True)
class Validity:
    """The 2x2 table of traces and answers."""

    name: str = "validity"
    about: str = "whether the trace is valid if the answer is right, and the other way round"
    source: str = "2505.13775"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        checked = [side for side in view.sides if side.measures.has_validator]
        if not checked:
            return refusing(self, f"{view.task.name} can't check traces")
        columns = {side.name: shares(view.bootstrap, table_N_4(side)) for side in checked}
        table = [row for side in checked for row in self._rows(view, side)]
        shown = ["valid", "valid given right", "right given valid", "unearned"]
        figure = of_columns("Valid traces and right answers", "share of samples", columns, shown)
        says = [
            f"{name}: of the right answers {formatted(of['unearned'])} are unearned" for name, of in columns.items()
        ]
        return reading(self, columns, figure, says, table)

    def _rows(self, view: View, side: Side) -> list[dict[str, Any]]:
        """The table of all items and of each difficulty bin, with the kinds of first violation."""
        kind, bins_N, names = difficulty(view)
        cells_N_4, kinds = table_N_4(side), violations(side, view)
        out = []
        cell_names = ("valid right", "valid wrong", "invalid right", "invalid wrong")
        for code, name in [(None, "all"), *enumerate(names)]:
            inside_N = np.ones(len(bins_N), bool) if code is None else bins_N == code
            cells = dict(zip(cell_names, cells_N_4[inside_N].sum(0).astype(int).tolist(), strict=True))
            count = Counter(k for i, of_item in enumerate(kinds) if inside_N[i] for k in of_item)
            first = {"first violations": dict(count.most_common())}
            out.append({"policy": side.name, "by": kind, "bin": name} | cells | first)
        return out


def table_N_4(side: Side) -> NDArray:
    """Counts by item: valid right, valid wrong, invalid right, invalid wrong."""
    m = side.measures
    checked = (m.valid_N_J >= 0) & (m.strict_N_J >= 0)
    valid, right = m.valid_N_J == 1, m.strict_N_J == 1
    cells = (valid & right, valid & ~right, ~valid & right, ~valid & ~right)
    return np.stack([(cell & checked).sum(1) for cell in cells], 1).astype(float)


def shares(bootstrap: Bootstrap, cells_N_4: NDArray) -> dict[str, Estimate]:
    """The shares and associations of one table."""
    a, b, c, d = cells_N_4.T
    size = len(cells_N_4)
    return {
        "valid": bootstrap.share(a + b, a + b + c + d, "no checked trace"),
        "valid given right": bootstrap.share(a, a + c, "no right answer"),
        "right given valid": bootstrap.share(a, a + b, "no valid trace"),
        "unearned": bootstrap.share(c, a + c, "no right answer"),
        "phi": bootstrap.statistic(cells_N_4, _phi, "a margin of the table is empty"),
        "odds ratio": bootstrap.statistic(cells_N_4, lambda m: _odds(m * size), "no checked trace"),
    }


def _phi(m: NDArray) -> NDArray:
    a, b, c, d = np.moveaxis(m, -1, 0)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    return np.where(margins > 1e-12, (a * d - b * c) / np.sqrt(np.where(margins > 1e-12, margins, 1)), np.nan)


def _odds(m: NDArray) -> NDArray:
    a, b, c, d = np.moveaxis(m, -1, 0)
    return np.where(a + b + c + d > 0, (a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)), np.nan)


def violations(side: Side, view: View) -> list[list[str]]:
    """Kinds of first violation by item, from the grades."""
    out: list[list[str]] = [[] for _ in view.items]
    for row in read_rows(shards(side.grades) if side.grades else [], ["item", "j", "violation"]):
        if row["item"] in view.row_of and row["j"] < side.measures.n and row["violation"]:
            out[view.row_of[row["item"]]].append(row["violation"])
    return out
