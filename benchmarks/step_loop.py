"""The step loop against transformers' `generate()`: useful tokens per second at n samples per item, T = 1.

    python benchmarks/step_loop.py [--model PATH|random-135m] [--items 200] [--n 16] [--repeats 3] [--out NAME]

Both get the same model, prompts, temperature 1 without truncation, EOS, token limit and number of rows;
`generate()` is called on batches of prompts of similar length with num_return_sequences=n, its strongest
form. Useful tokens: those up to and with the first EOS. The loop also keeps five scalars per token and tests
stop strings; `generate()` does neither. Target: a ratio of 1.5 or more on the organism.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import arguments, interleaved, paired_ratio, prepared, report
from elicit.policy.decoding import PathJob, PickRule
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules


def by_generate(model: Any, prompts: list[tuple[int, ...]], n: int, rows: int, limit: int, eos: frozenset[int]) -> int:
    """Useful tokens of n samples per prompt."""
    ordered, useful = sorted(prompts, key=len), 0
    size = max(1, rows // n)
    for first in range(0, len(ordered), size):
        batch = ordered[first : first + size]
        width = max(map(len, batch))
        ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in batch])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in batch])
        out = model.generate(
            ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, num_return_sequences=n,
            max_new_tokens=limit, pad_token_id=0, eos_token_id=sorted(eos),
        )[:, width:]  # fmt: skip
        ends = torch.isin(out, torch.tensor(sorted(eos))).long()
        ended = ends.cumsum(1) - ends
        useful += int((ended == 0).sum())
    return useful


def by_loop(loop: StepLoop, prompts: list[tuple[int, ...]], n: int, limit: int) -> int:
    """The same with the step loop."""
    jobs = [PathJob(prompt, seed) for seed, prompt in enumerate(prompts) for _ in range(n)]
    jobs = [PathJob(job.prompt_ids, job.seed, stream=k) for k, job in enumerate(jobs)]
    return sum(len(path.token_ids) for path in loop.run(jobs, PickRule(), StopRules(max_new_tokens=limit)))


def main() -> None:
    args = arguments(__doc__, items=200, n=16, slots=128, limit=128, repeats=3).parse_args()
    model, tokenizer, eos, prompts = prepared(args)
    loop = StepLoop(model, tokenizer, eos, slots=args.slots)
    speeds = interleaved(
        {
            "step loop": lambda: by_loop(loop, prompts, args.n, args.limit),
            "generate()": lambda: by_generate(model, prompts, args.n, args.slots, args.limit, eos),
        },
        args.repeats,
    )
    ratio = paired_ratio(speeds, "step loop", "generate()")
    facts = {"ratio": ratio, "items": args.items, "n": args.n, "rows": args.slots}
    report(f"step loop, {Path(args.model).name}", speeds, facts, args.out)


if __name__ == "__main__":
    main()
