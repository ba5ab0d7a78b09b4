"""What follows the logits of a step, against the step, by the width of the vocabulary.

    python benchmarks/vocabulary.py [--rows 64] [--layers 18] [--width 640] [--repeats 5] [--threads 1] [--out NAME]

A random model of the true shape of a 270M base (18 blocks of width 640, four query heads and one key head of width
256, feed-forward width 2048) gets vocabularies of 49,152, 128,256, 151,936 and 262,144 tokens in turn. One decode step
at `--rows` rows and a context of 64 tokens is timed in two parts: `forward` (body and head) and `choose` (everything
after the logits: token, five scalars). `choose` runs on the step's own logits, scaled to a standard deviation of 3 so
that they are as decided as those of a trained model, by the rules of the regimes `support` (T = 1) and `compare`
(T = .6, top-p .95). `plain` is the same by whole-row operations (float64 CDF of every row, one pass per scalar), as it
is written down from the definitions. Target: choose / (forward + choose) at most 0.3 on a CPU, 0.1 on a GPU.
The parts run in turn within a repeat; reported are medians of the ratios of the repeats.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import write
from elicit.policy.attention import grouped_decode
from elicit.policy.decoding import REGIMES, PickRule
from elicit.sampling.loop.engine import CachedEngine
from elicit.sampling.loop.forward import ForwardCall
from elicit.sampling.loop.pick import TOP, choose

WIDTHS = (49152, 128256, 151936, 262144)
CONTEXT = 64


def random_model(vocabulary: int, layers: int, width: int, device: str) -> Any:
    """A Llama of random weights with four query heads per key head."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=2048, num_hidden_layers=layers, head_dim=256,
        num_attention_heads=4, num_key_value_heads=1, tie_word_embeddings=True, max_position_embeddings=2048,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    return model.to(device, torch.bfloat16 if device == "cuda" else torch.float32)


def plain(logits_S_V: torch.Tensor, rule: PickRule, uniforms_S: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The definitions, each over whole rows: a sort for top-p, a float64 CDF, one pass per scalar."""
    weights = logits_S_V / rule.temperature
    if rule.top_p < 1:
        ranked = weights.sort(-1, descending=True).values
        mass = ranked.softmax(-1).cumsum(-1, dtype=torch.float64)
        edge = ranked.gather(1, (mass < rule.top_p).sum(-1, keepdim=True).clamp(max=ranked.shape[1] - 1))
        weights = weights.masked_fill(weights < edge, -torch.inf)
    cdf = weights.softmax(-1).cumsum(-1, dtype=torch.float64)
    tokens = torch.searchsorted(cdf, uniforms_S[:, None] * cdf[:, -1:], right=True)
    logs = logits_S_V.log_softmax(-1)
    top = logs.topk(TOP, dim=-1).values
    gaps = top[:, 0].exp() - top[:, 1].exp()
    return tokens[:, 0], torch.stack((logs.gather(1, tokens)[:, 0], gaps, -top.mean(-1), -logs.mean(-1)))


def seconds(part: Callable[[], Any], device: str) -> float:
    """Time of one call; on one thread of a CPU its processor time, so that other processes do not count."""
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    begun = clock()
    part()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - begun


def measured(vocabulary: int, args: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of `forward`, and per regime of `choose`, `plain` and the share of `choose` in a step."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = random_model(vocabulary, args.layers, args.width, device)
    engine = CachedEngine(ForwardCall(model), 2 * 2**30)
    prompt = tuple(int(token) for token in torch.randint(vocabulary, (CONTEXT,)))
    numbers = torch.rand(args.rows, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(device)
    times: dict[str, list[float]] = {}
    with torch.no_grad(), grouped_decode(model):
        first = engine.prefill([(prompt, ())], 1.0)
        engine.allocate(first, args.rows, CONTEXT + 8 * args.repeats + 16, refill=False)
        slots = torch.arange(args.rows).numpy()
        engine.admit(first, slots * 0, slots, empty=True)
        tokens = torch.randint(vocabulary, (args.rows,), device=device)
        logits = engine.step(tokens)
        logits = logits * (3 / logits.std())
        parts: dict[str, Callable[[], Any]] = {"forward": lambda: engine.step(tokens)}
        for name in ("support", "compare"):
            rule = REGIMES[name].rule
            parts[f"choose, {name}"] = lambda rule=rule: choose(logits, rule, numbers)
            parts[f"plain, {name}"] = lambda rule=rule: plain(logits, rule, numbers)
        for repeat in range(args.repeats + 1):
            for part, call in list(parts.items())[:: 1 if repeat % 2 else -1]:
                spent = seconds(call, device)
                if repeat:  # the first round warms up
                    times.setdefault(part, []).append(spent)
    out = {f"{part}, ms": 1e3 * statistics.median(values) for part, values in times.items()}
    for name in ("support", "compare"):
        pairs = list(zip(times["forward"], times[f"choose, {name}"], times[f"plain, {name}"], strict=True))
        out[f"share of the step, {name}"] = statistics.median(mine / (body + mine) for body, mine, _ in pairs)
        out[f"plain / choose, {name}"] = statistics.median(whole / mine for _, mine, whole in pairs)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rows", 64), ("layers", 18), ("width", 640), ("repeats", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    table = {str(vocabulary): measured(vocabulary, args) for vocabulary in WIDTHS}
    print(f"{'':32}" + "".join(f"{vocabulary:>12}" for vocabulary in table))
    for name in table[str(WIDTHS[0])]:
        print(f"{name:32}" + "".join(f"{column[name]:12.2f}" for column in table.values()))
    facts = {name: getattr(args, name) for name in ("rows", "layers", "width", "repeats")}
    write(args.out, {"title": "after the logits, by vocabulary", "vocabularies": table, **facts})


if __name__ == "__main__":
    main()
