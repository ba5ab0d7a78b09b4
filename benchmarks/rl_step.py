"""One policy-gradient update: ours against stock TRL with transformers' generate; vectors against all weights.

    python benchmarks/rl_step.py [--model PATH] [--prompts 8] [--samples 16] [--steps 3] [--repeats 3] [--out NAME]

Both trainers get the same model, prompts, batch, loss, token limit and a coin as reward. `fixed`: no rollout may end
before the limit, so both write and differentiate the same number of tokens. `natural`: rollouts end by
themselves; the tokens of the completions are counted. The first update of a run is left out. Backward: the same rows
through the same loss, with gradients for all weights, for one vector per layer, and for one at the last layer.
Profile: one more run of each arm under cProfile says where an update of equal lengths spends its time.
Targets: fixed >= 1.3x stock; vectors <= .65 of the full backward pass; a vector checkpoint below 1 MB.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import ORGANISM, paired_ratio, report
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy import layers
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint
from elicit.policy.policy import Policy
from elicit.tasks.formal.task import FormalTask
from elicit.training import checkpoints
from elicit.training.rl.vectors import Vectors
from elicit.training.trainable import FullWeights
from methods.rl_steering.method import RLSteering
from methods.rlvr.method import RLVR

CLOCK = time.perf_counter if torch.cuda.is_available() else time.process_time
PARTS = {"rollouts": "_generate", "forward": "compute_loss", "backward": "backward"}
"""the function of TRL's trainer (which ours extends) or of accelerate that does each part of an update"""
SHAPES = {"Qwen2.5-7B": (28, 3584), "Llama-3.1-8B": (32, 4096)}


class Steps:
    """Seconds and completion tokens of each update."""

    def __init__(self) -> None:
        self.marks: list[float] = []
        self.tokens: list[int] = []

    def speed(self) -> float:
        """Completion tokens per second, without the first update."""
        return sum(self.tokens[1:]) / (self.marks[-1] - self.marks[0])


def ours(policy: Policy, task: FormalTask, args: argparse.Namespace, fixed: bool, write: str | None) -> Steps:
    """Our trainer, on all weights or (with `write`) on vectors."""
    shared: dict[str, Any] = {
        "steps": args.steps + 1, "prompts": args.prompts, "samples": args.samples, "micro_batch": args.micro_batch,
        "rewards": {"random": 1.0}, "dev_every": 0, "kl_every": 0, "gradient_checkpointing": False,
        "save_every": 10**6, "max_new_tokens": args.limit,
    }  # fmt: skip
    method: Any = (
        RLVR(**shared, learning_rate=1e-6) if write is None else RLSteering(**shared, learning_rate=1e-6, write=write)
    )
    steps, ends = Steps(), policy.checkpoint.eos_ids
    policy.checkpoint.eos_ids = frozenset() if fixed else ends

    def log(row: dict[str, Any]) -> None:
        if "rl/tokens" in row:
            steps.marks.append(CLOCK())
            steps.tokens.append(round(row["rl/tokens"] * args.prompts * args.samples))

    try:
        with tempfile.TemporaryDirectory() as folder:
            context = Context(np.random.default_rng(0), Path(folder), lambda p, n: 0.0, log)
            method.fit(policy, Ledger(task, "benchmark"), context)
    finally:
        policy.checkpoint.eos_ids = ends
    return steps


def stock(policy: Policy, task: FormalTask, args: argparse.Namespace, fixed: bool) -> Steps:
    """Stock TRL: GRPOTrainer with transformers' generate, on all weights of a fresh copy."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PrinterCallback, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    steps, rng = Steps(), np.random.default_rng(0)

    class Clock(TrainerCallback):
        def on_step_end(self, *arguments: Any, **others: Any) -> None:
            steps.marks.append(CLOCK())

    def coin(completion_ids: list[list[int]], **_: Any) -> list[float]:
        steps.tokens.append(sum(map(len, completion_ids)))
        return [float(value) for value in rng.integers(2, size=len(completion_ids))]

    texts = [policy.prompt.render(item.question) for item in task.items("train", args.prompts * (args.steps + 1))]
    accumulation = args.prompts * args.samples // args.micro_batch
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = GRPOConfig(
            output_dir=folder, max_steps=args.steps + 1, per_device_train_batch_size=args.micro_batch,
            gradient_accumulation_steps=accumulation, num_generations=args.samples, max_completion_length=args.limit,
            temperature=1.0, loss_type="dr_grpo", scale_rewards="none", beta=0.0, learning_rate=1e-6,
            lr_scheduler_type="constant", gradient_checkpointing=False, bf16=policy.checkpoint.dtype == torch.bfloat16,
            use_cpu=policy.checkpoint.device.type == "cpu", report_to="none", disable_tqdm=True, save_strategy="no",
            logging_strategy="no", generation_kwargs={"min_new_tokens": args.limit} if fixed else None,
        )  # fmt: skip
        model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
        trainer = GRPOTrainer(
            model, coin, config, Dataset.from_dict({"prompt": texts}), processing_class=policy.checkpoint.tokenizer
        )
        trainer.add_callback(Clock())
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return steps


def profiled(run: Callable[[], Steps]) -> dict[str, float]:
    """Seconds per update of each part, and of the attention and the linear products within all of them."""
    profile = cProfile.Profile(CLOCK)
    steps = profile.runcall(run)
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # {(file, line, function): (.., .., own, all, ..)}
    updates = len(steps.tokens)

    def spent(function: str, column: int) -> float:
        return max((times[column] for (_, _, name), times in found.items() if name == function), default=0.0) / updates

    parts = {part: spent(function, 3) for part, function in PARTS.items()}
    parts["the rest of the update"] = spent("training_step", 3) - sum(parts.values())
    parts["of all, attention forward"] = spent("<built-in method torch._C._nn.scaled_dot_product_attention>", 2)
    linear = ("<built-in method torch._C._nn.linear>", "<built-in method torch._ops.mkldnn._linear_pointwise>")
    parts["of all, linear products forward"] = spent(linear[0], 2) + spent(linear[1], 2)
    return parts


def backward(model: Any, rows: torch.Tensor, trainable: Any, repeats: int) -> float:
    """Median seconds of the backward pass of one batch."""
    seconds = []
    with trainable.attached(model):
        for _ in range(repeats):
            logits = model(input_ids=rows, use_cache=False).logits[:, :-1]
            loss = logits.float().log_softmax(-1).gather(2, rows[:, 1:, None]).mean()
            began = CLOCK()
            loss.backward()
            seconds.append(CLOCK() - began)
            for parameter in trainable.trained().values():
                parameter.grad = None
    return statistics.median(seconds)


def backward_ratios(policy: Policy, args: argparse.Namespace) -> dict[str, float]:
    model = policy.checkpoint.model
    count, width = len(layers.blocks(model)), layers.width(model)
    vocabulary = int(layers.text_config(model).vocab_size)
    rows = torch.randint(3, vocabulary, (args.micro_batch, 64), device=policy.checkpoint.device)
    makers: dict[str, Callable[[], Any]] = {
        "full": FullWeights,
        "vectors": lambda: Vectors(range(count), width, [1.0] * count, "every"),
        "last layer": lambda: Vectors([count - 1], width, [1.0], "every"),
    }
    backward(model, rows, makers["full"](), 1)
    rounds = [{name: backward(model, rows, make(), args.repeats) for name, make in makers.items()} for _ in range(3)]
    return {
        f"backward of {name} over full": statistics.median(each[name] / each["full"] for each in rounds)
        for name in ("vectors", "last layer")
    }


def checkpoint_sizes(policy: Policy, task: FormalTask) -> dict[str, int]:
    """Bytes of a vector checkpoint: measured for the organism, computed for bases of 7 and 8 B."""
    method = RLSteering(
        steps=2, prompts=2, samples=4, micro_batch=8, rewards={"random": 1.0}, save_every=1, dev_every=0, kl_every=0
    )
    with tempfile.TemporaryDirectory() as folder:
        context = Context(np.random.default_rng(0), Path(folder), lambda p, n: 0.0)
        method.fit(policy, Ledger(task, "benchmark"), context)
        checkpoint_folder = checkpoints.complete(Path(folder))[-1]
        out = {"organism, vectors (bytes)": (checkpoint_folder / checkpoints.TENSORS).stat().st_size}
        out["organism, all to resume (bytes)"] = sum(file.stat().st_size for file in checkpoint_folder.iterdir())
    for name, (count, width) in SHAPES.items():
        out[f"{name}, vectors (bytes, computed)"] = 4 * count * width
        out[f"{name}, vectors and Adam moments (bytes, computed)"] = 12 * count * width
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ORGANISM))
    for name, value in (("prompts", 8), ("samples", 16), ("limit", 48), ("steps", 3), ("repeats", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--micro-batch", type=int, default=64)
    parser.add_argument("--out")
    args = parser.parse_args()
    policy = Policy(load_checkpoint(CheckpointConfig(path=args.model, dtype="float32")))
    torch.set_num_threads(args.threads)
    task = FormalTask()
    arms: dict[str, Callable[[], Steps]] = {
        "stock TRL, fixed": lambda: stock(policy, task, args, True),
        "ours, fixed": lambda: ours(policy, task, args, True, None),
        "ours, vectors, fixed": lambda: ours(policy, task, args, True, "every"),
        "stock TRL, natural": lambda: stock(policy, task, args, False),
        "ours, natural": lambda: ours(policy, task, args, False, None),
    }
    speeds: dict[str, list[float]] = {name: [] for name in arms}
    for repeat in range(args.repeats):
        for name in list(arms)[:: 1 if repeat % 2 == 0 else -1]:
            speeds[name].append(arms[name]().speed())
    facts: dict[str, Any] = {
        "fixed: ours over stock": paired_ratio(speeds, "ours, fixed", "stock TRL, fixed"),
        "natural: ours over stock": paired_ratio(speeds, "ours, natural", "stock TRL, natural"),
        "fixed: vectors over all weights": paired_ratio(speeds, "ours, vectors, fixed", "ours, fixed"),
        **backward_ratios(policy, args),
        **checkpoint_sizes(policy, task),
        "profile": {name: profiled(arms[name]) for name in ("ours, fixed", "stock TRL, fixed")},
        "batch": f"{args.prompts} x {args.samples}, limit {args.limit}, micro_batch {args.micro_batch}",
    }
    report(f"one policy-gradient update, {Path(args.model).name}", speeds, facts, args.out)


if __name__ == "__main__":
    main()
