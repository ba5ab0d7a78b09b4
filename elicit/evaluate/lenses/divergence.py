"""divergence: KL of a policy to the base, exact over the vocabulary (metrics/kl.py has the definitions).

The expectation is over the policy's own draws at T=1. Samples of another regime are refused as an estimate of it; their
mean is reported in a column that names the regime. A strategy with its own token rule draws by that rule in any
regime. Selecting strategies get their bound and their percentile instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from elicit.evaluate.lenses.lens import ANNOTATIONS, Reading, formatted, of_columns, reading, refusing
from elicit.evaluate.lenses.view import View
from elicit.evaluate.metrics.kl import kl_columns


@dataclass(frozen=True)
class Divergence:
    """KL to the base."""

    name: str = "divergence"
    about: str = "KL of the policy to the base in nats, over the whole vocabulary"
    source: str = "2401.01879"
    needs: str = ANNOTATIONS

    def read(self, view: View) -> Reading:
        annotated = view.annotated
        if not annotated:
            return refusing(self, "no policy is annotated with base log-probs (elicit lens GROUP run=true)")
        columns = {side.name: kl_columns([notes], side.measures.regime, view.bootstrap) for side, notes in annotated}
        regimes = sorted({side.measures.regime for side, _ in annotated})
        shown = ["sequence" if regime == "support" else f"sequence, {regime}" for regime in regimes]
        figure = of_columns("KL to the base", "nats per sequence", columns, [*shown, "best-of-N bound"])
        says = []
        for name, of in columns.items():
            for key in (key for key in shown if key in of):
                regime = "" if key == "sequence" else f" on its samples of regime {key.rpartition(', ')[2]}"
                says.append(f"{name}: {formatted(of[key], False)} nats per sequence{regime}")
        return reading(self, columns, figure, says)
