"""vLLM against the step loop under the same keys: share of equal paths, and useful tokens per second.

    python benchmarks/engines.py --model PATH [--paths 64] [--tokens 48] [--repeats 3] [--only agreement] [--out NAME]

Needs the environment of `make vllm`. Agreement: `paths` jobs on 16 prompts with keys of their own, for every pick rule
on the bare model and for every kind of edit at temperature 1. A path agrees if all its tokens do. Where one does not,
the gap is the distance of the job's uniform number from the other token's interval in the CDF, computed again by a
plain forward pass: small at a boundary of the CDF, large if the engines differ by more than float noise. For greedy it
is the difference of the two tokens' probabilities. --itself adds the noise floor: the same paths by the step
loop with other batch shapes (16 rows). With --out every case is written as soon as it is measured; a case
of the file with at least as many paths is not measured again. Speed: both
engines with and without a steering vector, in turn within each repeat; a ratio is the median of the ratios of the
repeats. Applying the vector and the guard are part of the time. On a CPU the clock is the process's own CPU time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path as File
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(File(__file__).resolve().parent.parent))
from benchmarks.common import HOUSE, interleaved, organism_prompts, paired_ratio, report, write
from elicit.policy import layers
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from elicit.policy.decoding import Loop, Path, PathJob, PickRule
from elicit.policy.policy import Policy
from elicit.policy.positions import forward_positions
from elicit.policy.weights import WeightEdit
from elicit.sampling.engine import EngineConfig, set_engine
from elicit.sampling.loop.pick import filtered
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.loop.uniforms import uniforms
from elicit.tasks.task import StopRules

RULES = {
    "T=1": PickRule(),
    "greedy": PickRule(temperature=0.0),
    "T=.6 top-p=.95": PickRule(temperature=0.6, top_p=0.95),
    "T=1 top-k=50": PickRule(top_k=50),
    "T=1 min-p=.05": PickRule(min_p=0.05),
    "T=.25 alpha=4": PickRule(temperature=0.25, alpha=4.0),
}
BINS = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1.0)
"""of the histogram of gaps"""


def edits(checkpoint: Checkpoint) -> dict[str, Any]:
    """Every kind of edit: half the residual stream's typical norm for vectors, 1 % of a matrix's norm for weights."""
    generator = torch.Generator().manual_seed(0)
    model = checkpoint.model
    width, layer = layers.width(model), len(layers.blocks(model)) // 2
    vector = torch.randn(width, generator=generator)
    vector *= 0.5 * _norm(checkpoint, layer) / vector.norm()
    level = float(vector.norm())
    named = [name for name, value in model.named_parameters() if value.ndim == 2 and ".layers." in name][::3]

    def noise(name: str) -> torch.Tensor:
        value = model.get_parameter(name)
        change = torch.randn(value.shape, generator=generator)
        return change * (0.01 * value.float().norm().cpu() / change.norm())

    def pair(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        out, into = model.get_parameter(name).shape
        a, b = torch.randn(4, into, generator=generator), torch.randn(out, 4, generator=generator)
        return a, b * (0.01 * model.get_parameter(name).float().norm().cpu() / (b @ a).norm())

    out: dict[str, Any] = {
        f"add {write}": ActivationEdit((Edit(layer, vector, "add", 1.0, write),))
        for write in ("every", "onward", "last_prompt", "prompt", "completion")
    }
    out["clamp onward"] = ActivationEdit((Edit(layer, vector, "clamp", 1.0, "onward", target=level),))
    out["ablate every"] = ActivationEdit((Edit(layer, vector, "ablate", 1.0, "every"),))
    out["full weights"] = WeightEdit({name: noise(name) for name in named})
    out["LoRA"] = WeightEdit(pairs={name: pair(name) for name in named}, scale=1.0)
    return out


@torch.no_grad()
def _norm(checkpoint: Checkpoint, layer: int) -> float:
    ids = torch.tensor([checkpoint.encode(organism_prompts(1)[0])], device=checkpoint.device)
    with layers.reading_outputs(checkpoint.model, [layer]) as read:
        checkpoint.model(ids)
    return float(read[layer][0, 1:].float().norm(dim=-1).mean())


@torch.no_grad()
def gap(checkpoint: Checkpoint, job: PathJob, rule: PickRule, ours: Path, theirs: Path) -> float | None:
    """Distance of the uniform number from the other token's interval at the first divergence, for greedy that of the
    two probabilities; None if one path is the beginning of the other."""
    pairs = zip(ours.token_ids, theirs.token_ids, strict=False)
    step = next((t for t, (a, b) in enumerate(pairs) if a != b), None)
    if step is None:
        return None
    ids = torch.tensor([[*job.prompt_ids, *ours.token_ids[:step]]], device=checkpoint.device)
    with forward_positions(torch.arange(ids.shape[1])[None], torch.tensor([len(job.prompt_ids)])):
        logits = checkpoint.model(ids).logits[:, -1].float()
    if rule.temperature == 0:
        best, second = logits.double().softmax(-1)[0, [ours.token_ids[step], theirs.token_ids[step]]].tolist()
        return abs(best - second)
    cdf = filtered(logits, rule).double().softmax(-1)[0].cumsum(-1)
    number, other = float(uniforms(job.seed, job.stream, step, 1)[0]), theirs.token_ids[step]
    low, high = float(cdf[other - 1]) if other else 0.0, float(cdf[other])
    return max(low - number, number - high, 0.0)


def compared(
    checkpoint: Checkpoint, policy: Policy, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, itself: bool
) -> dict[str, Any]:
    """Share of equal paths of one policy and rule, and the gaps where they part."""
    floor: dict[str, Any] = {}
    with policy.applied():
        ours = StepLoop(checkpoint, eos_ids=policy.end_ids).run(jobs, rule, stop)
        if itself:
            again = StepLoop(checkpoint, eos_ids=policy.end_ids, slots=16).run(jobs, rule, stop)
            floor = {"equal to the step loop with 16 rows": sum(
                a.token_ids == b.token_ids for a, b in zip(ours, again, strict=True))}  # fmt: skip
    assert checkpoint.engine is not None
    with checkpoint.engine.drawing(policy) as loop:
        theirs = loop.run(jobs, rule, stop)
    same = [a.token_ids == b.token_ids for a, b in zip(ours, theirs, strict=True)]
    apart = [abs(a - b) for x, y, equal in zip(ours, theirs, same, strict=True) if equal
             for a, b in zip(x.logprobs, y.logprobs, strict=True)]  # fmt: skip
    with policy.applied():
        rows = zip(jobs, ours, theirs, same, strict=True)
        found = [gap(checkpoint, job, rule, a, b) for job, a, b, equal in rows if not equal]
    gaps = [one for one in found if one is not None]
    counts = np.histogram(gaps, BINS)[0].tolist()
    return {"paths": len(jobs), "equal": sum(same), "share": sum(same) / len(jobs), "gaps": sorted(gaps),
            "histogram": counts, "without a gap": len(found) - len(gaps),
            "largest log-prob difference": max(apart, default=0.0), **floor}  # fmt: skip


def agreement(
    checkpoint: Checkpoint,
    paths: int,
    tokens: int,
    chosen: Sequence[str] = (),
    out: str | None = None,
    itself: bool = False,
) -> None:
    """All rules on the bare model, all edits at temperature 1; `chosen`: these alone."""
    # 1) the cases of an earlier run with this model, engine and length
    assert checkpoint.engine is not None
    facts = {"title": f"agreement, {checkpoint.name}", "engine": checkpoint.engine.name, "tokens": tokens}
    facts |= {"dtype": str(checkpoint.dtype), "bins": list(BINS)}
    file = HOUSE / "benchmarks" / "results" / f"{out}.json"
    before = json.loads(file.read_text()) if out and file.exists() else {}
    done: dict[str, Any] = before["cases"] if all(before.get(name) == fact for name, fact in facts.items()) else {}
    # 2) the cases that are missing
    base, stop = Policy(checkpoint), StopRules((), tokens)
    prompts = [tuple(checkpoint.encode(text)) for text in organism_prompts(16)]
    jobs = [PathJob(prompts[k % len(prompts)], 1000 + k, stream=k % 4) for k in range(paths)]
    cases = [(name, base, rule) for name, rule in RULES.items()]
    cases += [(name, base.with_intervention(edit), PickRule()) for name, edit in edits(checkpoint).items()]
    cases = [case for case in cases if not chosen or case[0] in chosen]
    cases = [case for case in cases if done.get(case[0], {}).get("paths", 0) < paths]
    print(f"\n{'':18}{'equal':>12}{'max |dlogp|':>14}   gaps below {', '.join(f'{b:g}' for b in BINS[1:])}")
    for name, policy, rule in cases:
        row = done[name] = compared(checkpoint, policy, jobs, rule, stop, itself)
        shown = f"{row['equal']}/{row['paths']}"
        print(f"{name:18}{shown:>12}{row['largest log-prob difference']:14.1e}   {row['histogram']}", flush=True)
        write(out, {**facts, "cases": done})


def speed(checkpoint: Checkpoint, paths: int, tokens: int, repeats: int, out: str | None) -> None:
    """Useful tokens per second of both engines, steered and not."""
    base, stop = Policy(checkpoint), StopRules((), tokens)
    steered = base.with_intervention(edits(checkpoint)["add onward"])
    prompts = [tuple(checkpoint.encode(text)) for text in organism_prompts(16)]
    jobs = [PathJob(prompts[k % len(prompts)], k) for k in range(paths)]

    def arm(policy: Policy, by_vllm: bool) -> Callable[[], int]:
        def run() -> int:
            with ExitStack() as stack:
                loop: Loop
                if by_vllm:
                    assert checkpoint.engine is not None
                    loop = stack.enter_context(checkpoint.engine.drawing(policy))
                else:
                    stack.enter_context(policy.applied())
                    loop = StepLoop(checkpoint, eos_ids=policy.end_ids)
                return sum(len(path.token_ids) for path in loop.run(jobs, PickRule(), stop))

        return run

    arms = {"step loop": arm(base, False), "vLLM": arm(base, True),
            "step loop, steered": arm(steered, False), "vLLM, steered": arm(steered, True)}  # fmt: skip
    speeds = interleaved(arms, repeats)
    facts = {
        "vLLM / step loop": paired_ratio(speeds, "vLLM", "step loop"),
        "vLLM / step loop, steered": paired_ratio(speeds, "vLLM, steered", "step loop, steered"),
        "vLLM, steered / not": paired_ratio(speeds, "vLLM, steered", "vLLM"),
        "paths": paths,
        "tokens": tokens,
    }
    report(f"engines, {checkpoint.name}, {checkpoint.device}", speeds, facts, out and f"{out}-speed")


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="organism")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--paths", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=["agreement", "speed"])
    parser.add_argument("--cases", help="names of cases of the agreement, separated by commas; default: all")
    parser.add_argument("--itself", action="store_true")
    parser.add_argument("--out")
    args = parser.parse_args()
    config = CheckpointConfig(args.model, device=args.device, dtype=args.dtype, threads=args.threads)
    checkpoint = load_checkpoint(config)
    set_engine(checkpoint, EngineConfig("vllm", rows=args.rows, max_model_len=512, cache_gib=1.0), print)
    if args.only != "speed":
        chosen = args.cases.split(",") if args.cases else ()
        agreement(checkpoint, args.paths, args.tokens, chosen, args.out, args.itself)
    if args.only != "agreement":
        speed(checkpoint, args.paths, args.tokens, args.repeats, args.out)


if __name__ == "__main__":
    main()
