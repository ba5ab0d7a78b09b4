"""length: do traces grow with the work that an item takes? (arXiv 2509.07339)

Spearman's rho over items of a policy's mean tokens with the true operation count, and with the logit of the base's
solve rate, (c + 1/2) / (n - c + 1/2); the partial rho controls for the prompt's NLL under the base (a trace can be
long because the question is worded unusually). In distribution, and on each sampled shift axis. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, formatted, of_columns, reading
from elicit.evaluate.lenses.strata import operation_counts
from elicit.evaluate.lenses.view import Side, View
from elicit.results import Estimate

DRAWS = 1_000
"""resamples of a rank correlation: each needs its own ranks"""


@dataclass(frozen=True)
class Length:
    """Tokens against the work of an item."""

    name: str = "length"
    about: str = "rank correlation of mean tokens with the true operation count and with the base's solve rate"
    source: str = "2509.07339"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        columns = {side.name: self._columns(view, side) for side in view.sides}
        for axis, shifted in view.shifted.items():
            for side in shifted.sides:
                columns.setdefault(side.name, {})[f"operations, {axis}"] = _operations(shifted, side)
        table = [row for side in view.sides for row in _by_count(view, side)]
        figure = of_columns("Length and work", "Spearman's rho", columns, ["operations", "base solve rate"])
        says = [
            f"{name}: rho with the operation count {formatted(of['operations'], False)}"
            for name, of in columns.items()
            if "operations" in of
        ]
        return reading(self, columns, figure, says, table or None)

    def _columns(self, view: View, side: Side) -> dict[str, Estimate]:
        tokens_N, logit_N = mean_tokens(side), solve_logit(view.base)
        notes = view.base.annotations
        out = {"operations": _operations(view, side), "base solve rate": rank_correlation(view, tokens_N, logit_N)}
        if notes is None:
            out["operations, given prompt NLL"] = Estimate(refused="the base was not annotated: no NLL of the prompts")
            return out
        counts_N = operation_counts(view.items)
        x_N = logit_N if counts_N is None else counts_N
        name = "base solve rate" if counts_N is None else "operations"
        out[f"{name}, given prompt NLL"] = rank_correlation(view, tokens_N, x_N, notes.prompt_nll_N)
        return out


def mean_tokens(side: Side) -> NDArray:
    """Mean tokens of the returned completions by item; nan for an item without any."""
    sampled = np.isfinite(side.written_N_J)
    total = np.where(sampled, side.written_N_J, 0.0).sum(1)
    return np.where(sampled.any(1), total / np.maximum(sampled.sum(1), 1), np.nan)


def solve_logit(base: Side) -> NDArray:
    """Logit of the base's solve rate with half a success and half a failure added."""
    right_N, total_N = base.measures.right_N, base.measures.total_N
    return np.where(total_N > 0, np.log((right_N + 0.5) / (total_N - right_N + 0.5)), np.nan)


def _operations(view: View, side: Side) -> Estimate:
    counts_N = operation_counts(view.items)
    if counts_N is None:
        return Estimate(refused=f"{view.task.name} states no operation count")
    return rank_correlation(view, mean_tokens(side), counts_N)


def rank_correlation(view: View, x_N: NDArray, y_N: NDArray, given_N: NDArray | None = None) -> Estimate:
    """Spearman's rho, or the partial one given a third variable, with a cluster bootstrap interval."""
    columns = [x_N, y_N] + ([] if given_N is None else [given_N])
    valued_N = np.all(np.isfinite(columns), axis=0)
    if valued_N.sum() < 3:
        return Estimate(refused=f"{int(valued_N.sum())} items with a value: at least three are needed")
    values_N_V = np.stack([column[valued_N] for column in columns], 1)
    point = float(spearman(values_N_V))
    if not np.isfinite(point):
        return Estimate(refused="no spread: one of the two is the same for all items")
    resamples = view.bootstrap.resamples
    clusters = np.unique(resamples.codes_N[valued_N], return_inverse=True)[1]
    if clusters.max() < 1:
        return Estimate(point, refused="one cluster: no interval")
    draws = _resampled(values_N_V, clusters, np.random.default_rng([resamples.seed, 7]))
    finite = draws[np.isfinite(draws)]
    if len(finite) < 0.95 * DRAWS:
        return Estimate(point, refused="no spread in many resamples")
    return resamples.interval(point, finite)


def _resampled(values_N_V: NDArray, clusters_N: NDArray, rng: np.random.Generator) -> NDArray:
    """The correlation in each draw of clusters; draws of equally many items are ranked together."""
    members = [np.flatnonzero(clusters_N == g) for g in range(clusters_N.max() + 1)]
    picked_B_G = rng.integers(0, len(members), (DRAWS, len(members)))
    if all(len(m) == len(members[0]) for m in members):
        rows_B_N = np.stack(members)[picked_B_G].reshape(DRAWS, -1)
        return spearman(values_N_V[rows_B_N])
    return np.array([float(spearman(values_N_V[np.concatenate([members[g] for g in row])])) for row in picked_B_G])


def spearman(values_N_V: NDArray) -> NDArray:
    """rho of the first two columns (last axis), given the third if there is one; nan without spread."""
    from scipy.stats import rankdata  # slow to import

    ranks = rankdata(values_N_V, axis=-2)
    ranks -= ranks.mean(-2, keepdims=True)
    scale = np.sqrt((ranks**2).sum(-2))
    with np.errstate(divide="ignore", invalid="ignore"):

        def rho(a: int, b: int) -> NDArray:
            return (ranks[..., a] * ranks[..., b]).sum(-1) / (scale[..., a] * scale[..., b])

        if values_N_V.shape[-1] == 2:
            return rho(0, 1)
        rest = (1 - rho(0, 2) ** 2) * (1 - rho(1, 2) ** 2)
        return np.where(rest > 1e-12, (rho(0, 1) - rho(0, 2) * rho(1, 2)) / np.sqrt(np.maximum(rest, 1e-12)), np.nan)


def _by_count(view: View, side: Side) -> list[dict[str, Any]]:
    """Mean tokens and accuracy at each operation count."""
    counts_N = operation_counts(view.items)
    if counts_N is None:
        return []
    tokens_N, out = mean_tokens(side), []
    for count in np.unique(counts_N):
        at = counts_N == count
        graded, right = side.graded_N_J[at].sum(), side.right_N_J[at].sum()
        tokens = tokens_N[at][np.isfinite(tokens_N[at])]
        mean = float(tokens.mean()) if len(tokens) else None
        row = {"policy": side.name, "operations": int(count), "items": int(at.sum()), "tokens": mean}
        out.append(row | {"accuracy": float(right / graded) if graded else None})
    return out
