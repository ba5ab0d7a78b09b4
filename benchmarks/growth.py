"""How the cost of a stage grows, and the share of the physical limit that it reaches.

    python benchmarks/growth.py [--stages sampling,training,comparing,limits] [--repeats 3] [--small] [--out NAME]

Growth: one number is doubled three times while the others stay; the exponent is the slope of log(seconds) over
log(number), by least squares over all four points and over the last two, where fixed costs weigh least. 1 is linear.

    sampling    the step loop without EOS: items, samples per item, tokens, layers, width, vocabulary
    training    forward and backward pass of one group, all weights: rollouts, tokens, layers, width, vocabulary
    comparing   `compare` of seven simulated policies: items, samples per item

Models are Llamas of random weights. Limits: a decode step has to read all weights once, so one row is held against the
bytes per second of a matrix-vector product larger than any cache, and 128 rows against the multiply-adds per second of
a matrix product; a training pass, three products per weight and token, against the same. Attention is not counted.
One thread by default, and then process time, so other processes do not count, except for their use of memory.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import ORGANISM, load, write
from benchmarks.harness import product_rate
from benchmarks.training_pass import passes, trainable
from elicit.policy.decoding import PathJob, PickRule
from elicit.policy.products import fast_products
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules

SLOTS = 128
FACTORS = (1, 2, 4, 8)
SAMPLING = {"items": 32, "samples": 4, "tokens": 16, "layers": 4, "width": 128, "vocabulary": 4096}
TRAINING = {"rollouts": 4, "tokens": 32, "layers": 4, "width": 128, "vocabulary": 4096}
COMPARING = {"items": 75, "samples": 4}
SMALL = {"items": 8, "samples": 2, "tokens": 4, "layers": 2, "width": 64, "vocabulary": 512, "rollouts": 2}
"""the starting points with --small"""
PROMPT = 32
"""tokens of a prompt"""


def clock() -> float:
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(part: Callable[[], Any]) -> float:
    begun = clock()
    part()
    return clock() - begun


def random_model(layers: int, width: int, vocabulary: int) -> Any:
    """A Llama of random weights with heads of 32."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=width // 32, num_key_value_heads=width // 32, max_position_embeddings=2048,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval().requires_grad_(False)
    fast_products(model)
    return model


def sampled(model: Any, tokenizer: Any, items: int, samples: int, tokens: int) -> Callable[[], int]:
    """An arm that returns the tokens that the step loop makes."""
    loop, generator = StepLoop(model, tokenizer, (), slots=SLOTS), torch.Generator().manual_seed(0)
    prompts = torch.randint(5, 500, (items, PROMPT), generator=generator).tolist()
    jobs = [PathJob(tuple(prompt), k, stream=j) for k, prompt in enumerate(prompts) for j in range(samples)]
    return lambda: sum(len(path.token_ids) for path in loop.run(jobs, PickRule(), StopRules((), tokens)))


def sampling(sizes: dict[str, int]) -> Callable[[], Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(ORGANISM)
    model = random_model(sizes["layers"], sizes["width"], sizes["vocabulary"])
    return sampled(model, tokenizer, sizes["items"], sizes["samples"], sizes["tokens"])


def training(sizes: dict[str, int]) -> Callable[[], Any]:
    model = random_model(sizes["layers"], sizes["width"], sizes["vocabulary"])
    return passes(trainable(model, ""), sizes["rollouts"], PROMPT, sizes["tokens"])["labelled"]


def comparing(sizes: dict[str, int]) -> Callable[[], Any]:
    from benchmarks.metrics import CompareConfig, compare, entries_of, items
    from tests.evaluate.simulated import CHECKPOINT, SimulatedTask

    folder = tempfile.TemporaryDirectory()
    test_items = items(sizes["items"])
    entries = entries_of(Path(folder.name), 7, test_items, sizes["samples"])
    config = CompareConfig("benchmark", draws=1000)

    def run() -> None:
        with tempfile.TemporaryDirectory() as out:
            compare(entries, test_items, Path(out) / "out", SimulatedTask(), config, CHECKPOINT)  # type: ignore[arg-type]

    run.folder = folder  # type: ignore[attr-defined]  # kept as long as the arm
    return run


STAGES = {"sampling": (sampling, SAMPLING), "training": (training, TRAINING), "comparing": (comparing, COMPARING)}


def slope(numbers: Sequence[float], times: Sequence[float]) -> float:
    """Least-squares slope of the logarithms."""
    return statistics.linear_regression([math.log(n) for n in numbers], [math.log(t) for t in times]).slope


def growth(stage: str, repeats: int, small: bool) -> dict[str, Any]:
    """{number: points and exponents} of one stage."""
    make, sizes = STAGES[stage]
    sizes = {name: SMALL[name] if small else value for name, value in sizes.items()}
    out: dict[str, Any] = {}
    for name, first in sizes.items():
        numbers = [first * factor for factor in (FACTORS[:2] if small else FACTORS)]
        arms = [make(sizes | {name: number}) for number in numbers]
        arms[0]()  # the first call of a process compiles and allocates
        runs = [[seconds(arm) for arm in arms] for _ in range(repeats)]
        times = [statistics.median(column) for column in zip(*runs, strict=True)]
        out[name] = {
            "numbers": numbers, "seconds": times, "exponent": slope(numbers, times),
            "exponent of the last doubling": slope(numbers[-2:], times[-2:]),
        }  # fmt: skip
        print(f"{stage:10} {name:11} {numbers[0]:>6} to {numbers[-1]:<6} {times[0]:8.3f} to {times[-1]:8.3f} s   "
              f"exponent {out[name]['exponent']:.2f}, last doubling {out[name]['exponent of the last doubling']:.2f}",
              flush=True)  # fmt: skip
    return out


def read_rate(size: int, repeats: int = 8) -> float:
    """Bytes per second of a matrix-vector product that reads size x size float32 numbers."""
    matrix, vector = torch.ones(size, size), torch.ones(size)
    matrix @ vector
    return 4 * size * size / statistics.median(seconds(lambda: matrix @ vector) for _ in range(repeats))


def limits(path: str, repeats: int, small: bool) -> list[dict[str, Any]]:
    """One row per stage of a model: its speed, the limit and the share, medians over the repeats."""
    model, tokenizer, _ = load(path)
    torch.set_num_threads(1)
    head, table = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    # every weight is read or multiplied once per token, except the table of an untied embedding, of which a row is
    weights = sum(p.numel() for p in model.parameters()) - (0 if table is head else table.numel())
    tokens = 8 if small else 64
    per_trained = 3 * ((weights - head.numel()) * (PROMPT + tokens) / tokens + head.numel())
    # name, makes an arm that returns tokens, limit per second, units per token; training last: it patches the model
    stages: list[tuple[str, Callable[[], Callable[[], int]], Callable[[], float], float]] = [
        ("decoding, 1 row: bytes read", lambda: sampled(model, tokenizer, 1, 1, tokens),
         lambda: read_rate(2048 if small else 8192), 4 * weights),
        (f"decoding, {SLOTS} rows: multiply-adds", lambda: sampled(model, tokenizer, 8, SLOTS // 8, tokens),
         lambda: product_rate(SLOTS, clock), weights),
        ("training pass: multiply-adds", lambda: passes(trainable(model, ""), 4, PROMPT, tokens)["labelled"],
         lambda: product_rate(4 * (PROMPT + tokens), clock), per_trained),
    ]  # fmt: skip
    out: list[dict[str, Any]] = []
    for name, make, limit, units in stages:
        arm, runs = make(), []
        arm()
        for _ in range(repeats):
            most, begun = limit(), clock()
            runs.append((units * arm() / (clock() - begun), most))
        share = statistics.median(reached / most for reached, most in runs)
        reached, most = (statistics.median(column) for column in zip(*runs, strict=True))
        out.append({"model": Path(path).name, "stage": name, "per second": reached, "limit": most, "share": share})
        print(f"{Path(path).name:32} {name:36} {reached:9.2e} of {most:9.2e} per second: {share:.0%}", flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default="sampling,training,comparing,limits")
    parser.add_argument("--models", default=f"{ORGANISM},random-135m")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="tiny sizes and two points: does it run?")
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {"title": "growth and limits"}
    for stage in args.stages.split(","):
        if stage == "limits":
            models = args.models.split(",")[: 1 if args.small else None]
            result[stage] = [row for path in models for row in limits(path, args.repeats, args.small)]
        else:
            result[stage] = growth(stage, args.repeats, args.small)
    write(args.out, result)


if __name__ == "__main__":
    main()
