"""The names under which classes are saved. They outlive every move of a file.

Configurations (`_class_`), saved strategies and edits, and the fingerprints of graded stores name a class by the
dotted path under which it was first published. That name is an identity: ids and seeds are hashed from it. When a
class moves, its line here maps the published name to today's, and nothing that was saved changes:

    published_name(Greedy)                             ->  the name to write and to hash
    current_name("methods.decoding.plain.Greedy")      ->  the path to import

A class without a line is saved under its own path (the plug-ins' classes, for example). Knows no class: text only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOVED: dict[str, str] = {
    "elicit.tasks.bbh.Bbh": "elicit.tasks.natural.bbh.Bbh",
    "elicit.tasks.countdown.Countdown": "elicit.tasks.natural.countdown.Countdown",
    "elicit.tasks.gsm8k.Gsm8k": "elicit.tasks.natural.gsm8k.Gsm8k",
    "elicit.tasks.jsonl.Jsonl": "elicit.tasks.natural.jsonl.Jsonl",
    "elicit.tasks.math.Math": "elicit.tasks.natural.math.Math",
    "elicit.tasks.organism.FormalTask": "elicit.tasks.formal.task.FormalTask",
    "elicit.tasks.reasoning_gym.ReasoningGym": "elicit.tasks.natural.reasoning_gym.ReasoningGym",
    "elicit.training.gold.GoldSft": "elicit.training.sft.gold.GoldSft",
    "methods.decoding.best_of_n.BestOfN": "methods.decoding.sampled.BestOfN",
    "methods.decoding.forced_to.ForcedTo": "methods.decoding.budget_forcing.ForcedTo",
    "methods.decoding.placebos.RandomPickCotDecoding": "methods.decoding.controls.RandomPickCotDecoding",
    "methods.decoding.placebos.RandomPickDeepConfOnline": "methods.decoding.controls.RandomPickDeepConfOnline",
    "methods.decoding.placebos.RandomPickPowerMH": "methods.decoding.controls.RandomPickPowerMH",
    "methods.decoding.placebos.RandomPickPowerSMC": "methods.decoding.controls.RandomPickPowerSMC",
    "methods.decoding.placebos.RandomPickRandomFirstTokens": "methods.decoding.controls.RandomPickRandomFirstTokens",
    "methods.decoding.placebos.RandomPickSamples": "methods.decoding.controls.RandomPickSamples",
    "methods.decoding.random_first_tokens.RandomFirstTokens": "methods.decoding.cot_decoding.RandomFirstTokens",
    "methods.decoding.self_consistency.SelfConsistency": "methods.decoding.sampled.SelfConsistency",
    "methods.decoding.weighted_votes.WeightedVotes": "methods.decoding.sampled.WeightedVotes",
}
"""Published dotted name -> today's. `tests/test_identities.py` holds the published names."""

_PUBLISHED = {today: published for published, today in MOVED.items()}


def published_name(kind: type) -> str:
    """The dotted name to save and to hash for a class, wherever its file lies today."""
    today = f"{kind.__module__}.{kind.__qualname__}"
    return _PUBLISHED.get(today, today)


def current_name(name: str) -> str:
    """Today's dotted path of a saved name; a name that never moved is returned as it is."""
    return MOVED.get(name, name)


def published_node(node: Any) -> Any:
    """A configuration node with every `_class_` under its published name, so that plans of any version compare."""
    if isinstance(node, Mapping):
        return {
            key: _PUBLISHED.get(value, value) if key == "_class_" else published_node(value)
            for key, value in node.items()
        }
    return [published_node(value) for value in node] if isinstance(node, list | tuple) else node
