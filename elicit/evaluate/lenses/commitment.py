"""commitment and tail: when is the answer fixed, and does what follows ever change it? (arXiv 2605.29288)

After every sentence of a trace an answer is forced (greedy). With F_k the answer after k of K sentences, F_0 the
answer without any sentence, and F the answer that the sample gave:

    arrival      the first k with F_k = F            commitment   the first k with F_k = ... = F_K = F
    tail share   (K - commitment) / K                left         arrival < commitment: F was given and changed again
    right lost   some F_k is right and F is wrong    earned       F_0 is wrong and F is right
"""

from __future__ import annotations

from dataclasses import dataclass

from elicit.evaluate.lenses.forced import (
    NOT_RUN,
    STUB,
    by_sample,
    forced_answer,
    gold_class,
    item_means,
    traced_samples,
)
from elicit.evaluate.lenses.lens import PROBES, Reading, formatted, of_columns, reading, refusing
from elicit.evaluate.lenses.view import Side, View
from elicit.results import Estimate
from elicit.sampling.probe import Probe

COLUMNS = ("never commits", "commitment", "tail share", "left", "right lost", "earned")


@dataclass(frozen=True)
class Commitment:
    """Forced answers along traces."""

    per_item: int = 1
    """traces per item"""
    room: int = 16
    """tokens of a forced answer"""
    name: str = "commitment"
    about: str = "the sentence from which a forced answer is the final one, and what the tail after it does"
    source: str = "2605.29288"
    needs: str = PROBES

    def plan(self, view: View, side: Side) -> list[Probe]:
        """One greedy answer after every sentence, and one before the first."""
        return [
            Probe(one.item, one.j, str(k), end, STUB, room=self.room)
            for one in traced_samples(view, side, self.per_item, least=1)
            for k, end in enumerate((0, *one.ends))
        ]

    def read(self, view: View) -> Reading:
        sides = view.probed(self.name)
        if not sides:
            return refusing(self, NOT_RUN)
        columns = {side.name: self._columns(view, side) for side in sides}
        figure = of_columns("When the answer is fixed", "share of the trace", columns, ["commitment", "tail share"])
        says = [f"{name}: fixed after {formatted(of['commitment'])} of the trace" for name, of in columns.items()]
        return reading(self, columns, figure, says)

    def _columns(self, view: View, side: Side) -> dict[str, Estimate]:
        values: dict[str, list[list[float]]] = {name: [[] for _ in view.items] for name in COLUMNS}
        rows = by_sample(side.probes[self.name])
        for one in traced_samples(view, side, self.per_item, least=1):
            of_one = rows.get((one.item, one.j), {})
            answers = [
                forced_answer(view.task, row["text"])
                for k in range(len(one.ends) + 1)
                for row in of_one.get(str(k), [])
            ]
            if len(answers) == len(one.ends) + 1 and one.final is not None:
                for name, value in course(answers, one.final, gold_class(view, one.i)).items():
                    values[name][one.i].append(value)
        none = "no trace that ends in an answer"
        return {name: view.bootstrap.fraction(item_means(of), none) for name, of in values.items()}


def course(answers: list[str | None], final: str, gold: str) -> dict[str, float]:
    """What happened along one trace; `answers`: after 0..K sentences. Positions are shares of K."""
    last, hits = len(answers) - 1, [answer == final for answer in answers]
    out = {"never commits": float(not hits[-1]), "earned": float(answers[0] != gold and final == gold)}
    out["right lost"] = float(final != gold and gold in answers)
    if hits[-1]:
        commitment = next(k for k in range(last + 1) if all(hits[k:]))
        out |= {"commitment": commitment / last, "tail share": 1 - commitment / last}
        out["left"] = float(hits.index(True) < commitment)
    return out
