"""transplant: how many of a method's tokens does it take to reach its accuracy? (arXiv 2603.22446)

    base + k     the base's samples with the method's token at up to k positions of largest divergence
    own - k      the method's samples with the base's token at up to k of them
    random       the same number of swaps at random positions: the null of both

(sampling/transplant.py has the algorithm.) A method that changes a few decisive tokens gains at its divergent positions
long before it does at random ones; a method that changes the text everywhere needs them all. `gain recovered` and `gain
lost` are shares of the gap between the two policies on these samples; they are refused if the interval of the gap holds
0. Policies with a decoding strategy are left out: they have no next token of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.forced import NOT_RUN
from elicit.evaluate.lenses.lens import SAMPLES, Reading, drawing, formatted, reading, refusing
from elicit.evaluate.lenses.view import Side, View
from elicit.results import Estimate

NO_GAP = "the method and the base do not differ on these samples"
CURVES = (("base", "divergent"), ("base", "random"), ("method", "divergent"), ("method", "random"))
NAMES = {"base": "{} in the base", "method": "the base in {}"}
"""whose tokens are put into whose samples"""


@dataclass(frozen=True)
class Transplant:
    """Accuracy over the number of swapped tokens."""

    items: int = 32
    """items whose samples are changed"""
    per_item: int = 2
    """samples per item"""
    swaps: int = 8
    """most swapped tokens per sample"""
    name: str = "transplant"
    about: str = "strict accuracy after swapping tokens between a policy and its base where the two diverge most"
    source: str = "2603.22446"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        sides = view.probed(self.name)
        if not sides:
            return refusing(self, NOT_RUN)
        curves = {side.name: self._curves(view, side) for side in sides}
        columns = {side.name: self._columns(view, side, curves[side.name]) for side in sides}
        rounds = max(values_N_K.shape[1] for of in curves.values() for values_N_K in of.values())
        series: dict[str, list[Estimate]] = {}
        # a figure shows the first series: what the tokens of the methods do in the base
        for host, role in ((host, role) for host in NAMES for role in ("method", "")):
            for side in sides:
                for positions in ("divergent", "random") if role in (side.role, "") else ():
                    at_random = ", random" if positions == "random" else ""
                    series.setdefault(NAMES[host].format(side.name) + at_random, [
                        view.bootstrap.fraction(column_N, "no graded sample")
                        for column_N in curves[side.name][host, positions].T
                    ])  # fmt: skip
        figure = drawing("lines", "Accuracy over swapped tokens", "swaps per sample, at most", "strict accuracy",
                         list(range(rounds)), series)  # fmt: skip
        says = [
            f"{name}: the base reaches {formatted(of['base + k'])} with the tokens of the policy and "
            f"{formatted(of['base + k, random'])} with as many at random; {formatted(of['gain recovered'])} of the gain"
            for name, of in columns.items()
        ]
        return reading(self, columns, figure, says)

    def _curves(self, view: View, side: Side) -> dict[tuple[str, str], NDArray]:
        """(host, positions) -> strict accuracy by item and number of rounds [N, K]; nan without a graded sample."""
        rows = side.probes[self.name]
        rounds = 1 + max((row["k"] for row in rows), default=0)
        out = {}
        for host, positions in CURVES:
            right_N_K, total_N_K = np.zeros((2, len(view.items), rounds))
            for row in rows:
                known = (row["host"], row["positions"]) == (host, positions) and row["item"] in view.row_of
                if known and row["strict"] >= 0:
                    right_N_K[view.row_of[row["item"]], row["k"]] += row["strict"]
                    total_N_K[view.row_of[row["item"]], row["k"]] += 1
            out[host, positions] = np.where(total_N_K > 0, right_N_K / np.maximum(total_N_K, 1), np.nan)
        return out

    def _columns(self, view: View, side: Side, curves: dict[tuple[str, str], NDArray]) -> dict[str, Estimate]:
        boot = view.bootstrap
        base_N, own_N = curves["base", "divergent"][:, 0], curves["method", "divergent"][:, 0]
        ends = {key: values_N_K[:, -1] for key, values_N_K in curves.items()}
        none = "no graded sample"
        out = {"base": boot.fraction(base_N, none), "own": boot.fraction(own_N, none)}
        for host, label in (("base", "base + k"), ("method", "own - k")):
            divergent_N, random_N = ends[host, "divergent"], ends[host, "random"]
            out[label] = boot.fraction(divergent_N, none)
            out[f"{label}, random"] = boot.fraction(random_N, none)
            out[f"{label}: divergent - random"] = boot.paired(divergent_N, random_N, none)
        out["gain recovered"] = _share(view, ends["base", "divergent"] - base_N, own_N - base_N)
        out["gain lost"] = _share(view, own_N - ends["method", "divergent"], own_N - base_N)
        changed = [
            row["changed"]
            for row in side.probes[self.name]
            if (row["host"], row["positions"], row["k"])
            == ("base", "divergent", len(curves["base", "divergent"].T) - 1)
        ]
        out["tokens that differ"] = Estimate(float(np.mean(changed))) if changed else Estimate(refused=none)
        return out


def _share(view: View, part_N: NDArray, gap_N: NDArray) -> Estimate:
    """sum of `part` over sum of `gap`, over the items that have both."""
    known_N = np.isfinite(part_N) & np.isfinite(gap_N)
    gap = view.bootstrap.mean(np.where(known_N, gap_N, np.nan), NO_GAP)
    if gap.lo is None or gap.hi is None or gap.lo <= 0 <= gap.hi:
        return Estimate(refused=NO_GAP)
    columns = np.stack([np.where(known_N, values_N, 0.0) for values_N in (part_N, gap_N)], 1)
    return view.bootstrap.statistic(columns, lambda m: m[..., 0] / m[..., 1], NO_GAP)
