"""sentence importance: which sentences decide the answer? (Thought Anchors, arXiv 2506.19143)

    resampling    with A_k the answers of continuations (T = 1) from behind sentence k: total variation of A_k and of
                  the answers of those continuations from before sentence k that do *not* write it again
    attention     mean weight that later tokens give to the sentence's tokens, over layers and heads
    suppression   mean KL of later tokens' distributions when nothing behind the sentence may look at it

Answers are counts, so a total variation has a Dirichlet interval (Jeffreys' 1/2 a class) and a noise floor: what two
equal distributions of these sizes give on average (labels permuted). Resampling is sampled by `plan`; the other two
come from forward passes (`sampling.sentences`) and stand beside it as rank correlations within traces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elicit.evaluate.lenses.forced import NOT_RUN, Chosen, by_sample, chosen
from elicit.evaluate.lenses.length import spearman
from elicit.evaluate.lenses.lens import PROBES, Reading, drawing, reading, refusing, told
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
"""sentences of a trace below which a rank correlation says nothing"""
VARIANTS = ("attention", "suppression")


@dataclass(frozen=True)
class Importance:
    """Counterfactual resampling of sentences."""

    each: int = 1
    """traces of an item"""
    items: int = 24
    """items looked into"""
    n: int = 12
    """continuations from behind each sentence"""
    name: str = "importance"
    about: str = "how far a sentence moves the distribution of answers"
    source: str = "2506.19143"
    needs: str = PROBES

    def plan(self, view: View, side: Side) -> list[Probe]:
        """n continuations from before the first sentence and from behind each one."""
        return [
            Probe(one.item, one.j, str(k), end, n=self.n, room=view.task.stop.max_new_tokens, greedy=False)
            for one in chosen(view, side, self.each, 1, self.items)
            for k, end in enumerate((0, *one.ends))
        ]

    def read(self, view: View) -> Reading:
        known = [side for side in view.sides if side.probes.get(self.name) is not None]
        if not known:
            return refusing(self, NOT_RUN)
        columns, table = {}, []
        for side in known:
            found = self._sentences(view, side)
            columns[side.name] = self._columns(view, found)
            table += [{"policy": side.name, **row} for row in found]
        places = sorted({row["sentence"] for row in table})
        figure = drawing("heat", "Importance of sentences", "sentence", "total variation", places, {
            side.name: [_mean_at(table, side.name, place) for place in places] for side in known
        })  # fmt: skip
        said = (f"{name}: a sentence moves {told(c['total variation'])} of the answers, noise alone {told(c['noise'])}"
                for name, c in columns.items())  # fmt: skip
        return reading(self, columns, figure, "; ".join(said) + ".", table)

    def _sentences(self, view: View, side: Side) -> list[dict[str, Any]]:
        """One row a sentence of the chosen traces."""
        found, out = by_sample(side.probes[self.name]), []
        extra = {(row["item"], row["j"], row["sentence"]): row for row in side.probes.get("sentences") or ()}
        for one in chosen(view, side, self.each, 1, self.items):
            rows = found.get((one.item, one.j), {})
            starts = (0, *one.ends)
            for k in range(len(one.ends)):
                if str(k) in rows and str(k + 1) in rows:
                    row = self._sentence(view, side, one, k, rows, one.text[starts[k] : starts[k + 1]].strip())
                    variants = extra.get((one.item, one.j, k), {})
                    out.append({**row, **{name: variants.get(name) for name in VARIANTS}})
        return out

    def _sentence(self, view: View, side: Side, one: Chosen, k: int, rows: Any, written: str) -> dict[str, Any]:
        head = {"item": one.item, "sentence": k + 1, "text": written, "kind": kind_of(written)}
        behind = [_answer(view.task, row) for row in rows[str(k + 1)]]
        others = [_answer(view.task, row) for row in rows[str(k)] if (sentences(row["text"]) or [""])[0] != written]
        if min(len(behind), len(others)) < LEAST:
            return {**head, "refused": f"{len(others)} of {len(rows[str(k)])} continuations write another sentence"}
        rng = np.random.default_rng(seed_of(view.seed, side.policy, one.item, one.j, k))
        return {**head, **total_variation(behind, others, rng), "with": len(behind), "without": len(others)}

    def _columns(self, view: View, found: Sequence[dict[str, Any]]) -> dict[str, Estimate]:
        known = [row for row in found if "point" in row]
        none = "the policy writes the same sentences again: nothing to compare" if found else "no trace"
        out = {
            "total variation": view.bootstrap.fraction(_by_item(view, known, "point"), none),
            "noise": view.bootstrap.fraction(_by_item(view, known, "noise"), none),
            "clear": view.bootstrap.fraction(_by_item(view, known, "clear"), none),
            "fixed sentences": view.bootstrap.fraction(_by_item(
                view, [{**row, "fixed": float("point" not in row)} for row in found], "fixed"), "no trace"),
        }  # fmt: skip
        for name in VARIANTS:
            rho_N = _rho_by_item(view, known, name)
            out[f"rho with {name}"] = view.bootstrap.mean(rho_N, f"no trace of {LEAST_RANKED} sentences with {name}")
        return out


def total_variation(a: Sequence[str | None], b: Sequence[str | None], rng: np.random.Generator) -> dict[str, float]:
    """Total variation of two samples of answers, its Dirichlet interval, and its mean when labels are permuted.

    `clear`: 1.0 where at most 2.5 % of the permutations give as much (one-sided).
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
    values: dict[int, list[float]] = {}
    for row in rows:
        values.setdefault(view.place[row["item"]], []).append(row[name])
    return np.array([np.mean(values[i]) if i in values else np.nan for i in range(len(view.items))])


def _rho_by_item(view: View, rows: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    """Rank correlation of a variant with total variation, within each item's traces; nan where too few or no spread."""
    pairs: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        if row.get(name) is not None:
            pairs.setdefault(view.place[row["item"]], []).append((row["point"], row[name]))
    return np.array([
        float(spearman(np.array(pairs[i]))) if len(pairs.get(i, ())) >= LEAST_RANKED else np.nan
        for i in range(len(view.items))
    ])  # fmt: skip


def _mean_at(table: Sequence[dict[str, Any]], policy: str, place: int) -> Estimate:
    values = [row["point"] for row in table if row["policy"] == policy and row["sentence"] == place and "point" in row]
    return Estimate(float(np.mean(values))) if values else Estimate()
