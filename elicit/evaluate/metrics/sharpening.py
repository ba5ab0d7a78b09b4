"""Can sharpening the base help? Covariance of reward and log-probability of its own samples (arXiv 2605.04542).

Power sampling draws from p^alpha. Its accuracy on an item has at alpha = 1 the slope

    d/d alpha E_{p^alpha}[r] = Cov_p(r, log p)          r the strict grade, log p the sum over the sample's tokens

so a positive mean covariance predicts that raising alpha helps, a negative one that it harms. Estimated within each
item from the base's samples in regime `support` (T=1, where stored log-probs are those of the sampling distribution),
with n - 1; 0 for an item whose samples are all right or all wrong. The correlation is over the other items alone.
Ungraded samples are left out. On the line of the base, or of its ceiling C1, whichever has those samples: a property of
the one policy that drew them. So C1 has it at the prompt that it was drawn at, and the line of the base refers to C1
only if that is its own prompt.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.measures.ragged import Ragged
from elicit.evaluate.metrics.metric import Lines, Metric, drawn_elsewhere
from elicit.evaluate.metrics.table import Table
from elicit.evaluate.statistics.ratios import Bootstrap
from elicit.files import read_table, shards
from elicit.results import Column, Estimate

KEYS = ("sharpening/covariance", "sharpening/correlation")


def logprobs(samples: Path, items: tuple[str, ...], n: int) -> NDArray:
    """Log-probability of every sample [N, J] under the policy that drew it; nan without a sample."""
    import pyarrow.compute as pc

    place, out = {item: i for i, item in enumerate(items)}, np.full((len(items), n), np.nan)
    for path in shards(samples):
        table = read_table(path, columns=["item", "j", "logprobs"])
        lengths = pc.fill_null(pc.list_value_length(table["logprobs"]), 0).to_numpy()
        sums = Ragged(pc.list_flatten(table["logprobs"]).to_numpy(zero_copy_only=False), lengths).sum()
        for item, j, total in zip(table["item"].to_pylist(), table["j"].to_pylist(), sums, strict=True):
            if item in place and j < n:
                out[place[item], j] = total
    return out


def slopes(m: Measures, logprobs_N_J: NDArray) -> tuple[NDArray, NDArray]:
    """(covariance, correlation) of grade and log-probability by item [N]; nan if an item has none."""
    known_N_J = (m.strict_N_J >= 0) & np.isfinite(logprobs_N_J)
    count_N = known_N_J.sum(1)
    parts = []
    for values_N_J in ((m.strict_N_J == 1).astype(float), logprobs_N_J):
        mean_N = np.where(known_N_J, values_N_J, 0.0).sum(1) / np.maximum(count_N, 1)
        parts.append(np.where(known_N_J, values_N_J - mean_N[:, None], 0.0))
    reward_N_J, logp_N_J = parts
    shared_N, rewards_N, logps_N = (
        (x * y).sum(1) for x, y in ((reward_N_J, logp_N_J), (reward_N_J, reward_N_J), (logp_N_J, logp_N_J))
    )
    spread_N = np.sqrt(rewards_N * logps_N)
    covariance_N = np.where(count_N > 1, shared_N / np.maximum(count_N - 1, 1), np.nan)
    defined_N = (rewards_N > 1e-12) & (logps_N > 1e-12)
    return covariance_N, np.where(defined_N, shared_N / np.where(defined_N, spread_N, 1.0), np.nan)


def _report(table: Table, lines: Lines) -> None:
    bare, elsewhere = table.base_in_support(table.base), table.c1_elsewhere
    further = table.c1_arm if elsewhere is not None else None
    bootstrap = Bootstrap(table.joint.resamples)
    for arm, line in lines:
        if arm is bare or arm is further:
            m = arm.measures[0]
            found = slopes(m, logprobs(arm.first.samples, m.items, m.n))
            line.values[KEYS[0]] = bootstrap.mean(found[0], "no item with two graded samples")
            line.values[KEYS[1]] = bootstrap.mean(found[1], "no item with right and wrong samples")
        elif arm is table.base:
            reason = "no samples at temperature 1" if bare is None else f"see the line of {bare.first.name}"
            reason = reason if elsewhere is None else drawn_elsewhere(elsewhere)
            line.values |= dict.fromkeys(KEYS, Estimate(refused=reason))


SHARPENING = Metric(
    "sharpening",
    (
        Column(
            KEYS[0], "Reward and log p", "points",
            "slope of the accuracy in the power alpha of p^alpha at alpha = 1, points: the covariance of reward and "
            "log-probability of the base's own samples", "figures", ("base", "ceiling"),
        ),
        Column(
            KEYS[1], "Reward and log p, correlation", "ratio",
            "the same as a correlation, over items with right and wrong samples", "figures", ("base", "ceiling"),
        ),
    ),
    report=_report,
)  # fmt: skip
