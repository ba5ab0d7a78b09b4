"""Distance from the base: the columns `kl` and `likelihood`, from annotations of the samples.

Annotated are samples at T=1 of some of the items (`Entry.at_one`, made by eval.annotate=true), or else an arm's own
samples (elicit lens GROUP run=true). The base's own traces at T=1, which typicality ranks among, are those of B0, or of
the ceiling C1 if it was drawn at B0's prompt. What was not annotated is refused, with what to do. Intervals are
over the annotated items, of the comparison's own resampled clusters. `kl` and `likelihood` hold the definitions, which
the lenses use too. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.annotations import Annotations, annotations_of, read_annotations
from elicit.evaluate.metrics.kl import KL_COLUMNS, kl_columns
from elicit.evaluate.metrics.likelihood import LIKELIHOOD_COLUMNS, likelihood, likelihood_columns
from elicit.evaluate.metrics.metric import Lines, Metric
from elicit.evaluate.metrics.table import Table
from elicit.evaluate.statistics.ratios import Bootstrap
from elicit.evaluate.store import SampleFolder, StageFolder
from elicit.results import Estimate, Line

KEYS = {
    "top 5 %": "top_share", "best-of-N bound": "bound", "percentile of the chosen": "percentile",
    "worst 32": "worst_window", "rank > 1": "rank_1", "rank > 10": "rank_10", "rank > 100": "rank_100",
}  # fmt: skip
"""keys of a line for the names that lenses show; `sequence, compare` becomes `sequence_compare`"""


def _report(table: Table, lines: Lines) -> None:
    items = [item.id for item in table.items]
    bootstrap, own_N_K = Bootstrap(table.joint.resamples), _own_nll(table, items)
    for arm, line in lines:
        if arm.first.role == "ceiling":
            _refuse(line, "ceilings are not annotated")
            continue
        notes_S = [notes for entry in arm.entries if (notes := _read(entry, items)) is not None]
        if len(notes_S) < len(arm.entries):
            _refuse(line, "not annotated: eval.annotate=true (at B0's prompt), or elicit lens GROUP run=true")
            continue
        regime = "support" if arm.first.at_one is not None else arm.regime
        drawn_N = (notes_S[0].row_N_J >= 0).sum(1)
        facts = {"regime": regime, "n_items": int((drawn_N > 0).sum()), "n": int(drawn_N.max())}
        _put(line, "kl", kl_columns(notes_S, regime, bootstrap), facts)
        _put(line, "likelihood", likelihood_columns(notes_S, own_N_K, bootstrap, table.c1_elsewhere), facts)


def _refuse(line: Line, reason: str) -> None:
    line.values["kl/sequence"] = line.values["likelihood/nll"] = Estimate(refused=reason)


def _put(line: Line, group: str, columns: Mapping[str, Estimate], facts: Mapping[str, object]) -> None:
    for name, value in columns.items():
        head, comma, regime = name.partition(", ")
        line.values[f"{group}/{KEYS.get(head, head)}{comma and '_'}{regime}"] = value
    line.notes |= {f"{group}/{name}": fact for name, fact in facts.items()}


def _read(entry: Entry, items: Sequence[str]) -> Annotations | None:
    """The annotations of an entry on some of these items; None if there are none."""
    samples = Path(entry.at_one or entry.samples)
    folder = annotations_of(samples)
    n = SampleFolder(samples).largest_n
    if n is None or not StageFolder(folder).finished:
        return None
    found = read_annotations(folder, items, n)
    return found if (found.row_N_J >= 0).any() else None


def _own_nll(table: Table, items: Sequence[str]) -> NDArray | None:
    """Mean NLL of the base's own traces at T=1 and B0's prompt, None if they were not annotated."""
    at_one = [table.base] if table.base.first.at_one is not None or table.base.regime == "support" else []
    c1 = [table.c1_arm] if table.c1_arm is not None and table.c1_elsewhere is None else []
    for arm in [*at_one, *c1]:
        if (notes := _read(arm.first, items)) is not None:
            return np.asarray(likelihood(notes)["nll"])
    return None


DISTANCE = Metric("distance from the base", (*KL_COLUMNS, *LIKELIHOOD_COLUMNS), report=_report)
