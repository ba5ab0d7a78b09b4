"""likelihood: how usual a policy's traces are to the base (metrics/likelihood.py has the definitions).

If the base itself often writes such traces, the policy elicits something latent; if the base never writes them, the
policy adds something new. Traces of another regime than the base's samples differ by the regime; the table names it.
"""

from __future__ import annotations

from dataclasses import dataclass

from elicit.evaluate.lenses.lens import ANNOTATIONS, Reading, formatted, of_columns, reading, refusing, rows
from elicit.evaluate.lenses.view import View
from elicit.evaluate.metrics.likelihood import likelihood, likelihood_columns


@dataclass(frozen=True)
class Likelihood:
    """Base log-probs of traces."""

    name: str = "likelihood"
    about: str = "log-prob of the traces under the base, teacher-forced at T=1, and their rank among its own samples"
    source: str = "2504.13837"
    needs: str = ANNOTATIONS

    def read(self, view: View) -> Reading:
        annotated = view.annotated
        if not annotated:
            return refusing(self, "no policy is annotated with base log-probs (elicit lens GROUP run=true)")
        # mean NLL of the base's own samples at T=1, if they were annotated
        support = view.support.annotations if view.support is not None else None
        base_N_K = None if support is None else likelihood(support)["nll"]
        columns = {
            side.name: likelihood_columns([notes], base_N_K, view.bootstrap, view.c1_elsewhere)
            for side, notes in annotated
        }
        regimes = {side.name: side.measures.regime for side, _ in annotated}
        table = [{**row, "regime": regimes[row["policy"]]} for row in rows(columns)]
        figure = of_columns("NLL under the base", "nats per token", columns, ["nll", "worst 32"])
        says = [
            f"{name}: {formatted(of['nll'], False)} nats per token, typicality {formatted(of['typicality'], False)}"
            for name, of in columns.items()
        ]
        return reading(self, columns, figure, says, table)
