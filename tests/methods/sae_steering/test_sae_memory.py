"""A large vocabulary does not make a fit large: no pass computes more logits than its limit, and the values are equal.

The limits are made small here instead of the vocabulary large; what a pass computed is counted at the output head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from elicit.sampling import dose, likelihood
from methods.sae_steering import cause
from methods.sae_steering.material import card_rows
from methods.sae_steering.quality import cross_entropy
from tests.policy.tiny import random_vector, tiny_model, tiny_tokenizer

ROWS = [(5, 9, 14, 20, 7, 11)[:length] for length in (6, 5, 6, 4, 6, 3)]
PROBES = [cause.CausalProbe((5, 9, 14), (20, 21, 1), (22, 1)), cause.CausalProbe((8, 7, 30, 31), (12, 1), (13, 14, 1))]
VECTORS = torch.stack([random_vector(seed) for seed in range(7)])


@pytest.fixture
def policy() -> Policy:
    return Policy(wrap(tiny_model(dtype=torch.float64), tiny_tokenizer()))


@contextmanager
def logits_of(policy: Policy) -> Iterator[list[int]]:
    """How many logits each pass computes."""
    seen: list[int] = []
    head = policy.checkpoint.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda _, inputs, logits: seen.append(logits.numel()))
    yield seen
    handle.remove()


def ce(policy: Policy) -> list[float]:
    return [cross_entropy(policy, ROWS, 0, lambda hidden: hidden * 0.5)]


def causal(policy: Policy) -> list[float]:
    scores = cause.causal_scores(policy, PROBES, 0, VECTORS)
    return [value for values in scores.values() for value in values.tolist()]


def kl(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr(dose, "_completions", lambda policy, ledger, items: [list(row[2:]) for row in ROWS])
    monkeypatch.setattr(Policy, "prompt_ids", lambda policy, question: tuple(ROWS[question][:2]))
    items = [SimpleNamespace(question=place) for place in range(len(ROWS))]
    measure = dose.dose_meter(policy, None, items)
    return [measure(ActivationEdit((Edit(0, vector),)))["kl"] for vector in VECTORS[:2]]


@pytest.mark.parametrize("what", ["cross-entropy", "causal scores", "dose"])
def test_small_limits_give_the_same_values_in_smaller_passes(
    policy: Policy, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = policy.checkpoint.model.config.vocab_size
    measure: Callable[[], list[float]] = {
        "cross-entropy": lambda: ce(policy), "causal scores": lambda: causal(policy),
        "dose": lambda: kl(policy, monkeypatch),
    }[what]  # fmt: skip
    with logits_of(policy) as wide:
        expected = measure()
    limit = 7 * vocabulary
    monkeypatch.setattr(likelihood, "BATCH_LOGITS", limit)
    monkeypatch.setattr(cause, "FEATURE_LOGITS", limit)
    with logits_of(policy) as narrow:
        found = measure()
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert max(narrow) <= limit < max(wide)
    assert any(abs(value) > 1e-4 for value in found)


@pytest.mark.parametrize(("length", "count"), [(20, 32), (700, 11), (9000, 2)])
def test_the_quality_card_reads_few_long_pages_or_many_short_ones(length: int, count: int) -> None:
    rows = [(page,) * length for page in range(100)]
    chosen = card_rows(rows)
    assert len(chosen) == count and chosen[0] == rows[0] and chosen[-1][0] > 50 - 50 // count
    assert card_rows(rows[:1]) == rows[:1]
