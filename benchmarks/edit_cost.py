"""The cost of an ActivationEdit at every layer in sampling throughput, by the positions that it writes.

    python benchmarks/edit_cost.py [--model PATH|random-135m] [--items 50] [--n 16] [--repeats 5] [--out NAME]

Each arm generates the same fixed number of tokens (no EOS), so that the edit's effect on lengths is not part
of its cost. Target: at most 5 % on the organism, 2 % on a 135M model.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import arguments, interleaved, paired_ratio, prepared, report
from elicit.policy import layers
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.decoding import PathJob, PickRule
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules


def main() -> None:
    args = arguments(__doc__, items=50, n=16, slots=128, limit=24, repeats=5).parse_args()
    model, tokenizer, _, prompts = prepared(args)
    jobs = [PathJob(prompt, k, j) for k, prompt in enumerate(prompts) for j in range(args.n)]
    vector = torch.randn(layers.width(model), generator=torch.Generator().manual_seed(0)) * 0.01
    loop = StepLoop(model, tokenizer, (), slots=args.slots)

    def run(write: str | None) -> int:
        edits = [Edit(layer, vector, "add", 1.0, write) for layer in range(len(layers.blocks(model)))] if write else []
        with ExitStack() as stack:
            if edits:
                stack.enter_context(ActivationEdit(tuple(edits)).applied(model))
            paths = loop.run(jobs, PickRule(), StopRules((), args.limit))
        return sum(len(path.token_ids) for path in paths)

    arms = {"no edit": None, "last_prompt": "last_prompt", "onward": "onward", "every": "every"}
    speeds = interleaved({name: (lambda write=write: run(write)) for name, write in arms.items()}, args.repeats)
    facts = {f"cost of {name}": 1 - paired_ratio(speeds, name, "no edit") for name in arms if name != "no edit"}
    report(f"edit at every layer, {Path(args.model).name}", speeds, facts, args.out)


if __name__ == "__main__":
    main()
