"""directions: do fitted interventions move the residual stream in the same direction?

    E_i        h(policy) - h(base) at one layer, on the base's own text about item i: the effect of an intervention
    m          mean of E_i over items                         cosine    <m_a, m_b> / (|m_a| |m_b|)
    U          first right singular vectors of E [N, D] that hold 90 % of its energy, at most 8
    overlap    |U_a' U_b|_F^2 / min(k_a, k_b): mean squared cosine of the principal angles (Bjorck and Golub 1973)

One measure for every kind of intervention: the effect of an added vector at its own layer is that vector, that of an
SAE feature its decoder direction, and that of a weight edit is whatever its difference does to the residual stream.
Below the layer that is written to there is no effect, so policies are compared at the first layer at which all of them
have one (every layer is in the table). Read at the last prompt token, or as the mean over the completion.

The null: two random directions of width D have |cosine| = Gamma(D/2) / (sqrt(pi) Gamma((D+1)/2)) in the mean and below
a bound in 95 % of the cases (cos^2 is Beta(1/2, (D-1)/2)); subspaces of k_a and k_b random directions overlap by
max(k_a, k_b) / D. It is the weakest null: whatever an edit writes, later layers turn it into directions that the model
uses. The placebos of the comparison are in the same table and are the null that counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from elicit.evaluate.lenses.forced import NOT_RUN
from elicit.evaluate.lenses.lens import SAMPLES, Reading, drawing, formatted, reading, refusing
from elicit.evaluate.lenses.view import Side, View
from elicit.results import Estimate

Effect = tuple[NDArray, NDArray, NDArray]
"""effects [N, D], norms of the base [N], whether an item has them [N]"""
READ_AT = ("prompt", "completion")
ENERGY, MOST = 0.9, 8
"""share of the energy of effects that their directions hold; most directions"""
NONE = 1e-4
"""effects below this share of the base's norm are rounding"""
NO_EFFECT = "one of the two changes nothing here"


@dataclass(frozen=True)
class Directions:
    """Cosine and subspace overlap of the effects of every pair of policies."""

    items: int = 64
    """items on whose texts effects are read"""
    at: str = "prompt"
    """position of the figure and the columns: `prompt` | `completion`; the table has both"""
    name: str = "directions"
    about: str = "cosine of the mean effects of two policies on the residual stream, on the same texts of the base"
    source: str = "no paper"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        sides = view.probed(self.name)
        if not sides:
            return refusing(self, NOT_RUN)
        effects = {side.name: effects_of(view, side) for side in sides}
        moving = [side for side in sides if any(_moves(*one) for one in effects[side.name].values())]
        if not moving:
            return refusing(self, "no policy changes the residual stream (decoding strategies do not)")
        # a strategy on top of a fit moves nothing that the fit does not: the first of equal policies is shown
        same = {side.name: first_equal(effects, [one.name for one in moving], side.name) for side in moving}
        moving = [side for side in moving if same[side.name] == side.name]
        # 1) every pair at every position and layer
        table: list[dict[str, Any]] = []
        cosines: dict[tuple[str, int, str, str], Estimate] = {}
        for at, layer in sorted(effects[moving[0].name], key=lambda key: (READ_AT.index(key[0]), key[1])):
            rows, of_pairs = pairs_at(view, {side.name: effects[side.name][at, layer] for side in moving})
            table += [{"at": at, "layer": layer, **row} for row in rows]
            cosines |= {(at, layer, *pair): value for pair, value in of_pairs.items()}
        # 2) the layer of the figure: the first at which every policy has an effect, else the last one
        layers = sorted({layer for at, layer in effects[moving[0].name] if at == self.at})
        common = [k for k in layers if all(_moves(*effects[side.name][self.at, k]) for side in moving)]
        layer, names = (common or layers[-1:])[0], [side.name for side in moving]
        width = effects[names[0]][self.at, layer][0].shape[1]
        mean, bound = random_cosine(width)
        columns = {
            side.name: self._columns(view, side, effects[side.name][self.at, layer], layer, moving, cosines)
            for side in moving
        }
        columns["two random directions"] = {"|cosine|, 95 % below": Estimate(mean, 0.0, bound)}
        heat = {a: [cosines.get((self.at, layer, a, b), Estimate(refused=NO_EFFECT)) for b in names] for a in names}
        figure = drawing("heat", f"Cosine of effects at layer {layer}, {self.at}", "with", "cosine", names, heat)
        says = [
            f"{a.name} and {b.name}: cosine {formatted(heat[a.name][names.index(b.name)], False)} at layer {layer}"
            for a, b in combinations([side for side in moving if side.role == "method"], 2)
        ]
        says += [f"{name}: the same effect as {first}" for name, first in same.items() if name != first]
        says.append(f"two random directions of width {width}: |cosine| {mean:.3f} in the mean, 95 % below {bound:.3f}")
        return reading(self, columns, figure, says, table)

    def _columns(
        self,
        view: View,
        side: Side,
        effect: Effect,
        layer: int,
        moving: Sequence[Side],
        cosines: dict[tuple[str, int, str, str], Estimate],
    ) -> dict[str, Estimate]:
        """Size and dimensions of a policy's effect, and its cosine with each method."""
        effect_N_D, norm_N, known_N = effect
        ratio_N = np.full(len(known_N), np.nan)
        ratio_N[known_N] = np.linalg.norm(effect_N_D[known_N], axis=1) / np.maximum(norm_N[known_N], 1e-12)
        out = {"layer": Estimate(float(layer)), "size over the base's norm": view.bootstrap.mean(ratio_N, NO_EFFECT)}
        out["directions for 90 %"] = Estimate(float(len(subspace(effect_N_D[known_N]))))
        for other in moving:
            if other.role == "method" and other is not side:
                known = cosines.get((self.at, layer, side.name, other.name), Estimate(refused=NO_EFFECT))
                out[f"cosine with {other.name}"] = known
        return out


def effects_of(view: View, side: Side) -> dict[tuple[str, int], Effect]:
    """(position, layer) -> effects [N, D], norms of the base [N], whether an item has them [N]."""
    rows = [row for row in side.probes["directions"] if row["item"] in view.row_of]
    out: dict[tuple[str, int], Effect] = {}
    for row in rows:
        key, count = (row["at"], row["layer"]), len(view.items)
        if key not in out:
            out[key] = np.zeros((count, len(row["effect"]) // 4)), np.zeros(count), np.zeros(count, bool)
        i = view.row_of[row["item"]]
        out[key][0][i] = np.frombuffer(row["effect"], np.float32)
        out[key][1][i], out[key][2][i] = row["norm"], True
    return out


def first_equal(effects: Mapping[str, Mapping[tuple[str, int], Effect]], names: Sequence[str], name: str) -> str:
    """The first of `names` whose effects are those of `name`, number for number."""

    def equal(one: str) -> bool:
        pairs = ((effects[one][key], effect) for key, effect in effects[name].items())
        return all(np.array_equal(a, b) for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True))

    return next(one for one in names if equal(one))


def _moves(effect_N_D: NDArray, norm_N: NDArray, known_N: NDArray) -> bool:
    """Whether the mean effect is more than rounding."""
    return bool(np.linalg.norm(effect_N_D[known_N].mean(0)) > NONE * norm_N[known_N].mean()) if known_N.any() else False


def pairs_at(view: View, effects: dict[str, Effect]) -> tuple[list[dict[str, Any]], dict[tuple[str, str], Estimate]]:
    """(table rows, cosine by pair of names) of the policies that have an effect at one position and layer."""
    here = {name: one for name, one in effects.items() if _moves(*one)}
    spaces = {name: subspace(effect_N_D[known_N]) for name, (effect_N_D, _, known_N) in here.items()}
    rows: list[dict[str, Any]] = []
    out: dict[tuple[str, str], Estimate] = {(name, name): Estimate(1.0, 1.0, 1.0) for name in here}
    for a, b in combinations(here, 2):
        (x_N_D, _, of_a), (y_N_D, _, of_b) = here[a], here[b]
        both_N = (of_a & of_b)[:, None]
        out[a, b] = out[b, a] = cosine(view, np.where(both_N, x_N_D, 0.0), np.where(both_N, y_N_D, 0.0))
        null = random_cosine(x_N_D.shape[1])
        rows.append({"policy": a, "with": b, **asdict(out[a, b]), "null_mean": null[0], "null_bound": null[1],
                     "overlap": overlap(spaces[a], spaces[b]), "directions": [len(spaces[a]), len(spaces[b])],
                     "overlap_null": max(len(spaces[a]), len(spaces[b])) / x_N_D.shape[1]})  # fmt: skip
    return rows, out


def cosine(view: View, x_N_D: NDArray, y_N_D: NDArray) -> Estimate:
    """Cosine of the mean rows, with the interval of the comparison's resamples of items.

    With item weights w the numerator is w' X Y' w: the Gram matrices hold all that a draw needs.
    """
    grams = [a @ b.T for a, b in ((x_N_D, y_N_D), (x_N_D, x_N_D), (y_N_D, y_N_D))]

    def value(w_B_N: NDArray) -> NDArray:
        xy, xx, yy = (np.einsum("bn,bn->b", w_B_N @ gram, w_B_N) for gram in grams)
        with np.errstate(divide="ignore", invalid="ignore"):
            return xy / np.sqrt(xx * yy)

    resamples = view.bootstrap.resamples
    point = float(value(np.ones((1, len(x_N_D))))[0])
    draws = np.concatenate([value(w_B_G[:, resamples.codes_N]) for _, w_B_G in resamples.weights()])
    return resamples.interval(point, draws[np.isfinite(draws)])


def subspace(effect_N_D: NDArray) -> NDArray:
    """Orthonormal rows [k, D]: the first principal directions (uncentred) that hold `ENERGY`, at most `MOST`."""
    _, sizes, directions = np.linalg.svd(effect_N_D, full_matrices=False)
    energy = np.cumsum(sizes**2) / max(float((sizes**2).sum()), 1e-300)
    return directions[: min(MOST, 1 + int((energy < ENERGY).sum()))]


def overlap(a_k_D: NDArray, b_k_D: NDArray) -> float:
    """Mean squared cosine of the principal angles between two subspaces, in [0, 1]."""
    return float(((a_k_D @ b_k_D.T) ** 2).sum() / min(len(a_k_D), len(b_k_D)))


def random_cosine(width: int) -> tuple[float, float]:
    """(mean of |cosine|, its 95 % bound) of two independent random directions of this width, at least 2."""
    mean = np.exp(special.gammaln(width / 2) - special.gammaln((width + 1) / 2)) / np.sqrt(np.pi)
    return float(mean), float(np.sqrt(special.betaincinv(0.5, (width - 1) / 2, 0.95)))
