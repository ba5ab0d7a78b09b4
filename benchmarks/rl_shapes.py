"""Updates of models with real shapes on an accelerator: step time, tokens per second, peak memory, largest micro-batch.

    python benchmarks/rl_shapes.py [--shapes qwen2.5-1.5b,llama-3.1-8b] [--methods rlvr,lora,rl_steering] [--out NAME]

The weights are random, made on the device from the shapes below; only speed and memory mean anything. Without an
accelerator it prints that and measures nothing. Random weights almost never end a rollout, so each runs to the limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import HOUSE, ORGANISM
from elicit.errors import MethodError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from elicit.tasks.formal.task import FormalTask
from methods.rl_steering.method import RLSteering
from methods.rlvr.method import RLVR

SHAPES: dict[str, dict[str, Any]] = {
    "qwen2.5-1.5b": {
        "kind": "Qwen2Config", "vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960,
        "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2, "tie_word_embeddings": True,
    },
    "llama-3.1-8b": {
        "kind": "LlamaConfig", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": False,
    },
}  # fmt: skip


def random_policy(shape: str, device: torch.device) -> Policy:
    """A base of that shape with random bfloat16 weights and the organism's tokenizer."""
    import transformers

    fields = dict(SHAPES[shape])
    config = getattr(transformers, fields.pop("kind"))(**fields, max_position_embeddings=8192)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            model = transformers.AutoModelForCausalLM.from_config(config)
    finally:
        torch.set_default_dtype(before)
    return Policy(wrap(model, transformers.AutoTokenizer.from_pretrained(ORGANISM)))


def method_of(name: str, args: argparse.Namespace, micro_batch: int, steps: int) -> Any:
    shared: dict[str, Any] = {
        "steps": steps, "prompts": args.prompts, "samples": args.samples, "micro_batch": micro_batch,
        "max_new_tokens": args.limit, "rewards": {"random": 1.0}, "dev_every": 0, "kl_every": 0, "save_every": 10**6,
    }  # fmt: skip
    if name == "rl_steering":
        return RLSteering(**shared)
    return RLVR(**shared, parameters="full" if name == "rlvr" else "lora")


def measured(policy: Policy, name: str, args: argparse.Namespace, micro_batch: int, steps: int) -> dict[str, float]:
    """Seconds and peak memory of an update, the first left out. Raises MethodError if it does not fit."""
    rows: list[dict[str, Any]] = []
    torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        context = Context(np.random.default_rng(0), Path(folder), lambda p, n: 0.0, rows.append, print)
        method_of(name, args, micro_batch, steps).fit(policy, Ledger(FormalTask(), "benchmark"), context)
    updates = [row for row in rows if "rl/seconds" in row][1:]
    seconds = statistics.median(row["rl/seconds"] for row in updates)
    tokens = statistics.median(row["rl/tokens"] for row in updates) * args.prompts * args.samples
    drawing = statistics.median(row["rl/seconds_rollouts"] for row in updates)
    return {
        "micro_batch": micro_batch, "seconds_an_update": seconds, "seconds_of_rollouts": drawing,
        "tokens_a_second": tokens / seconds, "peak_gb": torch.cuda.max_memory_allocated() / 1e9,
        "kl_sampler": statistics.median(row["rl/kl_sampler"] for row in updates),
    }  # fmt: skip


def largest(policy: Policy, name: str, args: argparse.Namespace) -> int:
    """The largest micro-batch (a power of two that divides the batch) with which one update fits."""
    best, size = 0, 1
    while size <= args.prompts * args.samples:
        try:
            measured(policy, name, args, size, 2)
        except MethodError as fault:
            print(f"{name}, micro_batch {size}: {fault}")
            torch.cuda.empty_cache()
            return best
        best, size = size, size * 2
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--methods", default="rlvr,lora,rl_steering")
    for name, value in (("prompts", 16), ("samples", 8), ("limit", 512), ("steps", 4), ("micro-batch", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("no accelerator: rl_shapes measures nothing on this machine")
        return
    device = torch.device("cuda")
    out: dict[str, Any] = {"device": torch.cuda.get_device_name(device), "torch": torch.__version__, "rows": {}}
    for shape in args.shapes.split(","):
        policy = random_policy(shape, device)
        for name in args.methods.split(","):
            began = time.perf_counter()
            try:
                row: dict[str, Any] = measured(policy, name, args, args.micro_batch, args.steps)
                row["largest_micro_batch"] = largest(policy, name, args)
            except MethodError as fault:
                row = {"refused": str(fault)}
            torch.cuda.empty_cache()
            out["rows"][f"{shape} {name}"] = row
            print(f"{shape} {name} ({time.perf_counter() - began:.0f} s): {row}")
        del policy
        torch.cuda.empty_cache()
    if args.out:
        file = HOUSE / "benchmarks" / "results" / f"{args.out}.json"
        file.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
