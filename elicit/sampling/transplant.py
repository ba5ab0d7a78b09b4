"""Transplant: tokens of one policy put into the samples of another, at the positions where the two disagree most.

Cross-sampling (arXiv 2603.22446), by forced prefixes instead of a loop over two models at once. For each sample of the
host, in rounds k = 1, 2, ...:

    1  d_t = KL(method || base) of the next-token distributions before token t of the host's current text
    2  t is the first position after the last swap with d_t >= threshold         (the null: with u_t < rate)
    3  the donor draws the token at t; if it is another one, the host goes on from there

The text after round k has at most k swapped tokens, so one run gives the whole curve over k. The threshold makes
`swaps` positions per sample of the host divergent on average, `rate` is their share of all its positions: divergent and
random swaps are equally many. A token that the donor draws like the host changes nothing and is a swap all the same.
Both policies draw by the rule of the regime; with temperature 0 the donor's most probable token is put in.

The paper measures the Jensen-Shannon divergence of two models; here it is the KL that the comparison reports. Left out:
swaps that depend on entropy, and divergences per token class. Cost: per round one teacher-forced pass of both policies
over the texts that changed, and one continuation of each.
Does not know: files, grades, which policy is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from elicit.errors import ConfigError
from elicit.files import seed_of
from elicit.policy.decoding import PathJob, PickRule
from elicit.records import Item
from elicit.sampling.annotate import Trace, annotate_traces
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules

if TYPE_CHECKING:
    from elicit.policy.policy import Policy

Key = tuple[str, int]
"""(item, sample)"""
Positions = Literal["divergent", "random"]


@dataclass(frozen=True)
class Written:
    """One completion, and what was swapped in it."""

    ids: tuple[int, ...]
    text: str
    finish: str
    last: int = -1
    """position of the last swap"""
    swaps: int = 0
    changed: int = 0
    """swaps whose token was another one than the host's"""


@dataclass(frozen=True)
class Exchange:
    """A method and its base, at their own prompts, and how both draw. Raises ConfigError for a decoding strategy."""

    method: Policy
    base: Policy
    rule: PickRule
    stop: StopRules

    def __post_init__(self) -> None:
        for policy in (self.method, self.base):
            if policy.strategy is not None:
                raise ConfigError(
                    f"{type(policy.strategy).__name__} may choose among completions: tokens are swapped between "
                    "policies without a strategy only"
                )

    def divergences(self, items: Mapping[str, Item], texts: Mapping[Key, Written]) -> dict[Key, NDArray]:
        """KL(method || base) in nats before each token of these texts, [T] each."""
        keys = list(texts)
        prompts = {
            item: tuple(policy.prompt_ids(items[item].question) for policy in (self.method, self.base))
            for item, _ in keys
        }
        traces = [Trace(prompts[item][0], prompts[item][1], texts[item, j].ids) for item, j in keys]
        notes = annotate_traces(self.method, self.base, traces)
        return {key: one.kl for key, one in zip(keys, notes, strict=True)}

    def drawn(
        self,
        policy: Policy,
        prefixes: Mapping[Key, tuple[int, ...]],
        questions: Mapping[Key, str],
        seed: str,
        one_token: bool = False,
    ) -> dict[Key, Written]:
        """What a policy writes from these prefixes on, to the end or only the next token."""
        loop = StepLoop(policy.checkpoint, eos_ids=policy.end_ids)
        jobs = [
            PathJob(policy.prompt_ids(questions[key]), seed_of(policy.id, "transplant", seed, *key), forced=prefix)
            for key, prefix in prefixes.items()
        ]
        with policy.applied():
            rule = NextToken([len(job.forced) for job in jobs]) if one_token else None
            paths = loop.run(jobs, self.rule, self.stop, rule)
        return {key: Written(tuple(path.token_ids), path.text, path.finish)
                for key, path in zip(prefixes, paths, strict=True)}  # fmt: skip


class NextToken:
    """A step rule that cuts every path after one token of its own. Implements `StepRule`."""

    def __init__(self, forced: Sequence[int]) -> None:
        self.lengths = np.array(forced, np.int64) + 1

    def cuts(
        self, jobs_S: NDArray[np.int64], begun_S: NDArray[np.int64], chunk: int, scalars_S_C_T: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """The length of the prefix and one, as soon as it is written."""
        lengths_S = self.lengths[jobs_S]
        return np.where((begun_S < lengths_S) & (lengths_S <= begun_S + chunk), lengths_S, 0)


def most_divergent(divergences: Mapping[Key, NDArray], swaps: int) -> tuple[float, float]:
    """(threshold, rate): `swaps` positions per text reach the threshold on average, a share `rate` of all positions.

    Positions without any divergence never do; (inf, 0) if there is no other. Ties can make them a few more.
    """
    flat = np.sort(np.concatenate([*divergences.values(), np.empty(0)]))[::-1]
    wanted = min(swaps * len(divergences), int((flat > 0).sum()))
    if not wanted:
        return float("inf"), 0.0
    threshold = float(flat[wanted - 1])
    return threshold, float((flat >= threshold).sum() / len(flat))


def transplanted(
    exchange: Exchange,
    host: Literal["method", "base"],
    items: Mapping[str, Item],
    texts: Mapping[Key, Written],
    swaps: int,
    positions: Positions,
) -> list[dict[Key, Written]]:
    """The host's texts after 0, 1, ... `swaps` rounds; `texts` are its own samples.

    Raises ConfigError for swaps < 1.
    """
    if swaps < 1:
        raise ConfigError(f"swaps={swaps}: at least 1")
    own, donor = (exchange.base, exchange.method) if host == "base" else (exchange.method, exchange.base)
    questions = {key: items[key[0]].question for key in texts}
    # 1) where the host's own samples diverge decides how many swaps there are, also for the null
    divergences = exchange.divergences(items, texts)
    threshold, rate = most_divergent(divergences, swaps)
    uniforms = {
        key: np.random.default_rng(seed_of(own.id, donor.id, "positions", *key)).random(exchange.stop.max_new_tokens)
        for key in texts
    }
    rounds = [dict(texts)]
    for k in range(1, swaps + 1):
        now, places = dict(rounds[-1]), {}
        # 2) the next position of each text
        for key, text in now.items():
            random_T = uniforms[key][: len(text.ids)] < rate
            hit_T = random_T if positions == "random" else divergences[key] >= threshold
            after = np.flatnonzero(hit_T[text.last + 1 :])
            if len(after):
                places[key] = text.last + 1 + int(after[0])
        # 3) the donor draws the token there
        before = {key: now[key].ids[:place] for key, place in places.items()}
        put = exchange.drawn(donor, before, questions, f"{host} {positions} {k} token", one_token=True)
        # 4) the host goes on after every token that differs from its own
        differs = {key: one.ids for key, one in put.items() if one.ids != now[key].ids[: len(one.ids)]}
        went_on = exchange.drawn(own, differs, questions, f"{host} {positions} {k}")
        for key, place in places.items():
            text = went_on.get(key, now[key])
            now[key] = replace(text, last=place, swaps=now[key].swaps + 1, changed=now[key].changed + (key in differs))
        if positions == "divergent" and went_on:
            divergences |= exchange.divergences(items, {key: now[key] for key in went_on})
        rounds.append(now)
    return rounds
