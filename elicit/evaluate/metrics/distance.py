"""The columns `kl` and `likelihood` of a comparison: annotations of its rows, read back as estimates.

Annotated are samples at T=1 of some of the items (`Entry.at_one`, made by eval.annotate=true), or else a row's own
samples (elicit lens GROUP run=true). The base's own traces at T=1, which typicality ranks among, are those of B0, or of
the ceiling C1. What was not annotated is refused, with what to do. Intervals are over the annotated items, of the
comparison's own resampled clusters (`annotated` has the columns). No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.annotations import Annotations, annotations_of, read_annotations
from elicit.evaluate.metrics.annotated import kl_columns, likelihood_columns
from elicit.evaluate.metrics.likelihood import likelihood
from elicit.evaluate.metrics.table import Row, Table
from elicit.evaluate.statistics.ratios import Bootstrap
from elicit.evaluate.statistics.resamples import refusal
from elicit.evaluate.store import SampleFolder, StageFolder

NAMES = {
    "top 5 %": "top_share", "best-of-N bound": "bound", "percentile of the chosen": "percentile",
    "worst 32": "worst_window", "rank > 1": "rank_1", "rank > 10": "rank_10", "rank > 100": "rank_100",
}  # fmt: skip
"""keys of comparison.json for the names of columns; `sequence, compare` becomes `sequence_compare`"""


def distances(table: Table) -> dict[str, dict[str, Any]]:
    """Row key -> {"kl", "likelihood"}: estimates with the regime, items and samples they rest on, or a refusal."""
    items = [item.id for item in table.items]
    bootstrap, own_N_K = Bootstrap(table.joint.resamples), _own(table, items)
    return {row.key: _of_row(row, items, own_N_K, bootstrap) for row in table.rows}


def _of_row(row: Row, items: Sequence[str], own_N_K: NDArray | None, bootstrap: Bootstrap) -> dict[str, Any]:
    if row.first.role == "ceiling":
        return dict.fromkeys(("kl", "likelihood"), refusal("ceilings are not annotated"))
    notes_S = [notes for entry in row.entries if (notes := read(entry, items)) is not None]
    if len(notes_S) < len(row.entries):
        reason = "not annotated: eval.annotate=true (at the bare prompt), or elicit lens GROUP run=true"
        return dict.fromkeys(("kl", "likelihood"), refusal(reason))
    regime = "support" if row.first.at_one is not None else row.regime
    drawn_N = (notes_S[0].row_N_J >= 0).sum(1)
    facts = {"regime": regime, "n_items": int((drawn_N > 0).sum()), "n": int(drawn_N.max())}
    return {
        "kl": _named(kl_columns(notes_S, regime, bootstrap)) | facts,
        "likelihood": _named(likelihood_columns(notes_S, own_N_K, bootstrap)) | facts,
    }


def _named(columns: dict[str, Any]) -> dict[str, Any]:
    return {NAMES.get(head := name.partition(", ")[0], head) + name[len(head):].replace(", ", "_"): value
            for name, value in columns.items()}  # fmt: skip


def read(entry: Entry, items: Sequence[str]) -> Annotations | None:
    """The annotations of an entry on some of these items; None where there are none."""
    samples = Path(entry.at_one or entry.samples)
    folder = annotations_of(samples)
    n = SampleFolder(samples).largest_n
    if n is None or not StageFolder(folder).finished:
        return None
    found = read_annotations(folder, items, n)
    return found if (found.row_N_J >= 0).any() else None


def _own(table: Table, items: Sequence[str]) -> NDArray | None:
    """Mean NLL of the base's own traces at T=1, None where they were not annotated."""
    at_one = [table.base] if table.base.first.at_one is not None or table.base.regime == "support" else []
    c1 = [row for row in table.rows if row.first.role == "ceiling" and row.first.name == "C1"]
    for row in [*at_one, *c1]:
        if (notes := read(row.first, items)) is not None:
            return np.asarray(likelihood(notes)["nll"])
    return None
