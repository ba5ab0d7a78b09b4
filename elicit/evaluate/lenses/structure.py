"""structure: what kinds of steps traces are made of, and how far back they reach (arXiv 2601.06002)

    deduction     an equation, or a step that follows from others        link   a step that uses a value which was
    reflection    looks back at what was written                                first written `far` or more steps
    exploration   tries another way                                             before, and not since
    conclusion    states an answer

Kinds are read from marker words (MARKERS), so they describe style and do not judge it. The distance of two policies is
the Jensen-Shannon divergence (bits) of their distributions over pairs of adjacent kinds. The divergence of two halves
of the base's own samples shows what sampling noise alone gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, formatted, of_columns, reading, refusing
from elicit.evaluate.lenses.sentences import sentences
from elicit.evaluate.lenses.view import Side, View
from elicit.results import Estimate
from elicit.tasks.grading.extract import own_part

KINDS = ("deduction", "reflection", "exploration", "conclusion", "other")
ENDS = len(KINDS)
"""code of both ends of a trace, so that a trace of one step has transitions too"""
MARKERS = {
    "conclusion": re.compile(r"\banswer is\b|\\boxed|####|\bI would say\b|^It is\b", re.IGNORECASE),
    "reflection": re.compile(
        r"\b(wait|hmm|verify|actually|mistake|re-?examine|(double-?)?check|is that right)\b", re.I
    ),
    "exploration": re.compile(r"\b(alternatively|another (way|approach)|instead|suppose|maybe|try|what if)\b", re.I),
    "deduction": re.compile(
        r"=|\b(so|therefore|thus|hence|then|because|since|gives)\b|^\w \w\.$|^(up|down|open|close)\b", re.I
    ),
}
_VALUE = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Structure:
    """Kinds of steps, long links, and their distance from the base's."""

    far: int = 3
    """steps back from which a link counts as long"""
    name: str = "structure"
    about: str = "kinds of steps and long-range links, and how far their distribution is from the base's"
    source: str = "2601.06002"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        counts = {side.name: counted(side, self.far) for side in view.sides}
        base = counts[view.base.name]
        if not base.transitions.sum():
            return refusing(self, "the base has no sample with a step")
        columns, share = {}, view.bootstrap.share
        for name, of in counts.items():
            steps_N = of.kinds_N_K.sum(1)
            columns[name] = {kind: share(of.kinds_N_K[:, k], steps_N, "no step") for k, kind in enumerate(KINDS)}
            columns[name]["long links"] = share(of.links_N, steps_N, "no step")
            columns[name]["divergence"] = self._divergence(view, of.transitions.sum(3), base.transitions.sum(3))
        halves = base.transitions
        columns[view.base.name]["divergence"] = self._divergence(view, halves[..., 0], halves[..., 1])
        figure = of_columns("Kinds of steps", "share of steps", columns, list(KINDS))
        says = [
            f"{name}: {formatted(of['divergence'], False)} bits from the base"
            for name, of in columns.items()
            if name != view.base.name
        ]
        null = f"two halves of the base differ by {formatted(columns[view.base.name]['divergence'], False)} bits"
        return reading(self, columns, figure, [*says, null])

    def _divergence(self, view: View, a_N_K_K: NDArray, b_N_K_K: NDArray) -> Estimate:
        size = a_N_K_K[0].size
        both = np.concatenate([a_N_K_K.reshape(-1, size), b_N_K_K.reshape(-1, size)], 1)
        return view.bootstrap.statistic(both, lambda m: jensen_shannon(m[..., :size], m[..., size:]), "no step")


@dataclass(frozen=True)
class Counts:
    """Counts by item."""

    kinds_N_K: NDArray
    links_N: NDArray
    transitions: NDArray
    """[N, K + 1, K + 1, 2]: pairs of adjacent kinds (the ends count as one), by even and odd samples"""


def counted(side: Side, far: int) -> Counts:
    """Steps, links and transitions of all samples of a policy."""
    size, ends = len(side.texts_N_J), ENDS + 1
    out = Counts(np.zeros((size, len(KINDS))), np.zeros(size), np.zeros((size, ends, ends, 2)))
    for i, texts in enumerate(side.texts_N_J):
        seen: dict[str, tuple[list[int], int]] = {}
        for j, text in enumerate(texts):
            if not text.strip():
                continue
            if text not in seen:
                steps = sentences(own_part(text)[0])
                seen[text] = [KINDS.index(kind_of(step)) for step in steps], long_links(steps, far)
            codes, links = seen[text]
            np.add.at(out.kinds_N_K[i], codes, 1)
            out.links_N[i] += links
            path = [ENDS, *codes, ENDS]
            np.add.at(out.transitions[i, ..., j % 2], (path[:-1], path[1:]), 1)
    return out


def kind_of(step: str) -> str:
    """The first kind whose marker a step holds."""
    return next((kind for kind, marker in MARKERS.items() if marker.search(step)), "other")


def long_links(steps: list[str], far: int) -> int:
    """Steps that use a value last written `far` or more steps before."""
    last: dict[str, int] = {}
    count = 0
    for index, step in enumerate(steps):
        values = set(_VALUE.findall(step))
        count += any(value in last and index - last[value] >= far for value in values)
        last.update(dict.fromkeys(values, index))
    return count


def jensen_shannon(a: NDArray, b: NDArray) -> NDArray:
    """Divergence in bits of the distributions of counts [..., K]: 0 if equal, 1 if disjoint."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = a / a.sum(-1, keepdims=True), b / b.sum(-1, keepdims=True)
        middle = (p + q) / 2
        parts = [np.where(x > 0, x * np.log2(np.where(x > 0, x, 1) / middle), 0.0).sum(-1) for x in (p, q)]
        return np.where((a.sum(-1) > 0) & (b.sum(-1) > 0), (parts[0] + parts[1]) / 2, np.nan)
