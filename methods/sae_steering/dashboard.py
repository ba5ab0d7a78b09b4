"""What the report shows of the features that were tried: `fit/features.json`, and one log row a feature.

Contexts and histograms come from the own samples that the dictionary was read on. The file is documented in README.md;
reports print it, nothing reads it back into a fit. Knows nothing of figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from elicit.files import write_json
from elicit.policy.activations import ActivationEdit
from elicit.training.halving import Scored
from methods.sae_steering.badge import TOKEN_DRIVEN, injection_d, top_tokens
from methods.sae_steering.candidates import Arm, Candidate
from methods.sae_steering.cause import lens_tokens
from methods.sae_steering.material import Material
from methods.sae_steering.quality import Gate
from methods.sae_steering.tries import Try, described

if TYPE_CHECKING:
    from elicit.method import Context
    from elicit.policy.policy import Policy

CONTEXTS, BEFORE, AFTER, BINS, INJECTED, ROWS = 8, 12, 4, 20, 3, 16


@dataclass
class Shown:
    """What is known of the material and the features before the search."""

    cards: list[dict[str, Any]] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)


def features(
    policy: Policy, made: Material, sides: Sequence[bool | None], tried: Sequence[Candidate],
    rng: np.random.Generator, gate: Gate,
) -> Shown:  # fmt: skip
    """Scores, badge, contexts, histogram and logit lens of every feature that is tried."""
    shown = Shown([card.plain(gate) for card in made.cards.values()])
    negative = [row for row, side in zip(made.pages.rows, sides, strict=True) if side is False][:ROWS]
    for layer, dictionary in made.dictionaries.items():
        own = [each for each in tried if each.layer == layer]
        if not own:
            continue
        numbers = [each.feature for each in own]
        found = made.codes[layer]
        tokens = [top_tokens(found, made.store, number, INJECTED) for number in numbers]
        driven = injection_d(policy, dictionary, numbers, tokens, negative, rng) if negative else [0.0] * len(own)
        lens_K = lens_tokens(policy, dictionary.directions_F_D[numbers])
        for place, each in enumerate(own):
            shown.features.append(
                {
                    **asdict(each),
                    "injection_d": driven[place],
                    "token_driven": driven[place] >= TOKEN_DRIVEN,
                    "top_tokens": [policy.checkpoint.tokenizer.decode([token]) for token in tokens[place]],
                    "logit_lens": [policy.checkpoint.tokenizer.decode([token]) for token in lens_K[place].tolist()],
                    "contexts": contexts(policy, made, *found.of(each.feature)),
                    "histogram": histogram(found.of(each.feature)[1]),
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
    context: Context, shown: Shown, arms: Sequence[Arm], tries: Sequence[Scored[Try]],
    doses: Sequence[dict[str, Any]], edit: ActivationEdit, chosen: Arm,
) -> None:  # fmt: skip
    """fit/features.json, whole: cards, features, every try, the dose-response, what was chosen."""
    flat = [described(arms[each.option.arm], each) for each in tries]
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
