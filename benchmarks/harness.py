"""The step loop against the hf backend of lm-evaluation-harness: useful tokens per second at n samples per prompt.

    python benchmarks/harness.py [--model PATH] [--text small_math] [--items 32] [--n 16] [--limit 64] [--out NAME]

Needs the package lm_eval, which is no dependency of this one (`make .venv-bench-lm_eval/.made`). Both get the same
loaded model, prompts, temperature 1 without truncation, EOS, token limit and number of rows; every sample is one
`generate_until` request, as the harness does it for `repeats: n`. Useful tokens: those up to and with the first EOS; of
the harness, which returns text, the tokens of its output are counted by a hook on its `generate()` call. Also
reported: the share of the machine's matrix-product rate that the step loop reaches, which is its useful multiply-adds
(parameters without the input embedding x tokens, attention not counted) by those of a product of `rows` x 2048 x 2048.
Target: a ratio of 3 or more.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import arguments, elsewhere, paired_ratio, prompts_of, report
from benchmarks.step_loop import by_loop
from elicit.policy.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from elicit.policy.products import fast_products
from elicit.sampling.loop.step_loop import StepLoop


def by_harness(checkpoint: Checkpoint, texts: list[str], n: int, rows: int, limit: int) -> int:
    """Useful tokens of n requests per text."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    settings = {"until": [], "max_gen_toks": limit, "do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
    requests = [
        Instance(request_type="generate_until", doc={}, arguments=(text, dict(settings)), idx=0)
        for text in texts
        for _ in range(n)
    ]
    backend = HFLM(pretrained=checkpoint.model, tokenizer=checkpoint.tokenizer, batch_size=rows)
    counts: list[int] = []
    original = backend._model_generate

    def counted(context: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        out = original(context, *args, **kwargs)
        ends = torch.isin(out[:, context.shape[1] :], torch.tensor(sorted(checkpoint.eos_ids))).long()
        counts.append(int((ends.cumsum(1) - ends == 0).sum()))
        return out

    backend._model_generate = counted
    backend.generate_until(requests, disable_tqdm=True)
    return sum(counts)


def product_rate(rows: int, clock: Callable[[], float], size: int = 2048, repeats: int = 40) -> float:
    """Multiply-adds per second of `clock`, of a float32 linear layer [rows, size] x [size, size] as models get it."""
    left, layer = torch.randn(rows, size), torch.nn.Linear(size, size, bias=False).requires_grad_(False)
    fast_products(layer)
    times = []
    for _ in range(repeats):
        begun = clock()
        layer(left)
        times.append(clock() - begun)
    return rows * size * size / statistics.median(times)


def main() -> None:
    args = arguments(__doc__, items=32, n=16, rows=128, limit=64, repeats=1).parse_args()
    checkpoint = load_checkpoint(CheckpointConfig(path=args.model))
    torch.set_num_threads(args.threads)
    texts = prompts_of(args.text, args.items)
    prompts = [tuple(checkpoint.encode(text)) for text in texts]
    loop = StepLoop(checkpoint, slots=args.rows)
    arms: dict[str, Callable[[], int]] = {
        "step loop": lambda: by_loop(loop, prompts, args.n, args.limit),
        "lm-eval hf": elsewhere(checkpoint.model, lambda: by_harness(checkpoint, texts, args.n, args.rows, args.limit)),
    }
    head = checkpoint.model.get_output_embeddings().weight
    body = sum(p.numel() for p in checkpoint.model.parameters() if p is not head)
    tied = checkpoint.model.get_input_embeddings().weight
    work = head.numel() + body - (0 if tied is head else tied.numel())
    speeds: dict[str, list[float]] = {name: [] for name in arms}
    shares: list[float] = []
    # with several threads, processor time also counts the time that a thread waits for another
    clock = time.process_time if args.threads == 1 else time.perf_counter
    for repeat in range(args.repeats):
        for name in list(arms)[:: 1 if repeat % 2 == 0 else -1]:
            rate, begun = product_rate(args.rows, clock), clock()
            tokens = arms[name]()
            speeds[name].append(tokens / (clock() - begun))
            print(f"{name}: {tokens} tokens, {speeds[name][-1]:.1f} per second", flush=True)
            if name == "step loop":
                shares.append(speeds[name][-1] * work / ((rate + product_rate(args.rows, clock)) / 2))
    facts = {
        "ratio": paired_ratio(speeds, "step loop", "lm-eval hf"),
        "share of the product rate": statistics.median(shares),
    }
    facts |= {"items": args.items, "n": args.n, "rows": args.rows, "limit": args.limit}
    report(f"step loop and lm-eval hf, {Path(args.model).name}", speeds, facts, args.out)


if __name__ == "__main__":
    main()
