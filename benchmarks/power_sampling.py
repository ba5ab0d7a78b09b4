"""Power sampling on the step loop against the published loop: tokens per second of Metropolis-Hastings chains.

    python benchmarks/power_sampling.py [--model PATH|random-135m] [--chains 8] [--steps 10] [--curves 1] [--out NAME]

The peer (benchmarks/peers/power_sampling.py) runs one chain at a time and prefills at every move; ours moves the
8 chains of all prompts together, as the evaluator does, and crops; a second arm of ours takes one prompt after
the other, so that only 8 rows share a batch. Same model, prompts, alpha, steps and token limit; the laws differ
(the peer's horizon moves), so tokens per second are compared, rejected ones included: with EOS off, when all
chains fill the horizon, and with EOS on, when the organism's completions have six tokens and a run is mostly
overhead. Then, with --curves 1, the cost of ours against the number of particles, of moves and of tokens
(EOS off), acceptance by cut and by length, and the largest number of live rows of vocabulary width. Target: a ratio of
5 or more with 8 chains per prompt.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import arguments, elsewhere, interleaved, paired_ratio, prepared, report
from benchmarks.peers.power_sampling import power_sample
from benchmarks.strategies import cost, reader, requests_of
from benchmarks.wide import peak_rows
from elicit.policy.decoding import DecodingStrategy
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.view import TaskView
from methods.decoding.power import acceptance
from methods.decoding.power_mh import PowerMH
from methods.decoding.power_smc import PowerSMC


def rates(strategy: PowerMH, loop: StepLoop, requests: Any, task: Any, limit: int) -> dict[str, Any]:
    """Acceptance in quarters of the horizon: (from, proposals, share accepted) by cut and by length."""
    chains = [one for outcome in strategy.run(loop, requests, task) for one in outcome.chains]
    edges = [limit * quarter // 4 for quarter in range(5)]
    edges[-1] += 1
    return {
        by: [(low, count, None if count == 0 else round(share, 3))
             for low, (count, share) in zip(edges, acceptance(chains, by, edges), strict=False)]
        for by in ("cut", "length")
    }  # fmt: skip


class Arms:
    """The two loops on the same prompts."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.mh, self.rng = args, PowerMH(alpha=args.alpha, steps=args.steps), random.Random(0)
        self.model, tokenizer, self.eos, self.prompts = prepared(args)
        self.loop, self.endless = StepLoop(self.model, tokenizer, self.eos), StepLoop(self.model, tokenizer, ())
        self.chains = [requests_of([prompt] * args.chains, salt=k) for k, prompt in enumerate(self.prompts)]
        self.together = [request for own in self.chains for request in own]

    def task(self, limit: int | None = None) -> TaskView:
        return reader(self.args.text, limit or self.args.limit)

    def ours(self, groups: list[list[Any]], on: StepLoop) -> int:
        """Generated tokens, one run of the strategy for each group of chains."""
        return sum(outcome.total_tokens for own in groups for outcome in self.mh.run(on, own, self.task()))

    def peer(self, prompts: list[tuple[int, ...]], limit: int, end: list[int] | None) -> int:
        """Generated tokens of the published loop, one chain after the other."""
        torch.manual_seed(0)
        a = self.args
        return sum(power_sample(self.model, ids, a.alpha, a.steps, 1, limit, end, self.rng)[1] for ids in prompts)

    def speeds(self) -> dict[str, list[float]]:
        runs, limit = [prompt for prompt in self.prompts for _ in range(self.args.chains)], self.args.limit
        return interleaved(
            {
                "step loop": lambda: self.ours([self.together], self.endless),
                "step loop, a prompt at a time": lambda: self.ours(self.chains, self.endless),
                "published loop": elsewhere(self.model, lambda: self.peer(runs, limit, None)),
                "step loop, EOS on": lambda: self.ours([self.together], self.loop),
                "published loop, EOS on": elsewhere(self.model, lambda: self.peer(runs, limit, sorted(self.eos))),
            },
            self.args.repeats,
        )

    def curve(self, name: str, made: dict[int, tuple[DecodingStrategy, int]], on: StepLoop) -> list[dict[str, Any]]:
        """The cost of two requests by a number: {number: (strategy, limit)}."""
        two = self.chains[0][:2]
        return [{name: n, **cost(strategy, on, two, self.task(limit))} for n, (strategy, limit) in made.items()]

    def curves(self) -> dict[str, Any]:
        limit, lengths = self.args.limit, (16, 32, 64, 128)
        by_particles = {n: (PowerSMC(n=n), limit) for n in (8, 16, 32, 64, 128)}
        by_moves = {n: (PowerMH(steps=n), limit) for n in (5, 10, 20, 40)}
        return {
            "cost of particles, 2 answers": self.curve("n", by_particles, self.loop),
            "cost of moves, 2 chains": self.curve("steps", by_moves, self.loop),
            "cost of length, 32 particles, 2 answers": self.curve(
                "tokens", {n: (PowerSMC(n=32), n) for n in lengths}, self.endless
            ),
            "cost of length, 10 moves, 2 chains": self.curve(
                "tokens", {n: (PowerMH(), n) for n in lengths}, self.endless
            ),
        }

    def rows(self, n: int) -> dict[str, Any]:
        """The largest number of live rows of vocabulary width while n tokens are generated."""
        one, smc = self.chains[0], PowerSMC(n=32)
        return {
            f"{self.args.chains} chains, {n} tokens": peak_rows(
                self.model, lambda: self.mh.run(self.endless, one, self.task(n))
            ),
            f"32 particles, {n} tokens": peak_rows(self.model, lambda: smc.run(self.endless, one[:1], self.task(n))),
            f"published loop, 1 chain, {n} tokens": peak_rows(self.model, lambda: self.peer(self.prompts[:1], n, None)),
        }


def main() -> None:
    parser = arguments(__doc__, items=4, chains=8, steps=10, limit=48, repeats=3, curves=1)
    parser.add_argument("--alpha", type=float, default=4.0)
    args = parser.parse_args()
    arms = Arms(args)
    speeds = arms.speeds()
    facts: dict[str, Any] = {
        "ratio": paired_ratio(speeds, "step loop", "published loop"),
        "ratio, a prompt at a time": paired_ratio(speeds, "step loop, a prompt at a time", "published loop"),
        "ratio, EOS on": paired_ratio(speeds, "step loop, EOS on", "published loop, EOS on"),
        **{name: getattr(args, name) for name in ("items", "chains", "alpha", "steps", "limit")},
    }
    if args.curves:
        facts |= arms.curves()
        facts["acceptance"] = rates(arms.mh, arms.loop, arms.together, arms.task(), args.limit)
        facts["peak rows of vocabulary width"] = arms.rows(16) | arms.rows(64)
    report(f"power sampling, {Path(args.model).name}", speeds, facts, args.out)


if __name__ == "__main__":
    main()
