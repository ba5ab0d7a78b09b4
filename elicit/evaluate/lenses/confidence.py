"""confidence: does the policy know when it is right? (DeepConf, arXiv 2508.15260)

Token confidence is the negated mean log-prob of the 20 most probable tokens. A trace's confidence is its mean, its
tail, its lowest window or the mean of its lowest tenth of windows, with windows of 32 and of 128 tokens.

    AUROC       chance that a right sample of an item is surer than a wrong one of the same item (ties half)
    filtered    vote of the surest half of an item's samples, plain or weighted by confidence
    reference   a vote of as many random samples (equal size), and of all samples (equal tokens)

Within items only: pooled over items it would measure which items are easy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import ANNOTATIONS, Reading, formatted, of_columns, reading, refusing
from elicit.evaluate.lenses.view import Side, View
from elicit.evaluate.measures.annotations import Annotations
from elicit.evaluate.metrics.majority import majority
from elicit.results import Estimate

WINDOWS = (32, 128)
BOTTOM = 0.1


@dataclass(frozen=True)
class Confidence:
    """Confidence of traces against their grades."""

    keep: float = 0.5
    """share of an item's samples that the filter keeps, the surest first"""
    name: str = "confidence"
    about: str = "whether right samples of an item are surer than wrong ones, and what a vote of the surest gains"
    source: str = "2508.15260"
    needs: str = ANNOTATIONS

    def read(self, view: View) -> Reading:
        annotated = view.annotated
        if not annotated:
            return refusing(self, "no policy is annotated with token confidences (elicit lens GROUP run=true)")
        columns = {side.name: self._columns(view, side, notes) for side, notes in annotated}
        names = [f"AUROC, {name}" for name in measures_of(annotated[0][1])]
        figure = of_columns("Right samples are surer", "AUROC within items", columns, names)
        says = [
            f"{name}: AUROC of the least 32-token window {formatted(of['AUROC, lowest 32'], False)}"
            for name, of in columns.items()
        ]
        return reading(self, columns, figure, says)

    def _columns(self, view: View, side: Side, notes: Annotations) -> dict[str, Estimate]:
        graded, right = side.graded_N_J, side.right_N_J
        out: dict[str, Estimate] = {}
        for name, values_R in measures_of(notes).items():
            values_N_J = notes.spread(values_R)
            scored = graded & np.isfinite(values_N_J)
            out[f"AUROC, {name}"] = view.bootstrap.fraction(auroc(values_N_J, right, scored), "no item has both")
        return out | self._votes(view, side, notes.spread(measures_of(notes)["lowest 32"]))

    def _votes(self, view: View, side: Side, sure_N_J: NDArray) -> dict[str, Estimate]:
        m = side.measures
        if m.n < 2 or not np.isfinite(sure_N_J).all() or (m.strict_N_J < 0).any():
            reason = "n = 1: no vote" if m.n < 2 else "samples without a grade or a confidence: no vote of equal size"
            return {"filtered vote": Estimate(refused=reason)}
        kept = max(1, round(self.keep * m.n))
        votes = {
            "filtered vote": elected(m.classes_N_J, m.strict_N_J, top_mask(sure_N_J, kept).astype(float)),
            "filtered, weighted": elected(m.classes_N_J, m.strict_N_J, top_mask(sure_N_J, kept) * sure_N_J),
            "weighted, all": elected(m.classes_N_J, m.strict_N_J, sure_N_J),
            f"random {kept} of {m.n}": majority(m, kept).accuracy_N,
            f"all {m.n}": majority(m, m.n).accuracy_N,
        }
        out = {name: view.bootstrap.fraction(values_N, "no item") for name, values_N in votes.items()}
        random_N = votes[f"random {kept} of {m.n}"]
        out["filtered - random"] = view.bootstrap.paired(votes["filtered vote"], random_N, "no item")
        return out


def measures_of(notes: Annotations) -> dict[str, NDArray]:
    """Confidence of every trace, by measure."""
    out = {"mean": notes.confidences.mean()}
    for width in WINDOWS:
        windows = notes.confidences.windows(width)
        out[f"tail {width}"] = notes.confidences.tail(width)
        out[f"lowest {width}"] = windows.least()
        out[f"bottom tenth {width}"] = windows.bottom(BOTTOM)
    return out


def auroc(values_N_J: NDArray, right_N_J: NDArray, scored_N_J: NDArray) -> NDArray:
    """By item: share of (right, wrong) pairs whose right one has the larger value, ties half; nan without pairs."""
    wins = (values_N_J[:, :, None] > values_N_J[:, None, :]) + 0.5 * (values_N_J[:, :, None] == values_N_J[:, None, :])
    pairs = (right_N_J & scored_N_J)[:, :, None] & (~right_N_J & scored_N_J)[:, None, :]
    total_N = pairs.sum((1, 2))
    return np.where(total_N > 0, (wins * pairs).sum((1, 2)) / np.maximum(total_N, 1), np.nan)


def top_mask(values_N_J: NDArray, kept: int) -> NDArray:
    """The `kept` largest values of each item; equal ones in the order of the samples."""
    order = np.argsort(-values_N_J, axis=1, kind="stable")[:, :kept]
    out = np.zeros(values_N_J.shape, bool)
    np.put_along_axis(out, order, True, axis=1)
    return out


def elected(classes_N_J: NDArray, strict_N_J: NDArray, weights_N_J: NDArray) -> NDArray:
    """Accuracy by item of a weighted vote: ties uniform, no answer is never elected."""
    out_N = np.zeros(len(classes_N_J))
    for i, (classes, grades, weights) in enumerate(zip(classes_N_J, strict_N_J, weights_N_J, strict=True)):
        given = (classes >= 0) & (weights > 0)
        if given.any():
            names, codes = np.unique(classes[given], return_inverse=True)
            totals = np.bincount(codes, weights[given])
            right = np.bincount(codes, (grades[given] == 1).astype(float)) > 0
            top = totals >= totals.max() - 1e-12
            out_N[i] = right[top].mean() if len(names) else 0.0
    return out_N
