"""CoT-decoding on the step loop against the published loop: tokens per second at k paths per prompt.

    python benchmarks/cot_decoding.py [--model PATH|random-135m] [--items 8] [--k 10] [--repeats 3] [--out NAME]

The peer (benchmarks/peers/cot_decoding.py) runs one path at a time; ours runs all paths of all prompts together and
prefills each prompt once. Same model, prompts, k, EOS and token limit, and the same greedy tokens (compared). Then
the cost of ours against k and against the length (EOS off), and the largest number of live rows of vocabulary width.
Target: a ratio of 5 or more.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import arguments, interleaved, paired_ratio, prepared, report
from benchmarks.peers.cot_decoding import cot_decode
from benchmarks.strategies import cost, reader, requests_of
from benchmarks.wide import peak_rows
from elicit.sampling.loop.step_loop import StepLoop
from methods.decoding.cot_decoding import CotDecoding


def main() -> None:
    args = arguments(__doc__, items=8, k=10, limit=64, repeats=3).parse_args()
    model, tokenizer, eos, prompts = prepared(args)
    requests, loop, endless = requests_of(prompts), StepLoop(model, tokenizer, eos), StepLoop(model, tokenizer, ())
    paths: dict[str, list[list[int]]] = {}

    def ours() -> int:
        outcomes = CotDecoding(k=args.k).run(loop, requests, reader(args.text, args.limit))
        paths["ours"] = [one.path.token_ids for outcome in outcomes for one in outcome.chains]
        return sum(map(len, paths["ours"]))

    def peer() -> int:
        decoded = [cot_decode(model, prompt, args.k, args.limit, min(eos)) for prompt in prompts]
        paths["peer"] = [ids for paths_of_prompt in decoded for ids, _ in paths_of_prompt]
        return sum(map(len, paths["peer"]))

    speeds = interleaved({"step loop": ours, "published loop": peer}, args.repeats)
    same = sum(a == b for a, b in zip(paths["ours"], paths["peer"], strict=True))
    by_k = [
        {"k": k, **cost(CotDecoding(k=k), loop, requests, reader(args.text, args.limit))} for k in (1, 2, 5, 10, 20, 40)
    ]
    by_length = [
        {"length": n, **cost(CotDecoding(k=args.k), endless, requests, reader(args.text, n))} for n in (16, 32, 64, 128)
    ]
    rows = {
        f"{name}, {length} tokens": peak_rows(model, run)
        for length in (16, 64)
        for name, run in {
            "step loop": lambda n=length: CotDecoding(k=args.k).run(endless, requests[:1], reader(args.text, n)),
            "published loop": lambda n=length: cot_decode(model, prompts[0], args.k, n, None),
        }.items()
    }
    facts = {
        "ratio": paired_ratio(speeds, "step loop", "published loop"), "items": args.items, "k": args.k,
        "limit": args.limit, "equal paths": f"{same} of {len(paths['ours'])}", "cost by k": by_k,
        "cost by length": by_length, "peak rows of vocabulary width, one prompt": rows,
    }  # fmt: skip
    report(f"CoT-decoding, {Path(args.model).name}", speeds, facts, args.out)


if __name__ == "__main__":
    main()
