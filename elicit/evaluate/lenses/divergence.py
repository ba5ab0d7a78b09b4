"""divergence: KL of a policy to the base, exact over the vocabulary (metrics/kl.py has the definitions).

The expectation is over the policy's own draws at T=1: samples of another regime are refused as an estimate of it, and
their mean stands in a column that names the regime. A strategy that picks tokens by a rule of its own draws by it in
any regime. Selecting strategies get their bound and their percentile instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from elicit.evaluate.annotations import Annotations
from elicit.evaluate.lenses.lens import ANNOTATIONS, Reading, of_columns, reading, refusing, told
from elicit.evaluate.lenses.likelihood import by_item
from elicit.evaluate.lenses.view import Side, View
from elicit.evaluate.metrics.kl import best_of_n_bound, chain_count, chosen_percentile, divergence
from elicit.evaluate.statistics import Estimate, refusal


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
        columns = {side.name: self._columns(view, side, notes) for side, notes in known}
        regimes = sorted({side.measures.regime for side, _ in known})
        shown = ["sequence" if regime == "support" else f"sequence, {regime}" for regime in regimes]
        figure = of_columns("KL to the base", "nats a sequence", columns, [*shown, "best-of-N bound"])
        said = (f"{name}: {told(c[key], False)} nats a sequence on its samples of regime {key.rpartition(', ')[2]}"
                if key != "sequence" else f"{name}: {told(c[key], False)} nats a sequence"
                for name, c in columns.items() for key in shown if key in c)  # fmt: skip
        return reading(self, columns, figure, "; ".join(said) + ".")

    def _columns(self, view: View, side: Side, notes: Annotations) -> dict[str, Estimate]:
        found = divergence(notes)
        if found is None:
            return self._selecting(view, notes)
        none = "no position with a divergence"
        out = {name: view.bootstrap.mean(by_item(found[name]), none) for name in ("sequence", "token")}
        out["top 5 %"] = view.bootstrap.fraction(by_item(found["top 5 %"]), none)
        regime = side.measures.regime
        if regime != "support" and not notes.own_rule:
            reason = f"samples of regime {regime}: the expectation is over draws at T=1 (eval=support)"
            out = {**dict.fromkeys(out, refusal(reason)), **{f"{name}, {regime}": value for name, value in out.items()}}
        return out

    def _selecting(self, view: View, notes: Annotations) -> dict[str, Estimate]:
        reason, n = "its strategy has no next-token distribution of its own", chain_count(notes)
        out = {name: refusal(reason) for name in ("sequence", "token", "top 5 %")}
        if n is None or not notes.independent:
            out["best-of-N bound"] = refusal("its chains are no independent draws of the base at T=1")
        else:
            bound = best_of_n_bound(n)
            out["best-of-N bound"] = {"point": bound, "lo": bound, "hi": bound}
        percentile = by_item(chosen_percentile(notes))
        out["percentile of the chosen"] = view.bootstrap.fraction(percentile, "no sample with several chains")
        return out
