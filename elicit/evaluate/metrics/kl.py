"""KL to the base: E_{y~m} sum_t KL(p_m || p_b), full vocabulary, per sequence and per token.

Exact at each position of the policy's own samples, so the only error is that of the mean over samples, which have to
be drawn from the policy at T=1 (regime `support`). A selecting strategy has no p_m of its own: for one trace picked
out of N independent draws, whatever the symmetric rule,

    KL <= log N - (N - 1)/N     (best-of-N attains it; a rule's chance to pick a trace is majorised by it, Border 1991)

and the percentile of the chosen trace's base log-prob among its chains says how far out it is. Samples of another
regime give no estimate of the KL: it is refused and their mean is reported in a column that names the regime; a
strategy that picks tokens by a rule of its own draws by it in any regime. Seeds of one arm are averaged item by item,
so that its interval is over items alone. No files.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.annotations import Annotations
from elicit.evaluate.statistics.ratios import Bootstrap, over_seeds
from elicit.results import Column, Estimate
from elicit.results.comparison import ROLES

TOP = 0.05
NO_POSITION = "no position with a divergence"


def divergence(notes: Annotations) -> dict[str, NDArray] | None:
    """By sample [N, J]: nats per sequence, per token, share of the top 5 % of positions; None if selecting."""
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
    """N, if every sample was picked out of equally many chains."""
    counts = {len(chains) for chains in notes.chains.values()}
    return counts.pop() if len(counts) == 1 else None


def kl_columns(notes_S: Sequence[Annotations], regime: str, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """KL of the seeds of one arm, whose samples are of one regime."""
    if notes_S[0].selecting:
        return _selecting(notes_S, bootstrap)
    of_seeds = [found for notes in notes_S if (found := divergence(notes)) is not None]
    values = {name: over_seeds([found[name] for found in of_seeds]) for name in of_seeds[0]}
    out = {name: bootstrap.mean(values[name], NO_POSITION) for name in ("sequence", "token")}
    out["top 5 %"] = bootstrap.fraction(values["top 5 %"], NO_POSITION)
    if regime != "support" and not notes_S[0].own_rule:
        reason = f"samples of regime {regime}: the expectation is over draws at T=1 (eval=support, or eval.annotate)"
        refused = dict.fromkeys(out, Estimate(refused=reason))
        return refused | {f"{name}, {regime}": value for name, value in out.items()}
    return out


def _selecting(notes_S: Sequence[Annotations], bootstrap: Bootstrap) -> dict[str, Estimate]:
    """A strategy that chooses among chains: how far out the chosen one is, and what choosing can add at most."""
    refused = Estimate(refused="its strategy has no next-token distribution of its own")
    out = dict.fromkeys(("sequence", "token", "top 5 %"), refused)
    counts = {chain_count(notes) for notes in notes_S}
    n = counts.pop() if len(counts) == 1 else None
    if n is None or not notes_S[0].independent:
        out["best-of-N bound"] = Estimate(refused="its chains are no independent draws of the base at T=1")
    else:
        bound = best_of_n_bound(n)
        out["best-of-N bound"] = Estimate(bound, bound, bound)
    chosen_N = over_seeds([chosen_percentile(notes) for notes in notes_S])
    out["percentile of the chosen"] = bootstrap.fraction(chosen_N, "no sample with several chains")
    return out


KL_COLUMNS = (
    Column("kl/sequence", "KL, nats per answer", "nats", "KL to the base, full vocabulary, at T=1", "distance", ROLES),
    Column(
        "kl/sequence_compare", "KL, regime compare", "nats",
        "mean over samples of regime compare: no estimate of the KL", "distance", ROLES,
    ),
    Column("kl/token", "KL, nats per token", "nats", "the same per token", "distance", ROLES),
    Column(
        "kl/top_share", "In the top 5 %", "percent", "share of the KL that the 5 % of positions with most of it carry",
        "distance", ROLES,
    ),
    Column(
        "kl/bound", "KL bound", "nats", "log N - (N - 1)/N: what picking one of N draws can add", "distance", ROLES
    ),
    Column(
        "kl/percentile", "Chosen, percentile", "percent",
        "share of the other chains that the base finds less likely than the chosen one", "distance", ROLES,
    ),
)  # fmt: skip
