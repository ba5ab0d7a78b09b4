"""KL to the base and likelihood under it, as estimates: what annotations of a policy's samples say, over its items.

    kl           sequence, token (nats), share of the top 5 % of positions     selecting strategies: bound, percentile
    likelihood   NLL a token, worst window, shares of rank > 1, 10, 100, typicality among the base's own samples

Both are expectations over the policy's draws at T=1. Samples of another regime give no estimate of the KL: it is
refused and their mean stands in a column that names the regime; a strategy that picks tokens by a rule of its own
draws by it in any regime. Seeds of one row are averaged item by item, so that its interval is over items alone.
metrics/kl.py and metrics/likelihood.py hold the definitions; scorecard and lenses both come here. No files, no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.annotations import Annotations
from elicit.evaluate.metrics.kl import best_of_n_bound, chain_count, chosen_percentile, divergence
from elicit.evaluate.metrics.likelihood import likelihood, typicality
from elicit.evaluate.statistics.resamples import Estimate, refusal

if TYPE_CHECKING:
    from elicit.evaluate.statistics.ratios import Bootstrap

NO_POSITION, NO_TRACE = "no position with a divergence", "no trace"


def kl_columns(notes_S: Sequence[Annotations], regime: str, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """KL of the seeds of one row, whose samples are of one regime."""
    if notes_S[0].selecting:
        return _selecting(notes_S, bootstrap)

    def values_N(name: str) -> NDArray:
        return over_seeds([found[name] for notes in notes_S if (found := divergence(notes)) is not None])

    out = {name: bootstrap.mean(values_N(name), NO_POSITION) for name in ("sequence", "token")}
    out["top 5 %"] = bootstrap.fraction(values_N("top 5 %"), NO_POSITION)
    if regime != "support" and not notes_S[0].own_rule:
        reason = f"samples of regime {regime}: the expectation is over draws at T=1 (eval=support, or eval.annotate)"
        out = {**dict.fromkeys(out, refusal(reason)), **{f"{name}, {regime}": value for name, value in out.items()}}
    return out


def _selecting(notes_S: Sequence[Annotations], bootstrap: Bootstrap) -> dict[str, Estimate]:
    """A strategy that chooses among chains: how far out the chosen one is, and what choosing can add at most."""
    counts = {chain_count(notes) for notes in notes_S}
    reason, n = "its strategy has no next-token distribution of its own", counts.pop() if len(counts) == 1 else None
    out = {name: refusal(reason) for name in ("sequence", "token", "top 5 %")}
    if n is None or not notes_S[0].independent:
        out["best-of-N bound"] = refusal("its chains are no independent draws of the base at T=1")
    else:
        bound = best_of_n_bound(n)
        out["best-of-N bound"] = {"point": bound, "lo": bound, "hi": bound}
    chosen_N = over_seeds([chosen_percentile(notes) for notes in notes_S])
    out["percentile of the chosen"] = bootstrap.fraction(chosen_N, "no sample with several chains")
    return out


def likelihood_columns(
    notes_S: Sequence[Annotations], base_nll_N_K: NDArray | None, bootstrap: Bootstrap
) -> dict[str, Estimate]:
    """Likelihood of the seeds of one row; `base_nll_N_K` are the base's own samples at T=1, None: not annotated."""
    found_S = [likelihood(notes) for notes in notes_S]
    interval: dict[bool, Callable[[NDArray, str], Estimate]] = {True: bootstrap.fraction, False: bootstrap.mean}
    out = {
        name: interval[name.startswith("rank")](over_seeds([found[name] for found in found_S]), NO_TRACE)
        for name in found_S[0]
    }
    if base_nll_N_K is None:
        reason = "no samples of the base at T=1 with base log-probs: its ceiling C1 was not annotated"
        return {**out, "typicality": refusal(reason)}
    ranks_N = over_seeds([typicality(found["nll"], base_nll_N_K) for found in found_S])
    return {**out, "typicality": bootstrap.fraction(ranks_N, NO_TRACE)}


def over_seeds(values_S_N_J: Sequence[NDArray]) -> NDArray:
    """By item: mean over the seeds that have a value there."""
    return by_item(np.stack([by_item(values_N_J) for values_N_J in values_S_N_J], axis=1))


def by_item(values_N_J: NDArray) -> NDArray:
    """Mean over an item's samples that have a value; nan where none has."""
    known = np.isfinite(values_N_J)
    return np.where(known.any(1), np.where(known, values_N_J, 0).sum(1) / np.maximum(known.sum(1), 1), np.nan)
