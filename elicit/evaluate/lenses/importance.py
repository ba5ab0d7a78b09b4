"""sentence importance: which sentences decide the answer? (Thought Anchors, arXiv 2506.19143)

    resampling    with A_k the answers of continuations (T = 1) from after sentence k: total variation of A_k and of
                  the answers of those continuations from before sentence k that do *not* write it again
    attention     mean weight that later tokens give to the sentence's tokens, over layers and heads
    suppression   mean KL of later tokens' distributions when no later token may attend to the sentence

Answers are counts, so a total variation has a Dirichlet interval (Jeffreys' 1/2 per class) and a noise floor: the mean
for two equal distributions of these sizes (labels permuted). Resampling is sampled by `plan`; the other two come from
forward passes (`sampling.sentences`) and are reported as rank correlations with it within traces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elicit.evaluate.lenses.forced import NOT_RUN, TracedSample, by_sample, item_means, traced_samples
from elicit.evaluate.lenses.length import spearman
from elicit.evaluate.lenses.lens import PROBES, Reading, drawing, formatted, reading, refusing
from elicit.evaluate.lenses.sentences import sentences
from elicit.evaluate.lenses.structure import kind_of
from elicit.evaluate.lenses.view import Side, View
from elicit.files import seed_of
from elicit.records import FINISHED
from elicit.results import Estimate
from elicit.sampling.probe import Probe

DRAWS = 400
"""posterior draws and permutations of one sentence"""
LEAST = 2
"""continuations on either side below which a sentence has no importance"""
LEAST_RANKED = 3
"""sentences of a trace below which there is no rank correlation"""
VARIANTS = ("attention", "suppression")
STEERING = ("reflection", "exploration")
"""kinds of sentences that plan or go back: the claim is that they move answers more than the others"""


@dataclass(frozen=True)
class Importance:
    """Counterfactual resampling of sentences."""

    per_item: int = 1
    """traces per item"""
    items: int = 24
    """items examined"""
    n: int = 12
    """continuations from after each sentence"""
    name: str = "importance"
    about: str = "how far a sentence moves the distribution of answers"
    source: str = "2506.19143"
    needs: str = PROBES

    def plan(self, view: View, side: Side) -> list[Probe]:
        """n continuations from before the first sentence and from after each one."""
        return [
            Probe(one.item, one.j, str(k), end, n=self.n, room=view.task.stop.max_new_tokens, greedy=False)
            for one in traced_samples(view, side, self.per_item, 1, self.items)
            for k, end in enumerate((0, *one.ends))
        ]

    def read(self, view: View) -> Reading:
        sides = view.probed(self.name)
        if not sides:
            return refusing(self, NOT_RUN)
        columns, table = {}, []
        for side in sides:
            rows = self._sentences(view, side)
            columns[side.name] = self._columns(view, rows)
            table += [{"policy": side.name, **row} for row in rows]
        numbers = sorted({row["sentence"] for row in table})
        series = {side.name: [_mean_at(table, side.name, number) for number in numbers] for side in sides}
        figure = drawing("heat", "Importance of sentences", "sentence", "total variation", numbers, series)
        says = [
            f"{name}: a sentence moves {formatted(of['total variation'])} of the answers, "
            f"noise alone {formatted(of['noise'])}"
            for name, of in columns.items()
        ]
        return reading(self, columns, figure, says, table)

    def _sentences(self, view: View, side: Side) -> list[dict[str, Any]]:
        """One row per sentence of the sampled traces."""
        probes, out = by_sample(side.probes[self.name]), []
        extra = {(row["item"], row["j"], row["sentence"]): row for row in side.probes.get("sentences") or ()}
        for one in traced_samples(view, side, self.per_item, 1, self.items):
            rows = probes.get((one.item, one.j), {})
            starts = (0, *one.ends)
            for k in range(len(one.ends)):
                if str(k) in rows and str(k + 1) in rows:
                    row = self._sentence(view, side, one, k, rows, one.text[starts[k] : starts[k + 1]].strip())
                    variants = extra.get((one.item, one.j, k), {})
                    out.append({**row, **{name: variants.get(name) for name in VARIANTS}})
        return out

    def _sentence(self, view: View, side: Side, one: TracedSample, k: int, rows: Any, written: str) -> dict[str, Any]:
        head = {"item": one.item, "sentence": k + 1, "text": written, "kind": kind_of(written)}
        after = [_answer(view.task, row) for row in rows[str(k + 1)]]
        others = [_answer(view.task, row) for row in rows[str(k)] if (sentences(row["text"]) or [""])[0] != written]
        if min(len(after), len(others)) < LEAST:
            return {**head, "refused": f"{len(others)} of {len(rows[str(k)])} continuations write another sentence"}
        rng = np.random.default_rng(seed_of(view.seed, side.policy, one.item, one.j, k))
        return {**head, **total_variation(after, others, rng), "with": len(after), "without": len(others)}

    def _columns(self, view: View, rows: Sequence[dict[str, Any]]) -> dict[str, Estimate]:
        measured = [row for row in rows if "point" in row]
        none = "the policy writes the same sentences again: nothing to compare" if rows else "no trace"
        out = {
            name: view.bootstrap.fraction(_by_item(view, measured, key), none)
            for name, key in (("total variation", "point"), ("noise", "noise"), ("clear", "clear"))
        }
        fixed_N = _by_item(view, [{**row, "fixed": float("point" not in row)} for row in rows], "fixed")
        out["fixed sentences"] = view.bootstrap.fraction(fixed_N, "no trace")
        steering = [row for row in measured if row["kind"] in STEERING]
        rest = [row for row in measured if row["kind"] not in STEERING]
        differences = _by_item(view, steering, "point") - _by_item(view, rest, "point")
        out["steering - rest"] = view.bootstrap.mean(differences, "no trace with a planning sentence and another one")
        for name in VARIANTS:
            rho_N = _rho_by_item(view, measured, name)
            out[f"rho with {name}"] = view.bootstrap.mean(rho_N, f"no trace of {LEAST_RANKED} sentences with {name}")
        return out


def total_variation(a: Sequence[str | None], b: Sequence[str | None], rng: np.random.Generator) -> dict[str, float]:
    """Total variation of two samples of answers, its Dirichlet interval, and its mean when labels are permuted.

    `clear`: 1.0 if at most 2.5 % of the permutations give as much (one-sided).
    """
    names = sorted({*a, *b}, key=str)
    counts_2_C = np.array([[Counter(side)[name] for name in names] for side in (a, b)], float)
    point = _distance(*(counts / counts.sum() for counts in counts_2_C))
    drawn = [rng.dirichlet(counts + 0.5, DRAWS) for counts in counts_2_C]
    low, high = np.quantile(0.5 * np.abs(drawn[0] - drawn[1]).sum(1), [0.025, 0.975])
    codes = np.array([names.index(answer) for answer in (*a, *b)])
    shuffled = (rng.permutation(codes) for _ in range(DRAWS))
    null = np.array([_distance(*_shares(codes, len(a), len(names))) for codes in shuffled])
    low, high = min(float(low), point), max(float(high), point)
    return {
        "point": point,
        "lo": low,
        "hi": high,
        "noise": float(null.mean()),
        "clear": float((null >= point - 1e-9).mean() <= 0.025),
    }


def _shares(codes: np.ndarray, first: int, classes: int) -> list[np.ndarray]:
    return [np.bincount(part, minlength=classes) / len(part) for part in (codes[:first], codes[first:])]


def _distance(p: np.ndarray, q: np.ndarray) -> float:
    return float(0.5 * np.abs(p - q).sum())


def _answer(task: Any, row: Any) -> str | None:
    """Class of the answer of a whole completion; no answer is a class of its own."""
    answer = task.extract(row["forced_text"] + row["text"], row["finish"] in FINISHED).strict
    return None if answer is None else task.answer_class(answer)


def _by_item(view: View, rows: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    values: list[list[float]] = [[] for _ in view.items]
    for row in rows:
        values[view.row_of[row["item"]]].append(row[name])
    return item_means(values)


def _rho_by_item(view: View, rows: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    """Rank correlation of a variant with total variation within each item's traces; nan without enough sentences."""
    pairs: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        if row.get(name) is not None:
            pairs.setdefault(view.row_of[row["item"]], []).append((row["point"], row[name]))
    ranked = (np.array(pairs.get(i, ())) for i in range(len(view.items)))
    return np.array([float(spearman(of_item)) if len(of_item) >= LEAST_RANKED else np.nan for of_item in ranked])


def _mean_at(table: Sequence[dict[str, Any]], policy: str, number: int) -> Estimate:
    values = [row["point"] for row in table if row["policy"] == policy and row["sentence"] == number and "point" in row]
    return Estimate(float(np.mean(values))) if values else Estimate()
