"""CoT-decoding on the step loop against the published loop: tokens per second at k paths per prompt.

    python benchmarks/cot_decoding.py [--model PATH|random-135m] [--k 10] [--repeats 3] [--curves 1] [--out NAME]

The peer (benchmarks/peers/cot_decoding.py) runs one path at a time; ours runs all paths of all prompts together and
prefills each prompt once. Same model, prompts, k, EOS and token limit, and the same greedy tokens (compared). If the
package optillm is installed (`make .venv-bench-optillm/.made`), its own function is a third arm: it makes its own
prompt of a message, which ours gets here too. Then, with --curves 1, the cost of ours against k and against the length
(EOS off), and the largest number of live rows of vocabulary width. Target: a ratio of 5 or more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import arguments, elsewhere, interleaved, paired_ratio, prepared, prompts_of, report
from benchmarks.peers.cot_decoding import cot_decode
from benchmarks.peers.optillm import paths, prompt_ids, published
from benchmarks.strategies import cost, reader, requests_of
from benchmarks.wide import peak_rows
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.view import TaskView
from methods.decoding.cot_decoding import CotDecoding


class Arms:
    """The loops on the same prompts; each arm keeps its paths and returns their tokens."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.model, self.tokenizer, self.eos, self.prompts = prepared(args)
        self.loop = StepLoop(self.model, self.tokenizer, self.eos)
        self.paths: dict[str, list[list[int]]] = {}
        self.texts = prompts_of(args.text, args.items)
        self.optillm = published()

    def task(self) -> TaskView:
        return reader(self.args.text, self.args.limit)

    def kept(self, name: str, paths: list[list[int]]) -> int:
        self.paths[name] = paths
        return sum(map(len, paths))

    def ours(self, name: str, prompts: list[tuple[int, ...]]) -> int:
        outcomes = CotDecoding(k=self.args.k).run(self.loop, requests_of(prompts), self.task())
        return self.kept(name, [one.path.token_ids for outcome in outcomes for one in outcome.chains])

    def peer(self) -> int:
        each = [cot_decode(self.model, ids, self.args.k, self.args.limit, sorted(self.eos)) for ids in self.prompts]
        return self.kept("published loop", [ids for paths_of_prompt in each for ids, _ in paths_of_prompt])

    def package(self) -> int:
        a = self.args
        each = [paths(self.optillm, self.model, self.tokenizer, text, a.k, a.limit) for text in self.texts]
        return self.kept("optillm", [ids for paths_of_prompt in each for ids in paths_of_prompt])

    def all(self) -> dict[str, Callable[[], int]]:
        arms = {
            "step loop": lambda: self.ours("step loop", self.prompts),
            "published loop": elsewhere(self.model, self.peer),
        }
        if self.optillm:
            same = [prompt_ids(self.tokenizer, text) for text in self.texts]
            name = "step loop, optillm's prompts"
            arms |= {name: lambda: self.ours(name, same), "optillm": elsewhere(self.model, self.package)}
        return arms

    def equal(self, one: str, other: str) -> str:
        pairs = zip(self.paths[one], self.paths[other], strict=True)
        return f"{sum(list(a) == list(b) for a, b in pairs)} of {len(self.paths[one])}"


def curves(arms: Arms) -> dict[str, Any]:
    """The cost of ours by k and by length, and the largest number of live rows of vocabulary width."""
    args, requests = arms.args, requests_of(arms.prompts)
    endless = StepLoop(arms.model, arms.tokenizer, ())
    by_k = [{"k": k, **cost(CotDecoding(k=k), arms.loop, requests, arms.task())} for k in (1, 2, 5, 10, 20, 40)]
    by_length = [
        {"length": n, **cost(CotDecoding(k=args.k), endless, requests, reader(args.text, n))} for n in (16, 32, 64, 128)
    ]
    rows = {
        f"{name}, {length} tokens": peak_rows(arms.model, run)
        for length in (16, 64)
        for name, run in {
            "step loop": lambda n=length: CotDecoding(k=args.k).run(endless, requests[:1], reader(args.text, n)),
            "published loop": lambda n=length: cot_decode(arms.model, arms.prompts[0], args.k, n, None),
        }.items()
    }
    return {"cost by k": by_k, "cost by length": by_length, "peak rows of vocabulary width, one prompt": rows}


def main() -> None:
    args = arguments(__doc__, items=8, k=10, limit=64, repeats=3, curves=1).parse_args()
    arms = Arms(args)
    speeds = interleaved(arms.all(), args.repeats)
    facts: dict[str, Any] = {"ratio": paired_ratio(speeds, "step loop", "published loop")}
    facts |= {"items": args.items, "k": args.k, "limit": args.limit}
    facts["equal paths"] = arms.equal("step loop", "published loop")
    if arms.optillm:
        facts["ratio, optillm"] = paired_ratio(speeds, "step loop, optillm's prompts", "optillm")
        facts["equal paths, optillm"] = arms.equal("step loop, optillm's prompts", "optillm")
    facts |= curves(arms) if args.curves else {}
    report(f"CoT-decoding, {Path(args.model).name}", speeds, facts, args.out)


if __name__ == "__main__":
    main()
