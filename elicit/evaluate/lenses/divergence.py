"""divergence: KL of a policy to the base, exact over the vocabulary (metrics/kl.py has the definitions).

The expectation is over the policy's own draws at T=1: samples of another regime are refused as an estimate of it, and
their mean stands in a column that names the regime. A strategy that picks tokens by a rule of its own draws by it in
any regime. Selecting strategies get their bound and their percentile instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from elicit.evaluate.lenses.lens import ANNOTATIONS, Reading, of_columns, reading, refusing, told
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
        known = [(side, side.annotations) for side in view.sides if side.annotations is not None]
        if not known:
            return refusing(self, "no policy is annotated with base log-probs (elicit lens GROUP run=true)")
        columns = {side.name: kl_columns([notes], side.measures.regime, view.bootstrap) for side, notes in known}
        regimes = sorted({side.measures.regime for side, _ in known})
        shown = ["sequence" if regime == "support" else f"sequence, {regime}" for regime in regimes]
        figure = of_columns("KL to the base", "nats a sequence", columns, [*shown, "best-of-N bound"])
        said = (f"{name}: {told(c[key], False)} nats a sequence on its samples of regime {key.rpartition(', ')[2]}"
                if key != "sequence" else f"{name}: {told(c[key], False)} nats a sequence"
                for name, c in columns.items() for key in shown if key in c)  # fmt: skip
        return reading(self, columns, figure, "; ".join(said) + ".")
