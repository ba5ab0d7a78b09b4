"""SAE feature steering: one sparse feature of the base's own activations, found by contrast and chosen by cause.

    x ~ b + sum_f a_f(x) d_f                     a TopK dictionary of the output of block l (arXiv 2406.04093)
    h_l <- h_l + r R_l d_f                       add, at the write positions; R_l mean residual norm
    h_l <- h_l + (r R_l - a_f(h_l)) d_f          clamp: equal to encode, set a_f, decode, add the error back
    f, r and the positions: contrast -> 64 features -> causal scores -> 16 -> successive halving on dev

Own samples are read on pages of two questions (`read=in_context`), because before its first token the samples of one
item share their whole prefix; the sides are right and wrong (class R) or traced and direct (class V). Contrast scores
(scores.py): paired Cohen's d, traced - direct, ReasonScore (2503.18878). Causal scores (cause.py): output score
(2505.20063), token confidence (2510.03659), preference for the positive sample. Token-injection badge (2601.05679).
Left out: several features at once, transcoders, crosscoders, features of attention or MLP outputs.
Cost: items x samples completions, one forward pass over their pages to the deepest layer, the dictionaries, 64 x
probes x 2 short rows, and chosen x strengths tries by halving plus positions x strengths on dev.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from methods.sae_steering.fitting import SaeFit
from methods.sae_steering.placebos import (
    CovarianceDirection,
    DifferenceOfMeans,
    LiveFeature,
    NegativeDose,
    PermutedLabels,
    RandomDirection,
    RandomModel,
    ReconstructionAlone,
    ShuffledDecoder,
    same_settings,
)

if TYPE_CHECKING:
    from elicit.method import Method


@dataclass(frozen=True)
class SaeSteering(SaeFit):
    """One feature of one dictionary, with its controls."""

    def placebos(self) -> dict[str, Method]:
        """Strongest sensible single one first; those without a dictionary only for a plain addition."""
        found: dict[str, Method] = {"live_feature": same_settings(self, LiveFeature)}
        if self.plain:
            found["random_direction"] = same_settings(self, RandomDirection)
        if not self.source.given:
            found["random_model"] = same_settings(self, RandomModel)
        if self.plain:
            found["covariance_direction"] = same_settings(self, CovarianceDirection)
        return {**found, "shuffled_decoder": same_settings(self, ShuffledDecoder)}

    def rivals(self) -> dict[str, Method]:
        """Difference of means at equal norm; features subtracted; the dictionary alone; selection by shuffled sides."""
        found: dict[str, Method] = {"difference_of_means": same_settings(self, DifferenceOfMeans)} if self.plain else {}
        found["negative_dose"] = same_settings(self, NegativeDose)
        found["reconstruction"] = same_settings(self, ReconstructionAlone)
        return {**found, "labels_permuted": same_settings(self, PermutedLabels)}

    @property
    def plain(self) -> bool:
        """Whether the edit needs no dictionary to be read while it acts."""
        return self.operator == "add" and self.sparse == "none"
