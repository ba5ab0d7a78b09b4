"""Side effects of a dose of an edit: the length of completions, and the distance from the unedited model.

    length   mean tokens of one completion per item in regime `compare`, the edit on
    kl       mean over tokens of KL( edited || unedited ) on the *unedited* policy's completions, in nats

The KL is measured teacher-forced on one fixed text, so doses are comparable: it is the cost of the edit on text that
needs no change. P problems, T tokens, V vocabulary. Knows nothing about how edits are fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from elicit.policy.decoding import REGIMES
from elicit.policy.layers import text_config
from elicit.sampling.likelihood import batches
from elicit.sampling.loop.forward import ForwardCall, Prefix, prefix_logits
from elicit.sampling.loop.pick import precise
from elicit.sampling.sample import sample

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.records import Item


def dose_meter(
    policy: Policy, ledger: Ledger, items: Sequence[Item]
) -> Callable[[Intervention | None], dict[str, float]]:
    """A function from an intervention (None: no edit) to {"length", "kl"} on `items`; it books its completions."""
    base = _completions(policy, ledger, items)
    rows: list[Prefix] = [
        (policy.prompt_ids(item.question), tuple(ids)) for item, ids in zip(items, base, strict=True) if ids
    ]
    vocabulary = int(text_config(policy.checkpoint.model).vocab_size)
    parts = [[rows[place] for place in batch] for batch in batches(rows, vocabulary)]

    def measure(intervention: Intervention | None) -> dict[str, float]:
        if intervention is None:
            return {"length": _mean_length(base), "kl": 0.0}
        edited = policy.with_intervention(intervention)
        # the unedited rows again for each dose: kept, their log-probs would be gigabytes with a large vocabulary
        total = sum(
            float((now.exp() * (now - before)).sum())
            for part in parts
            for before, now in zip(_logprobs(policy, part), _logprobs(edited, part), strict=True)
        )
        tokens = sum(len(completion) for _, completion in rows)
        return {"length": _mean_length(_completions(edited, ledger, items)), "kl": total / max(tokens, 1)}

    return measure


def _completions(policy: Policy, ledger: Ledger, items: Sequence[Item]) -> list[list[int]]:
    drawn = [
        outcome.path.token_ids for _, _, outcome in sample(policy, items, [0], REGIMES["compare"], ledger.task_view)
    ]
    ledger.rollouts(len(drawn), sum(map(len, drawn)))
    return drawn


def _mean_length(completions: Sequence[Sequence[int]]) -> float:
    return sum(map(len, completions)) / max(len(completions), 1)


def _logprobs(policy: Policy, rows: Sequence[Prefix]) -> list[torch.Tensor]:
    """Log-probs [T, V] before the completion tokens of each row of one batch, with the policy's edits on."""
    with policy.applied(), torch.no_grad():
        parts = prefix_logits(ForwardCall(policy.checkpoint.model), rows, use_cache=False)
    return [precise(part[:-1]).log_softmax(-1) for part in parts]
