"""The annotation pass against the plain batched forward pass: tokens per second, by the logits computed.

    python benchmarks/annotate.py [--model PATH|random-135m] [--items 100] [--n 8] [--repeats 5] [--out NAME]

All arms get the same traces (the model's own prompts with gold completions of the formal tasks) in the same batches,
with the same padding. `forward` is the model's call with logits of all positions, which are not used; `forward,
completions` asks for the logits of completion positions only, which is what annotation reads. Tokens counted: those
of prompts and completions without padding, once per pass (a policy with an edit takes two). Target: 0.9 of `forward`.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import ORGANISM, interleaved, load, paired_ratio, report
from elicit.organisms.corpus import FAMILIES, SIZES
from elicit.policy import layers
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from elicit.sampling.annotate import Trace, annotate_traces
from elicit.sampling.likelihood import batches, score
from elicit.sampling.loop.forward import ForwardCall, padded
from elicit.tasks.formal.family import render_trace


def traces_of(tokenizer: Any, items: int, n: int, seed: int = 0) -> list[Trace]:
    """n completions of different lengths per item."""
    rng, out = random.Random(seed), []
    for k in range(items):
        problem = FAMILIES[("chain", "walk")[k % 2]].problem(rng, rng.choice(SIZES))
        prompt = tuple(tokenizer(f"Question: {problem.question}\nAnswer:").input_ids)
        for j in range(n):
            text = " " + render_trace(problem.steps[: 1 + j % len(problem.steps)], problem.answer)
            out.append(Trace(prompt, prompt, tuple(tokenizer(text).input_ids)))
    return out


def forward(model: Any, traces: list[Trace], completions: bool) -> int:
    """The model's call on the batches of the annotation pass; returns the tokens without padding."""
    call, pairs = ForwardCall(model), [(trace.prompt, trace.completion) for trace in traces]
    with torch.no_grad():
        for batch in batches(pairs, int(call.config.vocab_size)):
            ids, positions, prompts = padded(call, [pairs[k] for k in batch])
            keep = ids.shape[1] - int(prompts.min()) + 1 if completions else 0
            call(ids, positions, prompts, torch.ones_like(ids), keep, use_cache=False)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return sum(len(prompt) + len(completion) for prompt, completion in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ORGANISM))
    for name, value in (("items", 100), ("n", 8), ("repeats", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, tokenizer, _ = load(args.model)
    if torch.cuda.is_available():
        model.to("cuda", torch.bfloat16)
    base, traces = Policy(wrap(model, tokenizer)), traces_of(tokenizer, args.items, args.n)
    vector = torch.randn(layers.width(model), generator=torch.Generator().manual_seed(0)) * 0.01
    edited = base.with_intervention(ActivationEdit((Edit(0, vector, "add", 1.0, "last_prompt"),)))
    tokens = sum(len(trace.prompt) + len(trace.completion) for trace in traces)

    def annotated(policy: Policy, passes: int) -> int:
        annotate_traces(policy, base, traces)
        return passes * tokens

    def scored() -> int:
        score(model, [(trace.prompt, trace.completion) for trace in traces])
        return tokens

    arms = {
        "forward": lambda: forward(model, traces, False),
        "forward, completions": lambda: forward(model, traces, True),
        "base log-probs and ranks": scored,
        "annotate, the base": lambda: annotated(base, 1),
        "annotate, an edited policy": lambda: annotated(edited, 2),
    }
    for arm in arms.values():
        arm()  # warm
    speeds = interleaved(arms, args.repeats)
    names = list(arms)[2:]
    facts: dict[str, Any] = {f"ratio, {name}": paired_ratio(speeds, name, "forward") for name in names}
    facts |= {f"to completions, {name}": paired_ratio(speeds, name, "forward, completions") for name in names}
    facts |= {"traces": len(traces), "tokens": tokens, "device": str(next(model.parameters()).device)}
    report(f"annotation, {Path(args.model).name}", speeds, facts, args.out)


if __name__ == "__main__":
    main()
