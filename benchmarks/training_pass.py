"""The training pass of one group of rollouts: what the head of labelled tokens and the shared prompt save.

    python benchmarks/training_pass.py [--samples 8] [--prompt 300] [--completion 25] [--repeats 3] [--out NAME]

A random model of the true shape of Gemma-3-270M (`vocabulary.random_model`) scores one group of completions of one
few-shot prompt and goes backward to the query projections. Three arms, in turn within a repeat, CPU time:

    trl        TRL's fused head: without Triton, every position times the vocabulary
    labelled   the same rows, the head on completion tokens only         (elicit/training/labelled_head.py)
    shared     one row for the group, the prompt computed once           (elicit/training/rl/shared_prompt.py)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from trl.trainer.utils import add_fused_lm_head

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import arguments, interleaved, paired_ratio, report
from benchmarks.vocabulary import random_model
from elicit.training import labelled_head
from elicit.training.rl.shared_prompt import shared_pass

GEMMA = {"vocabulary": 262144, "layers": 18, "width": 640}


def passes(model: Any, samples: int, prompt: int, completion: int) -> dict[str, Callable[[], int]]:
    """Arms that return the completion tokens of one forward and backward pass."""
    generator = torch.Generator().manual_seed(0)
    vocabulary = model.config.vocab_size
    first = torch.randint(5, vocabulary, (prompt,), generator=generator)
    rest = torch.randint(5, vocabulary, (samples, completion), generator=generator)
    ids = torch.cat([first.expand(samples, -1), rest], 1)
    labels = ids.clone()
    labels[:, :prompt] = -100
    worth = labelled_head.WORTH

    def rows(limit: int) -> int:
        labelled_head.WORTH = limit
        try:
            out = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels, fused_lm_head=True)
        finally:
            labelled_head.WORTH = worth
        out.log_probs.sum().backward()
        return rest.numel()

    def shared() -> int:
        sum(logps.sum() for logps, _ in shared_pass(model, first, list(rest))).backward()  # type: ignore[union-attr]
        return rest.numel()

    return {"shared": shared, "labelled": lambda: rows(worth), "trl": lambda: rows(2**62)}


def trainable(model: Any, part: str) -> Any:
    """The model with both heads patched in, and gradients for the parameters whose names contain `part`."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part in name)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    labelled_head.head_of_labelled_tokens(model)
    return model


def main() -> None:
    args = arguments(__doc__, samples=8, prompt=300, completion=25, repeats=3).parse_args()
    torch.set_num_threads(args.threads)
    model = trainable(random_model(**GEMMA, device="cpu"), "q_proj")
    speeds = interleaved(passes(model, args.samples, args.prompt, args.completion), args.repeats)
    facts = {f"{name} / trl": paired_ratio(speeds, name, "trl") for name in ("labelled", "shared")}
    sizes = {name: getattr(args, name) for name in ("samples", "prompt", "completion")}
    report("training pass of one group, completion tokens", speeds, facts | sizes, args.out)


if __name__ == "__main__":
    main()
