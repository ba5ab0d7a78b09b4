"""Contamination probe: has a base read the items that it is evaluated on?

    continuation   the first 60 % of a question continued greedily: does it write the very rest?    (arXiv 2311.04850)
    answers        a question cut at 60 % and at 40 %: does it state the right answer?         (arXiv 2507.10532)
    twins          NLL of the question against renamed and renumbered twins of it: is the original the likeliest?

Of an item and m exchangeable twins the original is the likeliest with chance 1/(m+1); the binomial test of that share
is exact on formal tasks. In words the replacements are less natural, so a low p is a hint only (see tasks/perturb).
Exact continuations need no such excuse: a long rest is not written by chance. Answers can be guessed: their chance is
the share of completions that state the answer of another item. What this module does not know: models;
`recall` and `nll` come from `elicit.sampling.recall`. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from elicit.errors import ConfigError, DataError
from elicit.evaluate.statistics.resamples import Resamples, jeffreys
from elicit.records import Item
from elicit.results import Estimate
from elicit.tasks.perturb import KINDS, twins

SUSPECT_P = 0.01
SUSPECT_EXACT = 0.02
"""share of exact continuations that a fresh base should not exceed"""
Recall = Callable[[Sequence[tuple[str, str]]], list[str]]
"""[(beginning, rest)] of questions -> what the base writes after each beginning"""
Nll = Callable[[Sequence[str]], list[float]]
"""mean NLL a token of each text"""


Complete = Callable[[Sequence[str]], list[str]]
"""beginnings of questions -> what the base writes after each, under the stop rules of the task"""
Judge = Callable[[Sequence[tuple[Item, str]]], list[bool | None]]
"""whether each completion states the answer of its item; None: ungraded"""
SHIFTS = (1, 2, 3, 5)
"""the other items whose answers give the chance: so many positions further on"""


@dataclass(frozen=True)
class Probe:
    """Settings of a contamination probe."""

    share: float = 0.6
    """part of the question that is given"""
    answer_shares: tuple[float, ...] = (0.6, 0.4)
    """parts of the question after which the answer is asked for"""
    twins: int = 4
    """twins of each kind and item"""
    seed: int = 0
    draws: int = 4_000

    def __post_init__(self) -> None:
        if not all(0 < share < 1 for share in (self.share, *self.answer_shares)) or self.twins < 1:
            raise ConfigError(f"share={self.share}, twins={self.twins}: a share between 0 and 1, at least one twin")


def cut(question: str, share: float) -> tuple[str, str]:
    """The first `share` of a question's characters, up to the next blank, and the rest (with its blank).

    >>> cut("one two three four", 0.4)
    ('one two', ' three four')
    """
    at = question.find(" ", round(len(question) * share) - 1)
    return (question, "") if at < 0 else (question[:at], question[at:])


def probe(
    items: Sequence[Item],
    recall: Recall,
    nll: Nll,
    config: Probe | None = None,
    answers: tuple[Complete, Judge] | None = None,
) -> dict[str, Any]:
    """The probe of a base on evaluation items: {"continuation", "answers", one per kind of twin, "suspect", "items"}.

    A part that no item allows (no names, a question of one word) is a refusal. Raises ConfigError without items,
    DataError where the base gives no number for an NLL.
    """
    config = config or Probe()
    if not items:
        raise ConfigError("no item to probe: raise eval.limit")
    rows: list[dict[str, Any]] = [{"item": item.id} for item in items]
    out: dict[str, Any] = {"continuation": _continuation(items, rows, recall, config)}
    out["answers"] = {
        f"{share:.0%}": _answers(items, rows, *answers, share) if answers else {"refused": "not asked for"}
        for share in config.answer_shares
    }
    own_N = _finite(nll([item.question for item in items]), items)
    for kind in KINDS:
        out[kind] = _against_twins(items, rows, own_N, nll, kind, config)
    out["suspect"] = _suspect(out)
    return {**out, "items": rows}


def _continuation(items: Sequence[Item], rows: list[dict[str, Any]], recall: Recall, config: Probe) -> dict[str, Any]:
    """Share of questions whose rest is written word by word."""
    parts = [(i, cut(item.question, config.share)) for i, item in enumerate(items)]
    asked = [(i, part) for i, part in parts if part[1].strip()]
    if not asked:
        return {"refused": "no question is long enough to be cut"}
    for (i, (_, rest)), written in zip(asked, recall([part for _, part in asked]), strict=True):
        right, said = rest.split(), written.split()
        same = next(
            (k for k, (a, b) in enumerate(zip(right, said, strict=False)) if a != b), min(len(right), len(said))
        )
        rows[i] |= {"exact": same == len(right), "words": same / len(right)}
    hits = [rows[i]["exact"] for i, _ in asked]
    words = float(np.mean([rows[i]["words"] for i, _ in asked]))
    return {**_plain(jeffreys(sum(hits) / len(hits), len(hits))), "of": len(hits), "words": words}


def _answers(
    items: Sequence[Item], rows: list[dict[str, Any]], complete: Complete, judge: Judge, share: float
) -> dict[str, Any]:
    """Share of questions whose answer is stated after the first `share` of their words, and the chance of that."""
    asked = [
        (i, beginning)
        for i, (beginning, rest) in enumerate(cut(item.question, share) for item in items)
        if rest.strip()
    ]
    if not asked:
        return {"refused": "no question is long enough to be cut"}
    texts = complete([beginning for _, beginning in asked])
    right = judge([(items[i], text) for (i, _), text in zip(asked, texts, strict=True)])
    graded = [(i, hit) for (i, _), hit in zip(asked, right, strict=True) if hit is not None]
    if not graded:
        return {"refused": "no completion could be graded"}
    for i, hit in graded:
        rows[i][f"answered_{share:.0%}"] = hit
    # chance: the same completions against the answers of other items
    others = [
        (items[asked[(k + shift) % len(asked)][0]], text)
        for shift in SHIFTS
        for k, text in enumerate(texts)
        if shift % len(asked)
    ]
    known = [hit for hit in judge(others) if hit is not None]
    chance = float(np.mean(known)) if known else 0.0
    hits = sum(hit for _, hit in graded)
    return {**_plain(jeffreys(hits / len(graded), len(graded))), "of": len(graded), "chance": chance}


def _against_twins(
    items: Sequence[Item], rows: list[dict[str, Any]], own_N: list[float], nll: Nll, kind: str, config: Probe
) -> dict[str, Any]:
    """Share of items that are likelier than all of their twins, and how much likelier they are."""
    of_item = [twins(item, kind, config.twins, config.seed) for item in items]
    known = [i for i, found in enumerate(of_item) if len(found) == config.twins]
    if not known:
        return {"refused": f"no item has {config.twins} {kind} twins"}
    texts = [twin.question for i in known for twin in of_item[i]]
    nll_N_M = np.reshape(_finite(nll(texts), [items[i] for i in known for _ in of_item[i]]), (len(known), config.twins))
    original_N = np.array([own_N[i] for i in known])
    first_N: NDArray = np.all(original_N[:, None] < nll_N_M, axis=1)
    drop_N: NDArray = nll_N_M.mean(1) - original_N
    for i, drop, first in zip(known, drop_N, first_N, strict=True):
        rows[i] |= {f"{kind}_drop": float(drop), f"{kind}_first": bool(first)}
    chance, hits = 1 / (config.twins + 1), int(first_N.sum())
    resamples = Resamples([items[i].cluster for i in known], config.draws, config.seed)
    point, draws = resamples.means(drop_N[:, None])
    return {
        "first": {**_plain(jeffreys(hits / len(known), len(known))), "of": len(known), "chance": chance},
        "p": float(special.bdtrc(hits - 1, len(known), chance)) if hits else 1.0,
        "drop": _plain(resamples.interval(float(point[0]), draws[:, 0])),
        "exchangeable": all("family" in items[i].facts for i in known),
    }


def _plain(estimate: Estimate) -> dict[str, Any]:
    """{"point", "lo", "hi"}, or {"refused"} with what is known."""
    return {name: value for name, value in asdict(estimate).items() if value is not None}


def _finite(values: Sequence[float], items: Sequence[Item]) -> list[float]:
    for value, item in zip(values, items, strict=True):
        if not np.isfinite(value):
            raise DataError(f"NLL of item {item.id} or of a twin of it is {value}: the checkpoint yields no number")
    return list(values)


def _suspect(out: dict[str, Any]) -> list[str]:
    """Why the base is suspect, in words; empty where nothing points to it."""
    found, exact = [], out["continuation"]
    if "refused" not in exact and exact["lo"] > SUSPECT_EXACT:
        found.append(f"{exact['point']:.0%} of the questions are continued word by word")
    for share, part in out["answers"].items():
        if "refused" not in part and part["lo"] > part["chance"] + SUSPECT_EXACT:
            found.append(
                f"{part['point']:.0%} are answered after {share} of the question (chance {part['chance']:.0%})"
            )
    for kind in KINDS:
        if "refused" not in out[kind] and out[kind]["p"] < SUSPECT_P:
            sure = "" if out[kind]["exchangeable"] else " (a hint: replaced words are less natural)"
            found.append(f"{out[kind]['first']['point']:.0%} are likelier than all their {kind} twins{sure}")
    return found
