"""Does everything run on this accelerator, and does it take the memory that was estimated? One script, no network.

    make gpu-check                          all stages on CUDA, at most 8 minutes
    make gpu-check device=cpu small=true    the same code on tiny shapes, about a minute on two cores

    sample   the step loop on a random base of true shape: tokens per second, peak memory
    rl       updates of RLVR (all weights, or LoRA for 8B) and of steering vectors: seconds, peak memory
    sae      activations of the middle layer, then training steps of a dictionary
    organism the shipped organism in bfloat16: five methods, a few problems each, through the command line
    gguf     a real model, if --gguf FILE is given: greedy tokens with and without the cache agree

Weights of true shapes are random: only speed and memory mean anything. A stage passes if it ran and, on CUDA, its peak
is at most 1.25 times the estimate (`training.memory`). A stage that would begin after the time limit is "skipped", and
is not a pass. The file benchmarks/results/gpu-NAME.json is written after every stage, so that a killed run keeps what
it had. Exit code 1 if any stage failed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import HOUSE
from benchmarks.rl_shapes import SHAPES, method_of, random_policy
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy import layers
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint
from elicit.policy.decoding import PathJob, PickRule
from elicit.policy.policy import Policy
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.task import StopRules
from elicit.training.memory import estimate

TOLERANCE = 1.25
"""peak over estimate that still passes; the estimate is good to some tens of percent"""
TINY = {
    "kind": "LlamaConfig", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True,
}  # fmt: skip


@dataclass
class Stage:
    """What one stage measured."""

    name: str
    result: str = "skipped"
    """pass, fail or skipped"""
    reason: str = ""
    seconds: float = 0.0
    facts: dict[str, float | int | str] = field(default_factory=dict)


def synchronised() -> float:
    """Seconds of the clock, after the device has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_gb(device: torch.device) -> float:
    """Peak since the last reset on CUDA; of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def sample(policy: Policy, rows: int, length: int) -> dict[str, float]:
    """Draw `rows` paths of `length` tokens after prompts of as many tokens."""
    model, device = policy.checkpoint.model, policy.checkpoint.device
    loop = StepLoop(model, policy.checkpoint.tokenizer, frozenset(), slots=rows)
    rng = np.random.default_rng(0)
    jobs = [PathJob(tuple(rng.integers(3, 500, length).tolist()), seed) for seed in range(rows)]
    began = synchronised()
    tokens = sum(len(path.token_ids) for path in loop.run(jobs, PickRule(), StopRules(max_new_tokens=length)))
    seconds = synchronised() - began
    dtype = policy.checkpoint.dtype
    needed = estimate(model, 0, micro_batch=0, tokens=2 * length, rows=rows, checkpointing=False, dtype=dtype)
    logits = 3 * 4 * rows * int(layers.text_config(model).vocab_size)
    return {
        "rows": rows, "tokens": tokens, "tokens_per_second": tokens / seconds, "peak_gb": peak_gb(device),
        "estimate_gb": (needed.weights + needed.cache + logits) / 1e9,
    }  # fmt: skip


def update(policy: Policy, name: str, args: argparse.Namespace) -> dict[str, float]:
    """Two updates of a trained method; the second one is timed."""
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    method = method_of(name, args, args.micro_batch, 2)
    with tempfile.TemporaryDirectory() as folder:
        context = Context(np.random.default_rng(0), Path(folder), lambda p, n: 0.0, rows.append, lines.append)
        method.fit(policy, Ledger(FormalTask(), "benchmark"), context)
    second = [row for row in rows if "rl/seconds" in row][-1]
    stated = next(line for line in lines if "trained parameters, about" in line)
    return {
        "seconds_per_update": second["rl/seconds"], "seconds_of_rollouts": second["rl/seconds_rollouts"],
        "kl_sampler": second["rl/kl_sampler"], "peak_gb": peak_gb(policy.checkpoint.device),
        "estimate_gb": float(stated.partition("about ")[2].split(" GB")[0]),
    }  # fmt: skip


def dictionary(policy: Policy, tokens: int) -> dict[str, float]:
    """Activations of the middle layer for `tokens` random tokens, and a few steps of training on them."""
    from methods.sae_steering.store import ActivationStore
    from methods.sae_steering.training import TrainConfig, train

    model, device = policy.checkpoint.model, policy.checkpoint.device
    layer, found = len(layers.blocks(model)) // 2, []
    handle = layers.blocks(model)[layer].register_forward_hook(
        lambda _m, _i, out: found.append((out[0] if isinstance(out, tuple) else out).float().flatten(0, 1).cpu())
    )
    began = synchronised()
    try:
        for _ in range(max(1, tokens // 2048)):
            ids = torch.randint(3, 500, (8, min(256, tokens // 8)), device=device)
            with torch.no_grad():
                model(input_ids=ids, use_cache=False, logits_to_keep=1)
    finally:
        handle.remove()
    array = torch.cat(found).numpy()
    read = synchronised()
    nothing = np.zeros(len(array), dtype=int)
    store = ActivationStore((layer,), {layer: array}, nothing, nothing, nothing, nothing)
    with tempfile.TemporaryDirectory() as folder:
        train(store, layer, TrainConfig(tokens=4 * len(array)), Path(folder), device, "random")
    trained = synchronised()
    return {
        "activations": len(array), "activations_per_second": len(array) / (read - began),
        "training_tokens_per_second": 4 * len(array) / (trained - read), "peak_gb": peak_gb(device),
    }  # fmt: skip


def organism(device: str, small: bool) -> dict[str, float | str]:
    """The five methods on the shipped organism, in bfloat16 on an accelerator, by the command line."""
    if small:
        jobs = ["method=rl_steering", "method.steps=2", "method.dev_every=0", "placebos=none", "eval=quick"]
        jobs += ["eval.prompts=[]", "eval.ceilings=[]"]
    else:
        jobs = ["experiment=demo", "placebos=one"]
    dtype = "float32" if device == "cpu" else "bfloat16"
    fast = ["eval.limit=16", "eval.n=4", f"model.device={device}", f"model.dtype={dtype}", "tracker=none"]
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "elicit.cli", *jobs, *fast, f"root={root}"]
        environment = os.environ | {"PYTHONPATH": str(HOUSE)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=HOUSE, env=environment, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[2:])} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
        from elicit.results import read_comparison

        comparison = read_comparison(next(Path(root).glob("comparisons/*/comparison.json")))
    found = {f"{line.role} {line.name}": line.get("acc") for line in comparison.lines}
    return {name: value.number for name, value in found.items() if value and value.number is not None}


def gguf(file: str, device: str) -> dict[str, float | str]:
    """Greedy tokens of a real model, with and without the slot cache."""
    policy = Policy(load_checkpoint(CheckpointConfig(path=file, device=device)))
    ids = tuple(policy.checkpoint.encode("Question: What is 7 + 5?\nAnswer:"))
    drawn = []
    for cached in (True, False):
        loop = StepLoop(policy.checkpoint, cached=cached)
        drawn.append(loop.run([PathJob(ids, 0)], PickRule(greedy=True), StopRules(max_new_tokens=16))[0].token_ids)
    if drawn[0] != drawn[1]:
        raise RuntimeError(f"greedy tokens differ: {drawn[0]} with the cache, {drawn[1]} without")
    return {"text": policy.checkpoint.decode(drawn[0])}


def stages(args: argparse.Namespace) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """Every stage in order; each builds its model and lets it go."""
    device = torch.device(args.device)

    def on(shape: str, stage: Callable[[Policy], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        return lambda: stage(random_policy(shape, device))

    if args.small:
        SHAPES["tiny"] = TINY
        torch.set_num_threads(1)  # threads that wait for each other cost more than tiny products gain
        args.prompts, args.samples, args.limit, args.micro_batch = 2, 4, 8, 4
        made = [
            ("sample tiny", on("tiny", lambda policy: sample(policy, 16, 16))),
            *((f"rl tiny {name}", on("tiny", lambda p, name=name: update(p, name, args))) for name in ("rlvr", "lora")),
            ("rl tiny rl_steering", on("tiny", lambda policy: update(policy, "rl_steering", args))),
            ("sae tiny", on("tiny", lambda policy: dictionary(policy, 2_048))),
        ]
    else:
        small, large = "qwen2.5-1.5b", "llama-3.1-8b"
        made = [
            (f"sample {small}", on(small, lambda policy: sample(policy, 256, 128))),
            *(
                (f"rl {small} {name}", on(small, lambda p, name=name: update(p, name, args)))
                for name in ("rlvr", "lora")
            ),
            (f"sae {small}", on(small, lambda policy: dictionary(policy, 65_536))),
            (f"sample {large}", on(large, lambda policy: sample(policy, 256, 128))),
            *((f"rl {large} {n}", on(large, lambda p, n=n: update(p, n, args))) for n in ("lora", "rl_steering")),
        ]
    made.append(("organism", lambda: organism(args.device, args.small)))
    if args.gguf:
        made.append(("gguf", lambda: gguf(args.gguf, args.device)))
    return made


def judged(stage: Stage, cuda: bool) -> Stage:
    """Pass, unless a peak on CUDA is far above its estimate. A CPU has no peak of a stage alone."""
    peak, stated = stage.facts.get("peak_gb"), stage.facts.get("estimate_gb")
    stage.result = "pass"
    if cuda and isinstance(peak, float) and isinstance(stated, float) and peak > TOLERANCE * stated:
        stage.result, stage.reason = "fail", f"peak {peak:.1f} GB, estimated {stated:.1f} GB"
    return stage


def run(args: argparse.Namespace, name: str, machine: dict[str, str]) -> list[Stage]:
    """All stages; the file is written after each."""
    cuda, began, done = args.device.startswith("cuda"), time.perf_counter(), []
    for title, measure in stages(args):
        stage = Stage(title)
        at = time.perf_counter()
        if at - began > args.seconds:
            stage.reason = f"{args.seconds} s were over"
        else:
            if cuda:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            try:
                stage.facts = measure()
                judged(stage, cuda)
            except Exception as fault:  # the check goes on: the next stage may tell more
                stage.result, stage.reason = "fail", f"{type(fault).__name__}: {fault}"
            gc.collect()
            stage.seconds = time.perf_counter() - at
        done.append(stage)
        shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in stage.facts.items())
        print(f"{stage.result:8}{title:32}{stage.seconds:7.1f} s  {stage.reason or shown}", flush=True)
        file = HOUSE / "benchmarks" / "results" / f"gpu-{name}.json"
        file.write_text(json.dumps({"machine": machine, "stages": [asdict(one) for one in done]}, indent=1) + "\n")
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny shapes, for a machine without an accelerator")
    parser.add_argument("--gguf", help="a GGUF file of a real model")
    parser.add_argument("--name", help="of the file of results; default: the device's name")
    for name, value in (("seconds", 480), ("prompts", 8), ("samples", 8), ("limit", 128), ("micro-batch", 8)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        parser.exit(1, "gpu_check: no CUDA device here; --device cpu --small runs the same code on tiny shapes\n")
    title = torch.cuda.get_device_name() if args.device.startswith("cuda") else "cpu"
    machine = {"device": title, "torch": torch.__version__, "transformers": transformers.__version__}
    name = args.name or "-".join(title.lower().split())
    done = run(args, name, machine)
    sys.exit(any(stage.result == "fail" for stage in done))


if __name__ == "__main__":
    main()
