"""likelihood: how usual a policy's traces are to the base (metrics/likelihood.py has the definitions).

A policy whose traces the base itself often writes brings something out; one whose traces the base never writes puts
something in. Traces of another regime than the base's samples differ by the regime too: it is named in the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import ANNOTATIONS, Reading, of_columns, reading, refusing, rows, told
from elicit.evaluate.lenses.view import View
from elicit.evaluate.metrics.likelihood import likelihood, likelihood_columns
from elicit.results import Estimate


@dataclass(frozen=True)
class Likelihood:
    """Base log-probs of traces."""

    name: str = "likelihood"
    about: str = "what the base thinks of the traces, teacher-forced at T=1, and their rank among its own samples"
    source: str = "2504.13837"
    needs: str = ANNOTATIONS

    def read(self, view: View) -> Reading:
        known = [(side, side.annotations) for side in view.sides if side.annotations is not None]
        if not known:
            return refusing(self, "no policy is annotated with base log-probs (elicit lens GROUP run=true)")
        own_N_K = self._own(view)
        columns: dict[str, dict[str, Estimate]] = {}
        for side, notes in known:
            columns[side.name] = likelihood_columns([notes], own_N_K, view.bootstrap)
        regimes = {side.name: side.measures.regime for side, _ in known}
        table = [{**row, "regime": regimes[row["policy"]]} for row in rows(columns)]
        figure = of_columns("NLL under the base", "nats a token", columns, ["nll", "worst 32"])
        said = (f"{name}: {told(c['nll'], False)} nats a token, typicality {told(c['typicality'], False)}"
                for name, c in columns.items())  # fmt: skip
        return reading(self, columns, figure, "; ".join(said) + ".", table)

    def _own(self, view: View) -> NDArray | None:
        """Mean NLL of the base's own samples at T=1."""
        if view.support is None or view.support.annotations is None:
            return None
        return likelihood(view.support.annotations)["nll"]
