"""What a report shows of the features that were tried: `fit/features.json`, and one log row per feature.

Contexts and histograms come from the own samples that the dictionary was read on. The file is documented in README.md;
reports print it, nothing reads it back into a fit. Knows nothing of figures.

The badge `token_driven` is a falsification by token injection: does a feature follow a few tokens, in any text?

    d = ( mean of a feature's activation on negative rows with its own top tokens injected
          - the same rows untouched ) / pooled standard deviation over rows

If d is large (>= .8), the tokens alone bring the activation back in text of the other side, so the feature means "these
tokens occur", not "this text reasons" (after arXiv 2601.05679, in which 45-90 % of contrast-selected features fail this
test). A badge, not a filter: a token-driven feature may steer well. R rows, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from elicit.files import write_json
from elicit.policy.activations import ActivationEdit
from elicit.policy.residuals import block_outputs
from elicit.training.halving import Scored
from methods.sae_steering.candidates import Direction, Feature
from methods.sae_steering.cause import lens_tokens
from methods.sae_steering.dictionary import Codes, Dictionary
from methods.sae_steering.material import Material
from methods.sae_steering.quality import Gate
from methods.sae_steering.store import ActivationStore
from methods.sae_steering.tries import Try, described

if TYPE_CHECKING:
    from elicit.method import Context
    from elicit.policy.policy import Policy

CONTEXTS, BEFORE, AFTER, BINS, INJECTED, ROWS = 8, 12, 4, 20, 3, 16
TOKEN_DRIVEN = 0.8
LARGEST = 99.0
"""|d| is cut here: rows that all change alike have no spread"""


@dataclass
class Dashboard:
    """Quality cards and features, as they are known before the search."""

    cards: list[dict[str, Any]] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)


def features(
    policy: Policy, made: Material, sides: Sequence[bool | None], tried: Sequence[Feature],
    rng: np.random.Generator, gate: Gate,
) -> Dashboard:  # fmt: skip
    """Scores, badge, contexts, histogram and logit lens of every feature that is tried."""
    shown = Dashboard([card.plain(gate) for card in made.cards.values()])
    negative = [row for row, side in zip(made.pages.rows, sides, strict=True) if side is False][:ROWS]
    for layer, dictionary in made.dictionaries.items():
        of_layer = [feature for feature in tried if feature.layer == layer]
        if not of_layer:
            continue
        numbers = [feature.feature for feature in of_layer]
        coded = made.codes[layer]
        tokens = [top_tokens(coded, made.store, number, INJECTED) for number in numbers]
        driven = injection_d(policy, dictionary, numbers, tokens, negative, rng) if negative else [0.0] * len(numbers)
        lens_K = lens_tokens(policy, dictionary.directions_F_D[numbers])
        for place, feature in enumerate(of_layer):
            shown.features.append(
                {
                    **asdict(feature),
                    "injection_d": driven[place],
                    "token_driven": driven[place] >= TOKEN_DRIVEN,
                    "top_tokens": [policy.checkpoint.tokenizer.decode([token]) for token in tokens[place]],
                    "logit_lens": [policy.checkpoint.tokenizer.decode([token]) for token in lens_K[place].tolist()],
                    "contexts": contexts(policy, made, *coded.of(feature.feature)),
                    "histogram": histogram(coded.of(feature.feature)[1]),
                }
            )
    return shown


def contexts(policy: Policy, made: Material, places: np.ndarray, acts_E: torch.Tensor) -> list[dict[str, Any]]:
    """The strongest activations of distinct rows, with the text around them."""
    out: list[dict[str, Any]] = []
    seen: set[int] = set()
    decode = policy.checkpoint.tokenizer.decode
    for entry in acts_E.argsort(descending=True).tolist():
        place = int(places[entry])
        row, position = int(made.store.rows_N[place]), int(made.store.positions_N[place])
        if row in seen:
            continue
        if len(out) == CONTEXTS:
            break
        seen.add(row)
        ids = made.pages.rows[row]
        out.append(
            {
                "before": decode(list(ids[max(0, position - BEFORE) : position])),
                "token": decode([ids[position]]),
                "after": decode(list(ids[position + 1 : position + 1 + AFTER])),
                "activation": acts_E[entry].item(),
                "label": int(made.store.labels_N[place]),
            }
        )
    return out


def histogram(acts_E: torch.Tensor) -> dict[str, list[float]]:
    """Counts of the positive activations in equal bins, with the edges."""
    counts, edges = np.histogram(acts_E.numpy(), bins=BINS) if len(acts_E) else (np.zeros(BINS), np.zeros(BINS + 1))
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def write(
    context: Context, shown: Dashboard, directions: Sequence[Direction], tries: Sequence[Scored[Try]],
    doses: Sequence[dict[str, Any]], edit: ActivationEdit, chosen: Direction,
) -> None:  # fmt: skip
    """fit/features.json: cards, features, every try, the dose-response, and the choice."""
    flat = [described(directions[each.option.arm], each) for each in tries]
    kept = edit.edits[0]
    write_json(
        context.folder / "features.json",
        {
            "schema": 1,
            "dictionaries": shown.cards,
            "features": shown.features,
            "tries": [{name.removeprefix("sae/try/"): value for name, value in row.items()} for row in flat],
            "doses": list(doses),
            "chosen": {"layer": chosen.layer, "feature": chosen.feature},
            "edit": kept.fields(),
        },
    )
    for each in shown.features:
        scalars = {name: each[name] for name in ("layer", "feature", "rate", "injection_d", "token_driven")}
        context.log({f"sae/feature/{name}": value for name, value in scalars.items()})


def top_tokens(coded: Codes, store: ActivationStore, feature: int, top: int) -> list[int]:
    """The tokens with the largest mean activation of a feature, largest first, without those that never activate it."""
    places, values = coded.of(feature)
    size = int(store.tokens_N.max(initial=0)) + 1
    counts_V = np.bincount(store.tokens_N[coded.places_N], minlength=size)
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
    """d of each feature, its tokens inserted at random places of every row (never first); 0 without tokens."""
    before_R_F = _means(policy, dictionary, rows, features)
    out = []
    for place, (feature, top) in enumerate(zip(features, tokens, strict=True)):
        if not top:
            out.append(0.0)
            continue
        after_R = _means(policy, dictionary, [injected(row, top, rng) for row in rows], [feature])[:, 0]
        before_R = before_R_F[:, place]
        spread = ((before_R.var(unbiased=False) + after_R.var(unbiased=False)) / 2).sqrt().item()
        difference = (after_R.mean() - before_R.mean()).item()
        out.append(max(-LARGEST, min(LARGEST, difference / max(spread, 1e-9))))
    return out


def injected(row: tuple[int, ...], tokens: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """The row with each token inserted at a random place after the first one."""
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
