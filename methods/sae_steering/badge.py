"""Token-injection falsification: does a feature follow a few tokens, wherever they stand?

    d = ( mean of a feature's activation on negative rows with its own top tokens injected
          - the same rows untouched ) / pooled standard deviation over rows

Large (d >= .8): the tokens alone bring the activation back in text of the other side, so what the feature says is
"these tokens were said", not "this text reasons" (after arXiv 2601.05679, where 45-90 % of contrast-selected features
fail so). A badge, not a filter: a token-driven feature may steer well. R rows, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from elicit.policy.residuals import block_outputs
from methods.sae_steering.codes import Codes
from methods.sae_steering.dictionary import Dictionary
from methods.sae_steering.store import ActivationStore

if TYPE_CHECKING:
    from elicit.policy.policy import Policy

TOKEN_DRIVEN = 0.8
LARGEST = 99.0
"""|d| is cut here: rows that all change alike have no spread"""


def top_tokens(found: Codes, store: ActivationStore, feature: int, top: int) -> list[int]:
    """The tokens with the largest mean activation of a feature, largest first; none that never activate it."""
    places, values = found.of(feature)
    size = int(store.tokens_N.max(initial=0)) + 1
    counts_V = np.bincount(store.tokens_N[found.places_N], minlength=size)
    sums_V = np.bincount(store.tokens_N[places], weights=values.numpy(), minlength=size)
    means_V = sums_V / np.maximum(counts_V, 1)
    return [int(token) for token in np.argsort(-means_V, kind="stable")[:top] if means_V[token] > 0]


def injection_d(
    policy: Policy,
    dictionary: Dictionary,
    features: Sequence[int],
    tokens: Sequence[Sequence[int]],
    rows: Sequence[tuple[int, ...]],
    rng: np.random.Generator,
) -> list[float]:
    """d of each feature, its tokens put at random places of every row (never first). 0 for a feature without tokens."""
    before_R_F = _means(policy, dictionary, rows, features)
    out = []
    for place, (feature, own) in enumerate(zip(features, tokens, strict=True)):
        if not own:
            out.append(0.0)
            continue
        after_R = _means(policy, dictionary, [injected(row, own, rng) for row in rows], [feature])[:, 0]
        before_R = before_R_F[:, place]
        spread = ((before_R.var(unbiased=False) + after_R.var(unbiased=False)) / 2).sqrt().item()
        difference = (after_R.mean() - before_R.mean()).item()
        out.append(max(-LARGEST, min(LARGEST, difference / max(spread, 1e-9))))
    return out


def injected(row: tuple[int, ...], tokens: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """The row with each token inserted at a random place behind the first one."""
    out = list(row)
    for token in tokens:
        out.insert(int(rng.integers(1, len(out) + 1)), token)
    return tuple(out)


def _means(
    policy: Policy, dictionary: Dictionary, rows: Sequence[tuple[int, ...]], features: Sequence[int]
) -> torch.Tensor:
    """Mean activation [R, F] over the tokens of each row but the first."""
    out = torch.zeros(len(rows), len(features))
    for i, outputs_L_T_D in block_outputs(policy, rows, [len(row) for row in rows], [dictionary.layer]):
        out[i] = dictionary.encode(outputs_L_T_D[0, 1:])[:, list(features)].mean(0)
    return out
