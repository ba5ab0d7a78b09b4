"""Power sampling on the step loop against the published loop: tokens a second of Metropolis-Hastings chains.

    python benchmarks/power_sampling.py [--model PATH|random-135m] [--chains 8] [--steps 10] [--repeats 3] [--out NAME]

The peer (benchmarks/peers/power_sampling.py) runs one chain at a time and prefills at every move; ours moves the
8 chains of all prompts together, as the evaluator asks for them, and crops; a second arm of ours takes one prompt
after the other, so that only 8 rows share a batch. Same model, prompts, alpha, steps and token limit; the laws differ
(the peer's horizon moves), so tokens a second are compared, every rejected one counted: with EOS off, where all
chains fill the horizon, and with EOS on, where the organism's completions have six tokens and a run is mostly
overhead. Then the cost of ours against the number of particles, of moves and of tokens (EOS off), acceptance by cut
and by length, and the most rows of vocabulary width that ever live. Target: a ratio of 5 or more, 8 chains a prompt.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import ORGANISM, gsm8k_prompts, interleaved, load, organism_prompts, paired_ratio, report
from benchmarks.peers.power_sampling import power_sample
from benchmarks.strategies import cost, reader, requests_of
from benchmarks.wide import peak_rows
from elicit.policy.decoding import DecodingStrategy
from elicit.sampling.sampler import StepLoop
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ORGANISM))
    parser.add_argument("--text", choices=["organism", "gsm8k"], default="organism")
    for name, value in (("items", 4), ("chains", 8), ("steps", 10), ("limit", 48), ("repeats", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--alpha", type=float, default=4.0)
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, tokenizer, eos = load(args.model)
    texts = gsm8k_prompts(args.items) if args.text == "gsm8k" else organism_prompts(args.items)
    prompts = [tuple(tokenizer(text).input_ids) for text in texts]
    task, mh = reader(args.text, args.limit), PowerMH(alpha=args.alpha, steps=args.steps)
    chains = [requests_of([prompt] * args.chains, salt=place) for place, prompt in enumerate(prompts)]
    everything = [request for own in chains for request in own]
    loop, endless, rng = StepLoop(model, tokenizer, eos), StepLoop(model, tokenizer, ()), random.Random(0)

    def ours(groups: list[list[Any]], on: StepLoop) -> int:
        return sum(outcome.total_tokens for own in groups for outcome in mh.run(on, own, task))

    def peer(end: int | None) -> int:
        torch.manual_seed(0)
        runs = [prompt for prompt in prompts for _ in range(args.chains)]
        return sum(power_sample(model, p, args.alpha, args.steps, 1, args.limit, end, rng)[1] for p in runs)

    speeds = interleaved(
        {
            "step loop": lambda: ours([everything], endless),
            "step loop, a prompt at a time": lambda: ours(chains, endless),
            "published loop": lambda: peer(None),
            "step loop, EOS on": lambda: ours([everything], loop),
            "published loop, EOS on": lambda: peer(min(eos)),
        },
        args.repeats,
    )

    def curve(name: str, values: tuple[int, ...], make: Any, on: StepLoop = loop) -> list[dict[str, Any]]:
        out = []
        for value in values:
            strategy, limit = make(value)
            checked: DecodingStrategy = strategy
            out.append({name: value, **cost(checked, on, chains[0][:2], reader(args.text, limit))})
        return out

    def alone(n: int) -> Any:
        return lambda: mh.run(endless, chains[0], reader(args.text, n))

    def theirs(n: int) -> Any:
        return lambda: power_sample(model, prompts[0], args.alpha, args.steps, 1, n, None, rng)

    def particles(n: int) -> Any:
        return lambda: PowerSMC(n=32).run(endless, chains[0][:1], reader(args.text, n))

    lengths = (16, 32, 64, 128)
    arms = {f"{args.chains} chains": alone, "32 particles": particles, "published loop, 1 chain": theirs}
    facts = {
        "ratio": paired_ratio(speeds, "step loop", "published loop"),
        "ratio, a prompt at a time": paired_ratio(speeds, "step loop, a prompt at a time", "published loop"),
        "ratio, EOS on": paired_ratio(speeds, "step loop, EOS on", "published loop, EOS on"),
        "items": args.items, "chains": args.chains, "alpha": args.alpha, "steps": args.steps, "limit": args.limit,
        "cost of particles, 2 answers": curve("n", (8, 16, 32, 64, 128), lambda n: (PowerSMC(n=n), args.limit)),
        "cost of moves, 2 chains": curve("steps", (5, 10, 20, 40), lambda n: (PowerMH(steps=n), args.limit)),
        "cost of length, 32 particles, 2 answers": curve("tokens", lengths, lambda n: (PowerSMC(n=32), n), endless),
        "cost of length, 10 moves, 2 chains": curve("tokens", lengths, lambda n: (PowerMH(), n), endless),
        "acceptance": rates(mh, loop, everything, task, args.limit),
        "peak rows of vocabulary width": {
            f"{name}, {n} tokens": peak_rows(model, make(n))
            for n in (16, 64)
            for name, make in arms.items()
        },
    }  # fmt: skip
    report(f"power sampling, {Path(args.model).name}", speeds, facts, args.out)


if __name__ == "__main__":
    main()
