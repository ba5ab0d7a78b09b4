"""Rungs of the base and ceilings of the fraction.

    B0  the bare prompt                       B1  the best of the fixed prompts, chosen on dev
    B2  B1, forced to a method's mean tokens (budget forcing, arXiv 2501.19393)
    C1  base coverage at T=1, net of guessing, or coverage by valid traces where traces can be checked
    C2  a declared post-trained sibling       C3  fine-tuning on the task's own gold traces
    C4  the planted ability: the opener forced, or the register key

C1 speaks to the thesis: what selection among the base's own samples could reach. Guessing reaches it too
(on ten-way answers cov@20 of pure guessing is .88), so the guessing null is taken off, and where that null
exceeds .2 the ceiling is refused. Two nulls: answers permuted between items of one answer type, and draws
at a direct-answer prompt; the larger one counts. Does not know files; no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.errors import ConfigError
from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.evaluate.metrics.coverage import coverage, powers
from elicit.records import Item

B2 = "B2"
"""how the names of the rows begin"""
B2_STEPS = 8
"""targets of B2 in a doubling: methods within 9 % of each other share one"""
WORST_GUESSING = 0.2
_PERMUTATIONS = 20


def choose_b1(dev: Mapping[str, Measures]) -> str:
    """Name of the fixed prompt with the best strict dev accuracy; the first given wins a tie.

    Raises ConfigError without prompts, and where prompts were measured on different items.
    """
    if not dev:
        raise ConfigError("no prompt was measured on dev: rung B1 needs the task's fixed prompts (at least `bare`)")
    first = next(iter(dev))
    for name, measures in dev.items():
        if measures.items != dev[first].items:
            raise ConfigError(
                f"prompts {first!r} and {name!r} were measured on different dev items: measure both on the same"
            )
    return max(dev, key=lambda name: float(np.nanmean(accuracy(dev[name]))))


def forced_tokens(tokens: float, limit: int) -> int:
    """What B2 is forced to for a method of so many mean tokens: rounded up, so that it is never the cheaper one.

    At most the token limit of the comparison: a method of several chains spends more than one chain can.

    >>> [forced_tokens(tokens, 160) for tokens in (37.4, 38, 40, 410)]
    [39, 39, 42, 160]
    """
    step = int(np.ceil(B2_STEPS * np.log2(max(tokens, 1.0))))
    return min(int(np.ceil(2 ** (step / B2_STEPS))), limit)


class Ceiling(NamedTuple):
    """Values by item (None where refused) and what they are."""

    values_N: NDArray | None
    kind: str
    k: int
    guessing: float
    """the larger guessing null, as a share"""
    refused: str | None


def ceiling_c1(
    base: Measures, items: Sequence[Item], answer_class: Callable[[str], str], direct: Measures | None = None
) -> Ceiling:
    """C1 of the base's samples in regime `support` on `items` (in the order of the measures)."""
    ks = powers(int(base.total_N.min()))
    if not ks:
        return Ceiling(
            None, "coverage", 0, float("nan"), f"n={base.n} samples in regime support: at least 2 are needed"
        )
    k = ks[-1]
    null_N = guessing(base, items, answer_class, k)
    if direct is not None and int(direct.total_N.min()) >= 2 * k:
        direct_N = coverage(direct.right_N, direct.total_N, k)
        null_N = max(null_N, direct_N, key=lambda values: float(values.mean()))
    share = float(null_N.mean())
    if base.has_validator:
        right_N = ((base.strict_N_J == 1) & (base.valid_N_J == 1)).sum(1)
        return Ceiling(coverage(right_N, base.total_N, k), "valid-trace coverage", k, share, None)
    if share > WORST_GUESSING:
        reason = (
            f"plain guessing covers {share:.2f} of the items at k={k}, above {WORST_GUESSING}: no selection ceiling"
        )
        return Ceiling(None, "coverage net of guessing", k, share, reason)
    return Ceiling(coverage(base.right_N, base.total_N, k) - null_N, "coverage net of guessing", k, share, None)


def guessing(base: Measures, items: Sequence[Item], answer_class: Callable[[str], str], k: int) -> NDArray:
    """cov@k by item of answers taken from another item of the same answer type, mean over permutations."""
    codes = {name: i for i, name in enumerate(base.class_names)}
    golds_N = np.array([codes.get(answer_class(item.gold), -2) if item.gold is not None else -2 for item in items])
    types_N = np.unique([answer_type(item.gold or "") for item in items], return_inverse=True)[1]
    rng = np.random.default_rng([k, len(items)])
    donors_R_N = np.stack([_derangement(types_N, rng) for _ in range(_PERMUTATIONS)])
    hits_R_N = (base.classes_N_J[donors_R_N] == golds_N[:, None]).sum(2)
    total_R_N = np.broadcast_to(base.total_N, hits_R_N.shape)
    covered = coverage(np.minimum(hits_R_N, total_R_N).ravel(), total_R_N.ravel(), k)
    return covered.reshape(hits_R_N.shape).mean(0)


def answer_type(gold: str) -> str:
    """What kind of thing an answer is: only answers of one kind are exchanged.

    >>> [answer_type(gold) for gold in ("7", "3/4", "b", "up down")]
    ['integer', 'number', 'letter', 'text']
    """
    text = gold.strip().replace(",", "")
    if re.fullmatch(r"[-+]?\d+", text):
        return "integer"
    if re.fullmatch(r"[-+]?\d*\.?\d+(\s*/\s*\d+)?%?", text):
        return "number"
    return "letter" if re.fullmatch(r"\(?[A-Za-z]\)?", text) else "text"


def _derangement(types_N: NDArray, rng: np.random.Generator) -> NDArray:
    """For each item another one of its type; an item alone in its type gives to itself nobody's answers: any other."""
    donors_N = np.arange(len(types_N))
    for kind in np.unique(types_N):
        members = rng.permutation(np.flatnonzero(types_N == kind))
        donors_N[members] = np.roll(members, 1)
    alone = donors_N == np.arange(len(types_N))
    if len(types_N) > 1:
        donors_N[alone] = (donors_N[alone] + 1) % len(types_N)
    return donors_N


def describe(ceiling: Ceiling) -> dict[str, Any]:
    """What the comparison says about a ceiling beside its number."""
    return {"kind": ceiling.kind, "k": ceiling.k, "guessing": None if np.isnan(ceiling.guessing) else ceiling.guessing}
