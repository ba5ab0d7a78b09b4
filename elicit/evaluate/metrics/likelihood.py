"""Trace likelihood: how usual a policy's traces are to the base, teacher-forced at T=1.

    nll             -mean_t log p_b(y_t)                rank > k     share of tokens not among the base's k best
    worst window    the largest mean NLL of 32 tokens   typicality   share of the base's own samples less likely

Typicality compares mean log-probs with samples of the same item drawn from the base at T=1 (regime `support`) and the
B0's prompt, under which all traces are scored: .5 is a typical trace, 0 one that is less likely than all of them. Seeds
of one arm are averaged item by item, so that its interval is over items alone. No files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.annotations import Annotations
from elicit.evaluate.measures.ragged import Ragged
from elicit.evaluate.metrics.metric import drawn_elsewhere
from elicit.evaluate.statistics.ratios import Bootstrap, over_seeds
from elicit.results import Column, Estimate
from elicit.results.comparison import ROLES

WINDOW = 32
RANKS = (1, 10, 100)
NO_TRACE = "no trace"


def likelihood(notes: Annotations) -> dict[str, NDArray]:
    """Numbers by sample [N, J]; nan if a sample has no trace or no token."""
    nll = Ragged(-notes.base_logprobs.values, notes.base_logprobs.lengths_R)
    out = {"nll": nll.mean(), f"worst {WINDOW}": nll.windows(WINDOW).most()}
    for rank in RANKS:  # stored ranks count from 0
        out[f"rank > {rank}"] = Ragged(notes.base_ranks.values >= rank, notes.base_ranks.lengths_R).mean()
    return {name: notes.spread(values_R) for name, values_R in out.items()}


def typicality(nll_N_J: NDArray, base_nll_N_K: NDArray) -> NDArray:
    """[N, J]: share of the base's own samples of the item with a larger NLL, equal ones half; nan if unknown."""
    known_N_1_K = np.isfinite(base_nll_N_K)[:, None]
    less = (base_nll_N_K[:, None] > nll_N_J[:, :, None]) + 0.5 * (base_nll_N_K[:, None] == nll_N_J[:, :, None])
    count_N_1 = known_N_1_K.sum(2)
    share = (less * known_N_1_K).sum(2) / np.maximum(count_N_1, 1)
    return np.where((count_N_1 > 0) & np.isfinite(nll_N_J), share, np.nan)


def likelihood_columns(
    notes_S: Sequence[Annotations], base_nll_N_K: NDArray | None, bootstrap: Bootstrap, c1_elsewhere: str | None = None
) -> dict[str, Estimate]:
    """Likelihood of the seeds of one arm; `base_nll_N_K` are the base's own samples at T=1, None: not annotated.

    c1_elsewhere: the prompt of C1 if it is not B0's, so that its traces are not the base's own there.
    """
    of_seeds = [likelihood(notes) for notes in notes_S]
    out = {}
    for name in of_seeds[0]:
        interval: Callable[[NDArray, str], Estimate] = bootstrap.mean
        if name.startswith("rank"):  # a share of tokens
            interval = bootstrap.fraction
        out[name] = interval(over_seeds([found[name] for found in of_seeds]), NO_TRACE)
    if base_nll_N_K is None:
        reason = "no samples of the base at T=1 with base log-probs: its ceiling C1 was not annotated"
        if c1_elsewhere is not None:
            reason = f"{drawn_elsewhere(c1_elsewhere)}, or eval.annotate=true"
        return {**out, "typicality": Estimate(refused=reason)}
    typical_N = over_seeds([typicality(found["nll"], base_nll_N_K) for found in of_seeds])
    return {**out, "typicality": bootstrap.fraction(typical_N, NO_TRACE)}


LIKELIHOOD_COLUMNS = (
    Column("likelihood/nll", "NLL, nats per token", "nats", "of the traces under the base", "distance", ROLES),
    Column("likelihood/worst_window", "Worst 32 tokens", "nats", "largest mean NLL of 32 tokens", "distance", ROLES),
    Column("likelihood/rank_1", "Rank > 1", "percent", "tokens other than the base's first choice", "distance", ROLES),
    Column("likelihood/rank_10", "Rank > 10", "percent", "tokens not among its first 10", "distance", ROLES),
    Column("likelihood/rank_100", "Rank > 100", "percent", "tokens not among its first 100", "distance", ROLES),
    Column(
        "likelihood/typicality", "Typicality", "percent",
        "share of the base's own traces of the item that it finds less likely; 50 is typical", "distance", ROLES,
    ),
)  # fmt: skip
