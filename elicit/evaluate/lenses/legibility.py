"""legibility: how hard are traces to read, as far as a count can tell? (arXiv 2508.16695)

    words        per sentence of the trace
    symbols      share of its characters that are neither letters nor blanks nor points
    repeated     share of its sentences that were written before
    unmarked     share of its sentences whose kind no marker word shows (lenses/structure)

These are proxies: no number here is a judgement of a reader. What people find legible is asked by a blinded rating
packet (elicit/studies/packet.py), and without ratings nothing is concluded. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, formatted, of_columns, reading
from elicit.evaluate.lenses.sentences import sentences
from elicit.evaluate.lenses.structure import kind_of
from elicit.evaluate.lenses.view import Side, View
from elicit.tasks.grading.extract import own_part

COUNTS = ("sentences", "words", "characters", "symbols", "repeated", "unmarked")


@dataclass(frozen=True)
class Legibility:
    """Counts that approximate legibility."""

    name: str = "legibility"
    about: str = "countable properties of traces that make them hard to read; no judgement of a reader"
    source: str = "2508.16695"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        columns = {}
        for side in view.sides:
            of, share = counted(side), view.bootstrap.share
            both = np.stack([of["words"], of["sentences"]], 1)
            columns[side.name] = {
                "words per sentence": view.bootstrap.statistic(both, lambda m: m[..., 0] / m[..., 1], "no text"),
                "symbols": share(of["symbols"], of["characters"], "no text"),
                "repeated": share(of["repeated"], of["sentences"], "no text"),
                "unmarked": share(of["unmarked"], of["sentences"], "no text"),
            }
        figure = of_columns("Proxies of legibility", "share", columns, ["symbols", "repeated", "unmarked"])
        says = [f"{name}: {formatted(of['unmarked'])} of the sentences are unmarked" for name, of in columns.items()]
        return reading(self, columns, figure, says)


def counted(side: Side) -> dict[str, NDArray]:
    """Sums by item."""
    out = {name: np.zeros(len(side.texts_N_J)) for name in COUNTS}
    for i, texts in enumerate(side.texts_N_J):
        for text in texts:
            part = own_part(text)[0]
            steps = sentences(part)
            out["sentences"][i] += len(steps)
            out["words"][i] += len(part.split())
            out["characters"][i] += len(part)
            out["symbols"][i] += sum(not (sign.isalpha() or sign.isspace() or sign == ".") for sign in part)
            out["repeated"][i] += len(steps) - len(set(steps))
            out["unmarked"][i] += sum(kind_of(step) == "other" for step in steps)
    return out
