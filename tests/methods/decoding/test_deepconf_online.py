"""Laws of online DeepConf: it is the offline vote over the kept chains, at fewer tokens; agreement ends it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.files import seed_of
from elicit.policy.decoding import Path, PickRule, Request, StepRule
from elicit.records import Finish
from elicit.sampling.confidence import first_below, lowest
from elicit.sampling.loop.step_loop import StepLoop
from methods.decoding.chains import elect, vote_of
from methods.decoding.deepconf_online import DeepConfOnline
from methods.decoding.method import Decoding
from methods.decoding.sampled import SelfConsistency
from tests.methods.decoding.test_decoding_on_the_loop import LastDigit, checkpoint

__all__ = ["checkpoint"]
SETTINGS = {"n": 20, "warmup": 8, "wave": 3, "eta": 0.4, "window": 3, "consensus": 1.0}


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    prompts = [(5, 6, 7), (8,), (9, 12, 3, 4)]
    return [Request(f"i{k}", j, seed_of("test", k, j), prompts[k]) for k in range(3) for j in range(2)]


@pytest.fixture(scope="module")
def whole(checkpoint, requests) -> list[list[Path]]:
    """All chains of every request, none of them cut."""
    outcomes = SelfConsistency(n=20).run(StepLoop(checkpoint), requests, LastDigit())
    return [[candidate.path for candidate in outcome.chains] for outcome in outcomes]


def test_the_online_vote_is_the_offline_vote_over_the_kept_chains(checkpoint, requests, whole) -> None:
    outcomes = DeepConfOnline(**SETTINGS).run(StepLoop(checkpoint), requests, LastDigit())
    cut = 0
    for request, outcome, chains in zip(requests, outcomes, whole, strict=True):
        chains = chains[: len(outcome.chains)]
        bar = np.quantile([lowest(path.confidences, 3) for path in chains[:8]], 0.6)
        kept = [lowest(path.confidences, 3) >= bar for path in chains]
        assert [bool(c.scalars["kept"]) for c in outcome.chains] == kept
        late = list(zip(outcome.chains, chains, strict=True))[8:]
        whole_ones = [first_below(path.confidences, bar, 3) is None for _, path in late]
        assert [c.path.finish != Finish.CUT for c, _ in late] == whole_ones
        cut += whole_ones.count(False)
        classes = [
            vote_of(path, LastDigit()).answer_class if keep else None for path, keep in zip(chains, kept, strict=True)
        ]
        weights = [lowest(path.confidences, 3) for path in chains]
        if any(classes):
            assert outcome.winner == elect(classes, weights, request.seed)
            assert outcome.path.token_ids == chains[outcome.winner].token_ids
    assert cut > 10


def test_every_chain_is_a_prefix_of_the_whole_one_and_the_cost_is_what_was_written(checkpoint, requests, whole) -> None:
    outcomes = DeepConfOnline(**SETTINGS).run(StepLoop(checkpoint, slots=5), requests, LastDigit())
    for outcome, chains in zip(outcomes, whole, strict=True):
        for place, candidate in enumerate(outcome.chains):
            written = candidate.path.token_ids
            assert written == chains[place].token_ids[: len(written)]
            assert place >= 8 or len(written) == len(chains[place].token_ids), "the warm-up is never cut"
        assert outcome.total_tokens == sum(len(c.path.token_ids) for c in outcome.chains)
        assert outcome.total_tokens < sum(len(path.token_ids) for path in chains)


def test_what_is_drawn_for_a_request_depends_neither_on_the_batch_nor_on_the_others(checkpoint, requests) -> None:
    strategy = DeepConfOnline(**(SETTINGS | {"consensus": 0.6}))
    together = strategy.run(StepLoop(checkpoint), requests, LastDigit())
    for request, outcome in zip(requests, together, strict=True):
        (alone,) = strategy.run(StepLoop(checkpoint, slots=2), [request], LastDigit())
        assert [c.path.token_ids for c in alone.chains] == [c.path.token_ids for c in outcome.chains]
        assert alone.winner == outcome.winner


class Scripted:
    """A loop whose chains all say what their index says, equally sure; counts the chains it is asked for."""

    vocabulary, rows = 8, 8

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers, self.asked, self.rules = list(answers), 0, []

    def run(self, jobs, rule: PickRule, stop, step_rule: StepRule | None = None) -> list[Path]:
        out = [self.answers[self.asked + place] for place in range(len(jobs))]
        self.asked += len(jobs)
        self.rules.append(step_rule)
        return [Path([1, 0], [0.0] * 2, [0.0] * 2, [1.0] * 2, [0.0] * 2, "eos", text, [1.0] * 2) for text in out]


def drawn(answers: Sequence[str], **settings: float) -> int:
    loop = Scripted(answers)
    request = Request("a", 0, 1, (1,))
    (outcome,) = DeepConfOnline(**({"n": 12, "warmup": 4, "wave": 2, "window": 1} | settings)).run(
        loop, [request], LastDigit()
    )
    assert len(outcome.chains) == loop.asked
    assert loop.rules[0] is None and all(rule is not None for rule in loop.rules[1:])
    return loop.asked


def test_drawing_stops_at_consensus_or_at_n() -> None:
    assert drawn(["7"] * 12, consensus=0.95) == 4, "the warm-up agrees"
    assert drawn(["7", "8"] * 6, consensus=0.95) == 12, "never agreed"
    assert drawn(["8", "7", "7", "7"] + ["7"] * 8, consensus=0.85) == 8, "7 of 8 from the second wave on"
    assert drawn(["none"] * 12, consensus=0.5) == 12, "no answer is no agreement"


@pytest.mark.parametrize(
    "wrong", [{"eta": 0.0}, {"window": 0}, {"warmup": 0}, {"warmup": 33}, {"wave": 0}, {"consensus": 0.0},
              {"consensus": 1.1}, {"temperature": 0.0}, {"n": 0}],
)  # fmt: skip
def test_settings_out_of_range_are_named(wrong) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        DeepConfOnline(**wrong)


def test_its_placebo_draws_the_same_chains_and_its_first_rival_is_the_majority() -> None:
    method = Decoding(DeepConfOnline(n=24, eta=0.5))
    pick = method.placebos()["random_pick"].strategy
    assert (pick.n, pick.eta) == (24, 0.5) and set(method.placebos()) == {"random_pick", "entropy_matched"}
    assert next(iter(method.rivals().values())).strategy == SelfConsistency(n=24)
