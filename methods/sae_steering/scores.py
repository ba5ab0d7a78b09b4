"""Contrast scores of features: what correlates with right, or traced, own samples. Several in one pass.

    cohens_d       mean over items of (mean a_f of the item's positive samples - of its negative ones), over their
                   standard deviation: paired, at the read position                        (no paper)
    trace_d        the same with long (traced) and short (direct) samples
    difference     mean over items of the same difference, not standardised; for two prompts   (after arXiv 2601.08058)
    reason_score   mu+_f / sum_f mu+ * H_f^.7 - mu-_f / sum_f mu-     (ReasonScore, arXiv 2503.18878)
                   mu+: mean activation on the tokens of a vocabulary, mu-: on all others; H_f: entropy of its mass over
                   the vocabulary's words, normalised to 1. The paper picks ten words by hand; here they are the tokens
                   most over-represented on the positive side (log odds), words that never occur dropped.

Correlation only: 45-90 % of such features follow a few tokens (arXiv 2601.05679), so `cause.py` chooses.
N readings, F features, P items, W words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from elicit.errors import MethodError
from methods.sae_steering.dictionary import Codes
from methods.sae_steering.store import ActivationStore

ALPHA = 0.7


@dataclass(frozen=True)
class FeatureStatistics:
    """What the contrast scores and the placebos use, for every feature."""

    rate_F: torch.Tensor
    """share of tokens on which it fires"""
    least_F: torch.Tensor
    """smallest positive activation (inf: never fires): serves as the threshold of a TopK feature"""
    words_W_F: torch.Tensor
    """mean activation on the tokens of each word"""
    others_F: torch.Tensor
    """mean activation on tokens of no word"""
    vocabulary_F: torch.Tensor
    """mean activation on tokens of any word"""
    mean_F: torch.Tensor
    """mean activation on all tokens"""


def statistics(coded: Codes, store: ActivationStore, words: Sequence[int]) -> FeatureStatistics:
    """Rates, extremes and the means by word, from the codes of a store."""
    group = np.full(max(int(store.tokens_N.max(initial=0)), *words, 0) + 1, len(words))
    for place, word in enumerate(words):
        group[word] = place
    groups_N = group[store.tokens_N[coded.places_N]]
    sums = coded.sums(groups_N, len(words) + 1)
    counts = torch.from_numpy(np.bincount(groups_N, minlength=len(words) + 1)).float()
    means = sums / counts.clamp_min(1)[:, None]
    inside = sums[:-1].sum(0) / counts[:-1].sum().clamp_min(1)
    overall = sums.sum(0) / counts.sum().clamp_min(1)
    return FeatureStatistics(coded.rate_F, coded.least_F, means[:-1], means[-1], inside, overall)


def cohens_d(acts_N_F: torch.Tensor, sides: Sequence[bool | None], items: Sequence[str]) -> torch.Tensor:
    """Paired Cohen's d [F] over items that have both sides; 0 for a feature that never differs.

    Raises MethodError if fewer than two items have both sides.
    """
    positive_P_F, negative_P_F = item_means(acts_N_F, sides, items)
    difference_P_F = positive_P_F - negative_P_F
    spread_F = difference_P_F.std(0)
    return torch.where(spread_F > 0, difference_P_F.mean(0) / spread_F.clamp_min(1e-12), 0.0)


def mean_difference(acts_N_F: torch.Tensor, sides: Sequence[bool | None], items: Sequence[str]) -> torch.Tensor:
    """Mean paired difference [F]. Raises the errors of `item_means`."""
    positive_P_F, negative_P_F = item_means(acts_N_F, sides, items)
    return (positive_P_F - negative_P_F).mean(0)


def item_means(
    acts_N_F: torch.Tensor, sides: Sequence[bool | None], items: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(positive, negative) means [P, F] of the items that have both sides. Raises MethodError for fewer than two."""
    number = {item: place for place, item in enumerate(dict.fromkeys(items))}
    which = torch.tensor([number[item] for item in items])
    means, present = [], []
    for side in (True, False):
        on_side_N = torch.tensor([each is side for each in sides])
        counts_P = torch.bincount(which[on_side_N], minlength=len(number))
        sums_P_F = torch.zeros(len(number), acts_N_F.shape[1]).index_add_(0, which[on_side_N], acts_N_F[on_side_N])
        means.append(sums_P_F / counts_P.clamp_min(1)[:, None])
        present.append(counts_P > 0)
    both_P = present[0] & present[1]
    if int(both_P.sum()) < 2:
        positive, negative = (sum(side is s for side in sides) for s in (True, False))
        raise MethodError(
            f"{int(both_P.sum())} items have samples on both sides of the contrast ({positive} positive, {negative} "
            f"negative in {len(number)} items), at least 2 are needed: more samples per item, more items or "
            "another contrast"
        )
    return means[0][both_P], means[1][both_P]


def reason_score(measured: FeatureStatistics) -> torch.Tensor:
    """ReasonScore [F]; 0 on a feature that never fires on the vocabulary."""
    words_W_F = measured.words_W_F[measured.words_W_F.sum(1) > 0]
    if len(words_W_F) < 2:
        return torch.zeros_like(measured.others_F)
    shares_W_F = words_W_F / words_W_F.sum(0).clamp_min(1e-12)
    entropy_F = torch.special.entr(shares_W_F).sum(0) / np.log(len(words_W_F))
    inside_F = measured.vocabulary_F / measured.vocabulary_F.sum().clamp_min(1e-12)
    outside_F = measured.others_F / measured.others_F.sum().clamp_min(1e-12)
    return inside_F * entropy_F.clamp_min(0) ** ALPHA - outside_F


def telling_tokens(
    completions: Sequence[Sequence[int]], sides: Sequence[bool | None], special: set[int], words: int
) -> list[int]:
    """The tokens most over-represented in the positive completions, by smoothed log odds of a token's share."""
    counts: dict[bool, dict[int, int]] = {True: {}, False: {}}
    for tokens, side in zip(completions, sides, strict=True):
        for token in tokens if side is not None else ():
            counts[bool(side)][token] = counts[bool(side)].get(token, 0) + 1
    totals = {side: sum(found.values()) + 1 for side, found in counts.items()}

    def odds(token: int) -> float:
        return float(
            np.log((counts[True].get(token, 0) + 0.5) / totals[True])
            - np.log((counts[False].get(token, 0) + 0.5) / totals[False])
        )

    ranked = sorted((token for token in counts[True] if token not in special), key=lambda token: (-odds(token), token))
    return [token for token in ranked[:words] if odds(token) > 0]


def interleaved(rankings: Sequence[Sequence[int]], keep: int) -> list[int]:
    """The first `keep` distinct entries, taken in turn from the front of each ranking."""
    out: dict[int, None] = {}
    for place in range(max(map(len, rankings), default=0)):
        for ranking in rankings:
            if place < len(ranking) and len(out) < keep:
                out.setdefault(ranking[place])
    return list(out)
