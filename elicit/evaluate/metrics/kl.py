"""KL to the base: E_{y~m} sum_t KL(p_m || p_b), full vocabulary, per sequence and per token.

Exact at each position of the policy's own samples, so the only error is that of the mean over samples, which have to
be drawn from the policy at T=1 (regime `support`). A selecting strategy has no p_m of its own: for one trace picked
out of N independent draws, whatever the symmetric rule,

    KL <= log N - (N - 1)/N     (best-of-N attains it; a rule's chance to pick a trace is majorised by it, Border 1991)

and the percentile of the chosen trace's base log-prob among its chains says how far out it is. No files.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.annotations import Annotations

TOP = 0.05


def divergence(notes: Annotations) -> dict[str, NDArray] | None:
    """By sample [N, J]: nats a sequence, nats a token, share that the top 5 % of positions carry; None if selecting."""
    if notes.kl is None:
        return None
    found = {"sequence": notes.kl.sum(), "token": notes.kl.mean(), "top 5 %": notes.kl.top_share(TOP)}
    return {name: notes.spread(values_R) for name, values_R in found.items()}


def best_of_n_bound(n: int) -> float:
    """Nats that picking one of n independent draws can add."""
    return log(n) - (n - 1) / n


def chosen_percentile(notes: Annotations) -> NDArray:
    """[N, J]: share of a sample's other chains with a lower base log-prob, equal ones half; nan without chains.

    The chosen chain is found by its own log-prob: chains of equal tokens are equal.
    """
    chosen_N_J = notes.spread(notes.base_logprobs.sum())
    out = np.full(chosen_N_J.shape, np.nan)
    for (i, j), chains in notes.chains.items():
        others = len(chains) - 1
        if others < 1 or not np.isfinite(chosen_N_J[i, j]):
            continue
        own = int(np.argmin(np.abs(chains[:, 1] - chosen_N_J[i, j])))
        rest = np.delete(chains[:, 1], own)
        out[i, j] = ((rest < chains[own, 1]).sum() + 0.5 * (rest == chains[own, 1]).sum()) / others
    return out


def chain_count(notes: Annotations) -> int | None:
    """N, where every sample was picked out of equally many chains."""
    counts = {len(chains) for chains in notes.chains.values()}
    return counts.pop() if len(counts) == 1 else None
