"""Contrastive vectors: the baseline that the other activation methods must beat.

    d_l  = aggregate over items of ( mean h_l(positive side) - mean h_l(negative side) )    mean, pca or logistic
    h_l  <- h_l + s * R_l * d_l / |d_l|        at the write positions; l, s and they chosen on dev

h_l is the output of block l, R_l its mean norm at the last prompt token. Positive and negative: right
and wrong own samples (class R), traced and direct ones (class V, see elicit/sampling/own.py), or two prompts.
Before its first generated token the
samples of one item share their whole prefix and d is exactly 0, so by default h_l is read *in context*: at
the last prompt token of the next question on a page that begins with the sample (an in-context vector,
arXiv 2311.06668). That is the very position that is written to; a vector read at the first generated
token writes "that token has been said" there instead, which a base may follow or not.
After Rimsky et al. (arXiv 2312.06681) and Turner et al. (arXiv 2308.10248), on own samples instead
of written pairs. Left out: combining layers, per-token schedules, a teacher's text.
Cost: items x samples completions, one forward pass to the deepest layer, tries x dev items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from methods.contrastive.fitting import ContrastiveFit
from methods.contrastive.placebos import KeyPair, PermutedLabels, RandomDirection, same_settings

if TYPE_CHECKING:
    from elicit.method import Method


@dataclass(frozen=True)
class Contrastive(ContrastiveFit):
    """One steering vector at one layer, with its controls."""

    def placebos(self) -> dict[str, Method]:
        """Labels permuted inside each item; random directions of the same norm. Each searched alike."""
        return {
            "labels_permuted": same_settings(self, PermutedLabels),
            "random_direction": same_settings(self, RandomDirection),
        }

    def rivals(self) -> dict[str, Method]:
        """Key-tagged minus bare prompts, for tasks that have a key."""
        return {"key_pair": same_settings(self, KeyPair)}
