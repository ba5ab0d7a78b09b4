"""Speeds of SAE steering: collecting activations, scoring features by cause, steering, training a dictionary.

    python benchmarks/sae.py [--model PATH|random-135m] [--parts collect,cause,steer,train] [--repeats 3]
                             [--items 40] [--n 8] [--limit 24] [--out NAME]

    collect   three layers in one pass of ours against three passes of SAELens' ActivationsStore, the same rows
              (SAELens reads a local model through HookedProxyLM; it runs the whole forward pass)
    cause     output scores of F features in one batch against one forward pass per feature
    steer     sampling with an addition and a clamp by single rows against no edit; one layer, every token. Targets:
              addition <= 5 % on the organism and 2 % on a 135M model, clamp <= 5 %
    train     one dictionary by TrainConfig's defaults on the same number of activations: CPU seconds. Target: 3 minutes
              on two cores for the organism's three

Ratios are medians over interleaved repeats in one process, on the process's own CPU time (see common.py).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import ORGANISM, elsewhere, interleaved, load, organism_prompts, paired_ratio, report
from elicit.policy import layers
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import PathJob, PickRule
from elicit.policy.policy import Policy
from elicit.policy.positions import forward_positions
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules

ROW = 128


def token_rows(tokenizer: Any, count: int) -> list[tuple[int, ...]]:
    """Rows of equal length, so that both sides pass the same tokens without padding."""
    stream = [token for text in organism_prompts(count * 5) for token in tokenizer(text).input_ids]
    return [tuple(stream[start : start + ROW]) for start in range(0, count * ROW, ROW)]


def collecting(policy: Policy, rows: list[tuple[int, ...]]) -> dict[str, Callable[[], int]]:
    """Arms that return activations per layer."""
    from datasets import Dataset
    from sae_lens.load_model import HookedProxyLM
    from sae_lens.training.activations_store import ActivationsStore

    from methods.sae_steering.store import collect

    model, chosen = policy.checkpoint.model, [layers.at_depth(policy.checkpoint.model, f) for f in (0.4, 0.6, 0.75)]
    tokens = len(rows) * ROW

    def ours(some: list[int]) -> int:
        with tempfile.TemporaryDirectory() as folder:
            collect(policy, rows, [ROW] * len(rows), [None] * len(rows), some, Path(folder), memory_mb=4096)
        return tokens * len(some)

    def theirs(some: list[int]) -> int:
        for layer in some:
            hook = f"model.layers.{layer}"
            proxy = HookedProxyLM(model, policy.checkpoint.tokenizer, hook_names=[hook])
            store = ActivationsStore(
                model=proxy, dataset=Dataset.from_dict({"tokens": [list(row) for row in rows]}), streaming=False,
                hook_name=hook, hook_head_index=None, context_size=ROW, d_in=layers.width(model),
                n_batches_in_buffer=4, total_training_tokens=tokens, store_batch_size_prompts=64,
                train_batch_size_tokens=1024, prepend_bos=False, normalize_activations="none",
                device=torch.device("cpu"), dtype="float32",
            )  # fmt: skip
            out = np.zeros((tokens, layers.width(model)), dtype=np.float32)
            with torch.no_grad():
                for k in range(0, len(rows), 64):
                    activations, _ = store.get_raw_llm_batch()
                    activations = activations.reshape(-1, layers.width(model)).numpy()
                    out[k * ROW : k * ROW + len(activations)] = activations[: len(out) - k * ROW]
            for module in model.modules():
                module._forward_hooks.clear()  # SAELens leaves its hooks on the model
        return tokens * len(some)

    return {
        "ours, three layers": lambda: ours(chosen),
        "SAELens, three layers": elsewhere(model, lambda: theirs(chosen)),
        "ours, one layer": lambda: ours(chosen[:1]),
        "SAELens, one layer": elsewhere(model, lambda: theirs(chosen[:1])),
    }


def causing(policy: Policy, tokenizer: Any, features: int) -> dict[str, Callable[[], int]]:
    """Arms that return features scored on one prompt."""
    from methods.sae_steering.cause import steered_logits

    model, layer = policy.checkpoint.model, layers.at_depth(policy.checkpoint.model, 0.4)
    prompts = [tokenizer(text).input_ids for text in organism_prompts(4)]
    vectors = torch.randn(features, layers.width(model), generator=torch.Generator().manual_seed(0))

    def batched() -> int:
        for prompt in prompts:
            steered_logits(policy, prompt, [], layer, vectors)
        return features

    def one_by_one() -> int:
        few = vectors[:: max(1, features // 16)]
        for vector in few:
            edit = ActivationEdit((Edit(layer, vector),))
            for prompt in prompts:
                where = forward_positions(torch.arange(len(prompt))[None], torch.tensor([len(prompt)]))
                with torch.no_grad(), edit.applied(model), where:
                    model(input_ids=torch.tensor([prompt]))
        return len(few)

    return {"batched": batched, "one forward a feature": one_by_one}


def steering(
    policy: Policy, prompts: list[tuple[int, ...]], tokenizer: Any, n: int, limit: int
) -> dict[str, Callable[[], int]]:
    """Arms that return useful tokens; all generate the same number, so lengths are not part of the cost."""
    model, size = policy.checkpoint.model, layers.width(policy.checkpoint.model)
    jobs = [PathJob(prompt, k, j) for k, prompt in enumerate(prompts) for j in range(n)]
    loop = StepLoop(model, tokenizer, (), slots=128)
    layer, vector = layers.at_depth(model, 0.4), 0.01 * torch.randn(size, generator=torch.Generator().manual_seed(0))
    clamp = Edit(layer, vector, "clamp", 1.0, "every", target=0.1, encoder=vector, threshold=0.1)
    edits = {"add": Edit(layer, vector, write="every"), "clamp": clamp}

    def run(context: Any) -> int:
        with context:
            paths = loop.run(jobs, PickRule(), StopRules((), limit))
        return sum(len(path.token_ids) for path in paths)

    arms: dict[str, Callable[[], int]] = {"no edit": lambda: run(nullcontext())}
    for name, edit in edits.items():
        arms[name] = lambda edit=edit: run(ActivationEdit((edit,)).applied(model))
    return arms


def training(policy: Policy, rows: list[tuple[int, ...]]) -> float:
    """Seconds of CPU time of one dictionary."""
    from methods.sae_steering.store import collect
    from methods.sae_steering.training import TrainConfig, train

    layer = layers.at_depth(policy.checkpoint.model, 0.4)
    store = collect(policy, rows, [ROW] * len(rows), [None] * len(rows), [layer])
    import sae_lens.training.sae_trainer  # noqa: F401

    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        train(store, layer, TrainConfig(), Path(folder), torch.device("cpu"), "bench")
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ORGANISM))
    parser.add_argument("--parts", default="collect,cause,steer,train")
    sizes = {"rows": 512, "features": 1024, "items": 40, "n": 8, "limit": 24, "repeats": 3, "threads": 1}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out")
    args = parser.parse_args()
    model, tokenizer, _ = load(args.model)
    torch.set_num_threads(args.threads)
    policy = Policy(wrap(model, tokenizer))
    rows, facts, speeds = token_rows(tokenizer, args.rows), {}, {}
    parts = args.parts.split(",")
    if "collect" in parts:
        speeds |= interleaved(collecting(policy, rows), args.repeats)
        for what in ("three layers", "one layer"):
            facts[f"collect, {what}: ours over SAELens"] = paired_ratio(speeds, f"ours, {what}", f"SAELens, {what}")
    if "cause" in parts:
        speeds |= interleaved(causing(policy, tokenizer, args.features), args.repeats)
        facts["cause: batched over one by one"] = paired_ratio(speeds, "batched", "one forward a feature")
    if "steer" in parts:
        prompts = [tuple(tokenizer(text).input_ids) for text in organism_prompts(args.items)]
        speeds |= interleaved(steering(policy, prompts, tokenizer, args.n, args.limit), args.repeats)
        for name in ("add", "clamp"):
            facts[f"steer: cost of {name}"] = 1 - paired_ratio(speeds, name, "no edit")
    if "train" in parts:
        facts["train: CPU seconds a dictionary"] = training(policy, rows)
    report(f"SAE steering, {Path(args.model).name}", speeds or {"none": [0.0]}, facts, args.out)


if __name__ == "__main__":
    main()
