"""Trace likelihood: how usual a policy's traces are to the base, teacher-forced at T=1.

    nll             -mean_t log p_b(y_t)                rank > k     share of tokens not among the base's k best
    worst window    the largest mean NLL of 32 tokens   typicality   share of the base's own samples less likely

Typicality compares mean log-probs with samples of the same item drawn from the base at T=1 (regime `support`): .5 is
a typical trace, 0 one that is less likely than all of them. Arrays in, arrays out; no files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.annotations import Annotations
from elicit.evaluate.measures.ragged import Ragged

WINDOW = 32
RANKS = (1, 10, 100)


def likelihood(notes: Annotations) -> dict[str, NDArray]:
    """Numbers by sample [N, J]; nan where a sample has no trace or no token."""
    nll = Ragged(-notes.base_logprobs.values, notes.base_logprobs.lengths_R)
    out = {"nll": nll.mean(), f"worst {WINDOW}": nll.windows(WINDOW).most()}
    for rank in RANKS:  # stored ranks count from 0
        out[f"rank > {rank}"] = Ragged(notes.base_ranks.values >= rank, notes.base_ranks.lengths_R).mean()
    return {name: notes.spread(values_R) for name, values_R in out.items()}


def typicality(nll_N_J: NDArray, base_nll_N_K: NDArray) -> NDArray:
    """[N, J]: share of the base's own samples of the item with a larger NLL, equal ones half; nan where unknown."""
    known_N_1_K = np.isfinite(base_nll_N_K)[:, None]
    less = (base_nll_N_K[:, None] > nll_N_J[:, :, None]) + 0.5 * (base_nll_N_K[:, None] == nll_N_J[:, :, None])
    count_N_1 = known_N_1_K.sum(2)
    share = (less * known_N_1_K).sum(2) / np.maximum(count_N_1, 1)
    return np.where((count_N_1 > 0) & np.isfinite(nll_N_J), share, np.nan)
