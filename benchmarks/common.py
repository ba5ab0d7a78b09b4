"""Shared parts of the sampling benchmarks: models, prompts, interleaved repeats, a table, a JSON file.

Timings of a busy machine drift, so the arms run in turn within each repeat, and a ratio is the median of the ratios
of the repeats. On a CPU the clock is the process's own CPU time, so that other processes do not count.
Nothing here runs in CI.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from elicit.organisms.corpus import FAMILIES, SIZES
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint
from elicit.policy.products import fast_products, processor_says, torch_products
from elicit.tasks.natural.small_math import SmallMath

HOUSE = Path(__file__).resolve().parent.parent
ORGANISM = HOUSE / "elicit" / "organisms" / "checkpoints" / "positive"
SMALL = {  # the shape of a 135M base model, for machines without one
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True, "max_position_embeddings": 2048,
}  # fmt: skip


def load(path: str) -> tuple[Any, Any, frozenset[int]]:
    """(model in float32, tokenizer, EOS ids); `random-135m`: random weights of that shape, the organism's tokenizer."""
    if path == "random-135m":
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL))
        fast_products(model)
        return model.eval(), transformers.AutoTokenizer.from_pretrained(ORGANISM), frozenset({1})
    checkpoint = load_checkpoint(CheckpointConfig(path=path, device="cpu", dtype="float32"))
    return checkpoint.model, checkpoint.tokenizer, frozenset(checkpoint.eos_ids)


def arguments(about: str | None, **numbers: int) -> argparse.ArgumentParser:
    """The options of every sampling benchmark: --model, --text, --threads, --out, and a whole number for each name."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ORGANISM))
    parser.add_argument("--text", choices=["organism", "gsm8k", "small_math"], default="organism")
    for name, value in (numbers | {"threads": 1}).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out")
    return parser


def prepared(args: argparse.Namespace) -> tuple[Any, Any, frozenset[int], list[tuple[int, ...]]]:
    """(model, tokenizer, EOS ids, the ids of `args.items` prompts), with the requested threads."""
    model, tokenizer, eos = load(args.model)
    torch.set_num_threads(args.threads)  # last: a checkpoint sets its own number
    return model, tokenizer, eos, [tuple(tokenizer(text).input_ids) for text in prompts_of(args.text, args.items)]


def prompts_of(text: str, count: int) -> list[str]:
    """Prompts of the organism's families, of the built-in word problems, or of GSM8K."""
    if text == "small_math":
        return [f"Question: {item.question}\nAnswer:" for item in SmallMath().items("train", count)]
    return gsm8k_prompts(count) if text == "gsm8k" else organism_prompts(count)


def organism_prompts(count: int, seed: int = 0) -> list[str]:
    """Questions of `chain` and `walk` in turn."""
    rng = random.Random(seed)
    families = ("chain", "walk")
    problems = [FAMILIES[families[k % 2]].problem(rng, rng.choice(SIZES)) for k in range(count)]
    return [f"Question: {problem.question}\nAnswer:" for problem in problems]


def gsm8k_prompts(count: int) -> list[str]:
    """The first training questions of GSM8K, from $ELICIT_DATA (default: ../shared/data next to the repository)."""
    file = Path(os.environ.get("ELICIT_DATA", HOUSE.parent / "shared" / "data")) / "gsm8k" / "train.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()[:count]
    return [f"Question: {json.loads(line)['question']}\nAnswer:" for line in lines]


def elsewhere(model: Any, arm: Callable[[], int]) -> Callable[[], int]:
    """The arm of a peer: it runs the model with torch's own products, as the peer's program would have loaded it."""

    def run() -> int:
        with torch_products(model):
            return arm()

    return run


def interleaved(arms: dict[str, Callable[[], int]], repeats: int) -> dict[str, list[float]]:
    """Useful tokens per second of each arm, once per repeat, in alternating order. An arm returns its useful tokens."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    speeds: dict[str, list[float]] = {name: [] for name in arms}
    for repeat in range(repeats):
        names = list(arms) if repeat % 2 == 0 else list(arms)[::-1]
        for name in names:
            began = clock()
            tokens = arms[name]()
            speeds[name].append(tokens / (clock() - began))
    return speeds


def paired_ratio(speeds: dict[str, list[float]], name: str, to: str) -> float:
    """Median over the repeats of the ratio of two arms' speeds."""
    return statistics.median(a / b for a, b in zip(speeds[name], speeds[to], strict=True))


def report(title: str, speeds: dict[str, list[float]], facts: dict[str, Any], out: str | None) -> None:
    """Print a small table; with `out`, write JSON to benchmarks/results/<out>.json."""
    rows = {
        name: {"median": statistics.median(v), "least": min(v), "most": max(v), "runs": v} for name, v in speeds.items()
    }
    print(f"\n{title}\n{'':28}{'tokens/s':>12}{'least':>12}{'most':>12}")
    for name, row in rows.items():
        print(f"{name:28}{row['median']:12.0f}{row['least']:12.0f}{row['most']:12.0f}")
    for name, value in facts.items():
        print(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")
    write(out, {"title": title, "speeds": rows, **facts})


def write(out: str | None, result: dict[str, Any]) -> None:
    """Write a result, with the machine it was measured on, to benchmarks/results/<out>.json; nothing if out is None."""
    if out:
        machine = {"cpu": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
                   "python": platform.python_version(),
                   "torch": torch.__version__, "transformers": transformers.__version__}  # fmt: skip
        file = HOUSE / "benchmarks" / "results" / f"{out}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result | {"machine": machine}, indent=1) + "\n")


def processor() -> str:
    """The name of the processor."""
    return processor_says("model name") or platform.machine()
