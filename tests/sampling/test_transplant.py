"""Swapping tokens between two policies, against plain forward passes and greedy loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import PickRule
from elicit.policy.policy import Policy
from elicit.sampling import transplant
from elicit.sampling.transplant import Exchange, Key, Written, most_divergent, transplanted
from elicit.tasks.task import StopRules
from methods.decoding.plain import Greedy
from tests.sampling.models import tiny_model, tokenizer
from tests.toy import ToyTask

TASK = ToyTask()
ITEMS = {item.id: item for item in TASK.items("test", 6)}
STOP = StopRules(strings=(), max_new_tokens=8)
BASE = Policy(wrap(tiny_model(), tokenizer()), prompt=TASK.prompts["bare"])
EDIT = ActivationEdit((Edit(0, 3 * torch.randn(32, generator=torch.Generator().manual_seed(1)), "add", 1.0, "every"),))
METHOD = BASE.with_intervention(EDIT)
EXCHANGE = Exchange(METHOD, BASE, PickRule(temperature=0.0), STOP)


def logits(policy: Policy, ids: list[int]) -> torch.Tensor:
    """Next-token logits [T, V] of one text, by the model alone."""
    with policy.applied(), torch.no_grad():
        return policy.checkpoint.model(torch.tensor([ids])).logits[0].double()


def greedy(policy: Policy, prompt: tuple[int, ...], ids: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The most probable continuation of a prefix, one full pass per token."""
    out = list(ids)
    while len(out) < STOP.max_new_tokens and not (out and out[-1] in policy.end_ids):
        out.append(int(logits(policy, [*prompt, *out])[-1].argmax()))
    return tuple(out)


def divergence(prompt: tuple[int, ...], ids: tuple[int, ...]) -> np.ndarray:
    """KL(method || base) before each token."""
    method, base = (logits(policy, [*prompt, *ids])[len(prompt) - 1 : -1].log_softmax(-1) for policy in (METHOD, BASE))
    return (method.exp() * (method - base)).sum(-1).numpy()


def prompt_of(key: Key) -> tuple[int, ...]:
    return BASE.prompt_ids(ITEMS[key[0]].question)


@pytest.fixture(scope="module")
def of_base() -> dict[Key, Written]:
    texts = {(item, 0): greedy(BASE, prompt_of((item, 0))) for item in ITEMS}
    return {key: Written(ids, tokenizer().decode(ids), "length") for key, ids in texts.items()}


def test_the_divergence_is_that_of_two_plain_forward_passes(of_base: dict[Key, Written]) -> None:
    found = EXCHANGE.divergences(ITEMS, of_base)
    for key, text in of_base.items():
        assert found[key] == pytest.approx(divergence(prompt_of(key), text.ids), abs=1e-5)


def test_the_first_round_swaps_the_donor_s_token_at_the_first_divergent_position_and_the_host_goes_on(
    of_base: dict[Key, Written],
) -> None:
    before, after = transplanted(EXCHANGE, "base", ITEMS, of_base, 1, "divergent")
    threshold, _ = most_divergent(EXCHANGE.divergences(ITEMS, of_base), 1)
    assert before == of_base
    changed = 0
    for key, text in after.items():
        prompt, own = prompt_of(key), of_base[key].ids
        hits = np.flatnonzero(divergence(prompt, own) >= threshold - 1e-6)
        if not len(hits):
            assert text.swaps == 0 and text.ids == own
            continue
        place = int(hits[0])
        token = int(logits(METHOD, [*prompt, *own[:place]])[-1].argmax())
        wanted = own if token == own[place] else greedy(BASE, prompt, (*own[:place], token))
        assert (text.ids, text.last, text.swaps) == (wanted, place, 1)
        changed += text.changed
    assert changed > 0, "the edit is strong enough to change a token"


@pytest.mark.parametrize("host", ["base", "method"])
def test_with_a_swap_at_every_token_the_host_s_greedy_text_becomes_the_donor_s(
    host: str, of_base: dict[Key, Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transplant, "most_divergent", lambda divergences, swaps: (-1.0, 1.0))
    own, donor = (BASE, METHOD) if host == "base" else (METHOD, BASE)
    texts = {key: Written(greedy(own, prompt_of(key)), "", "length") for key in of_base}
    for positions in ("divergent", "random"):
        last = transplanted(EXCHANGE, host, ITEMS, texts, STOP.max_new_tokens, positions)[-1]  # type: ignore[arg-type]
        assert {key: text.ids for key, text in last.items()} == {key: greedy(donor, prompt_of(key)) for key in texts}


def test_a_text_keeps_what_it_had_before_each_swap_and_has_at_most_one_more_per_round(
    of_base: dict[Key, Written],
) -> None:
    sampling = Exchange(METHOD, BASE, PickRule(), STOP)
    for positions in ("divergent", "random"):
        rounds = transplanted(sampling, "base", ITEMS, of_base, 3, positions)  # type: ignore[arg-type]
        assert len(rounds) == 4
        for k, (old, new) in enumerate(itertools.pairwise(rounds), start=1):
            for key, text in new.items():
                assert text.swaps - old[key].swaps in (0, 1) and text.changed <= text.swaps <= k
                if text.swaps > old[key].swaps:
                    assert text.last > old[key].last and text.ids[: text.last] == old[key].ids[: text.last]


def test_a_policy_that_is_the_base_exchanges_nothing(of_base: dict[Key, Written]) -> None:
    twin = Exchange(BASE, BASE, PickRule(), STOP)
    for positions in ("divergent", "random"):
        rounds = transplanted(twin, "base", ITEMS, of_base, 2, positions)  # type: ignore[arg-type]
        assert rounds == [of_base] * 3


def test_as_many_positions_reach_the_threshold_as_swaps_are_asked_for_and_the_rate_is_their_share() -> None:
    rng = np.random.default_rng(0)
    divergences = {(f"i{k}", 0): rng.random(int(length)) for k, length in enumerate(rng.integers(5, 30, 12))}
    flat = np.concatenate(list(divergences.values()))
    threshold, rate = most_divergent(divergences, 3)
    assert (flat >= threshold).sum() == 3 * 12 and rate == pytest.approx(36 / len(flat))
    assert most_divergent({("a", 0): np.zeros(4)}, 2) == (float("inf"), 0.0)
    assert most_divergent({("a", 0): np.array([0.0, 0.5])}, 2) == (0.5, 0.5), "no more than diverge at all"


def test_a_decoding_strategy_and_no_swap_are_refused(of_base: dict[Key, Written]) -> None:
    with pytest.raises(ConfigError, match="Greedy"):
        Exchange(BASE.with_intervention(Greedy()), BASE, PickRule(), STOP)
    with pytest.raises(ConfigError, match="swaps=0"):
        transplanted(EXCHANGE, "base", ITEMS, of_base, 0, "divergent")
