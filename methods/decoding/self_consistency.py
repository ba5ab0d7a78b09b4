"""Self-consistency (arXiv 2203.11171): sample n chains, return one that states the majority answer.

    x_i ~ p(. | prompt), i = 1..n;   return an x_i with class(answer(x_i)) = argmax_c sum_i [class(answer(x_i)) = c]

Of the winning class the first chain is returned. Cost: n chains an answer, all counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from methods.decoding.sampled import SampledChains


@dataclass(frozen=True)
class SelfConsistency(SampledChains):
    """Majority vote over n samples."""
