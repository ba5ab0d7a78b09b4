"""side effects: what else changed? (arXiv 2505.11628, 2510.08308)

    format compliance   share of samples that end by themselves and declare an answer
    Brier, ECE          of answer confidence = share of an item's *other* samples with the same answer; a sample
                        without an answer has confidence 0; ECE over ten equal bins
    text loss           NLL per token of plain text: the questions themselves, and any text that was given

Each with its paired difference from the base. Confidence needs two samples per item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, formatted, of_columns, reading
from elicit.evaluate.lenses.view import Side, View
from elicit.evaluate.statistics.ratios import Bootstrap
from elicit.evaluate.statistics.resamples import Resamples
from elicit.records import FINISHED
from elicit.results import Estimate

BINS = 10
TEXTS = "texts"
"""key of the rows of the plain-text pass among a side's probes"""


@dataclass(frozen=True)
class SideEffects:
    """Plain text, format and calibration, against the base."""

    name: str = "side_effects"
    about: str = "loss on plain text, format compliance and calibration, before and after"
    source: str = "2505.11628"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        columns = {side.name: self._columns(view, side) for side in view.sides}
        figure = of_columns("Calibration and format", "share", columns, ["format compliance", "Brier", "ECE"])
        says = [
            f"{name}: ECE {formatted(of['ECE'], False)}, {formatted(of['format compliance'])} in the asked format"
            for name, of in columns.items()
        ]
        return reading(self, columns, figure, says)

    def _columns(self, view: View, side: Side) -> dict[str, Estimate]:
        policy_N, base_N = compliance(side), compliance(view.base)
        out = {"format compliance": view.bootstrap.fraction(policy_N, "no sample")}
        out |= self._calibration(view, side)
        if side is not view.base:
            out["format compliance - base"] = view.bootstrap.paired(policy_N, base_N, "no sample")
        return out | text_loss(view, side)

    def _calibration(self, view: View, side: Side) -> dict[str, Estimate]:
        bins_N_B3, brier_N = binned(side)
        if not np.isfinite(brier_N).any():
            reason = "no item has two graded samples: no confidence"
            return {"Brier": Estimate(refused=reason), "ECE": Estimate(refused=reason)}
        out = {
            "Brier": view.bootstrap.fraction(brier_N, "no graded sample"),
            "ECE": view.bootstrap.statistic(bins_N_B3, expected_error, "no graded sample"),
        }
        if side is not view.base:
            base_N_B3, base_N = binned(view.base)
            width = bins_N_B3.shape[1]
            both = np.concatenate([bins_N_B3, base_N_B3], 1)
            out["Brier - base"] = view.bootstrap.paired(brier_N, base_N, "no item that both have twice")
            out["ECE - base"] = view.bootstrap.statistic(
                both, lambda m: expected_error(m[..., :width]) - expected_error(m[..., width:]), "no graded sample"
            )
        return out


def compliance(side: Side) -> NDArray:
    """Share of an item's samples that end by themselves with an answer; nan without samples."""
    m = side.measures
    sampled = m.finish_N_J != ""
    good = np.isin(m.finish_N_J, FINISHED) & (m.classes_N_J >= 0)
    return np.where(sampled.any(1), good.sum(1) / np.maximum(sampled.sum(1), 1), np.nan)


def answer_confidence(classes_N_J: NDArray, graded_N_J: NDArray) -> NDArray:
    """[N, J]: share of the item's other graded samples with the same answer; 0 without an answer, nan if alone."""
    same = (classes_N_J[:, :, None] == classes_N_J[:, None, :]) & graded_N_J[:, None, :] & graded_N_J[:, :, None]
    others = graded_N_J.sum(1, keepdims=True) - 1
    share = (same.sum(2) - 1) / np.maximum(others, 1)
    share = np.where(classes_N_J >= 0, share, 0.0)
    return np.where(graded_N_J & (others > 0), share, np.nan)


def binned(side: Side) -> tuple[NDArray, NDArray]:
    """By item: (count, sum of confidence, right) in each bin, flat, and the mean Brier score (nan if unknown)."""
    sure_N_J = answer_confidence(side.measures.classes_N_J, side.graded_N_J)
    scored, right = np.isfinite(sure_N_J), side.right_N_J.astype(float)
    bins_N_J = np.minimum((np.nan_to_num(sure_N_J) * BINS).astype(int), BINS - 1)
    inside = (bins_N_J[..., None] == np.arange(BINS)) & scored[..., None]
    sums = [inside.sum(1), (inside * np.nan_to_num(sure_N_J)[..., None]).sum(1), (inside * right[..., None]).sum(1)]
    error = np.where(scored, (np.nan_to_num(sure_N_J) - right) ** 2, 0.0).sum(1)
    brier_N = np.where(scored.any(1), error / np.maximum(scored.sum(1), 1), np.nan)
    return np.concatenate(sums, 1).astype(float), brier_N


def expected_error(means: NDArray) -> NDArray:
    """ECE from means of (counts, confidences, right) over bins, [..., 3 B]."""
    counts, sure, right = np.split(means, 3, axis=-1)
    total = counts.sum(-1)
    return np.where(total > 0, np.abs(sure - right).sum(-1) / np.where(total > 0, total, 1), np.nan)


def text_loss(view: View, side: Side) -> dict[str, Estimate]:
    """Mean NLL per token by source of text, and its paired difference from the base."""
    rows, base_rows = side.probes.get(TEXTS), view.base.probes.get(TEXTS)
    if rows is None:
        return {"text loss": Estimate(refused="no plain-text pass: elicit lens GROUP run=true")}
    out: dict[str, Estimate] = {}
    for source in sorted({row["source"] for row in rows}):
        lines = _losses(rows, source)
        boot = Bootstrap(Resamples(list(lines), view.draws, view.seed))
        out[f"text loss, {source}"] = _per_token(boot, list(lines.values()), [(0.0, 0)] * len(lines))
        if base_rows is not None and side is not view.base:
            base_lines = _losses(base_rows, source)
            if set(base_lines) == set(lines):
                name = f"text loss, {source} - base"
                out[name] = _per_token(boot, list(lines.values()), [base_lines[line] for line in lines])
    return out


def _losses(rows: Sequence[Mapping[str, Any]], source: str) -> dict[str, tuple[float, int]]:
    """text -> (NLL of the whole, tokens)."""
    return {row["text"]: (row["nll"], row["tokens"]) for row in rows if row["source"] == source and row["tokens"] > 0}


def _per_token(boot: Bootstrap, policy: list[tuple[float, int]], base: list[tuple[float, int]]) -> Estimate:
    columns = np.array([(a - b, tokens) for (a, tokens), (b, _) in zip(policy, base, strict=True)], float)
    return boot.statistic(columns, lambda m: m[..., 0] / m[..., 1], "no token")
