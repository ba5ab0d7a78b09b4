"""Program critiques by the thousand, and a step of our SFT loop against stock TRL.

    python benchmarks/critiques.py [--critiques 10000] [--steps 16] [--repeats 3] [--out NAME]

1. Seconds (process time) for this many critiques of each mode, right and corrupted traces of the four formal families
   in turn, through the ledger. Target: 10,000 in 10 s or less.
2. `trainer.train()` on the organism with the same rows, batch, optimizer and number of steps: our planned trainer
   (length-sorted micro-batches) against `trl.SFTTrainer` with a prompt and a completion column. Both in float32 without
   gradient checkpointing, saving or logging to a tracker. Target: 0.95 of stock's loss tokens per second or more.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.common import paired_ratio, report
from elicit.ledger import Ledger
from elicit.policy.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from elicit.policy.policy import Policy
from elicit.policy.products import torch_products
from elicit.tasks.formal.task import FAMILIES, FormalTask
from elicit.training.sft.rows import Row, encode, micro_batches
from elicit.training.sft.sft import SftConfig, arguments, collator, copy_of, parameters_of
from elicit.training.sft.trainer import PlannedTrainer
from methods.critique_ft.controls import Recipe, Sources, build_rows
from methods.critique_ft.program import ProgramCritic
from methods.critique_ft.records import Example, Response

MODES = ("verdict_only", "first_error", "with_correction")


def critiques(count: int) -> tuple[dict[str, float], list[Example]]:
    """(seconds per mode, examples of the last one)."""
    seconds = dict.fromkeys(MODES, 0.0)
    out: list[Example] = []
    each = count // len(FAMILIES)
    for family in FAMILIES:
        task = FormalTask(family=family, n_train=each // 2)
        items = task.items("train")
        for mode in MODES:
            ledger = Ledger(task, "benchmark")
            plain = {item.id: item for item in ledger.items("train")}
            makers = (task.gold_completion, task.corrupted_completion)
            responses = [Response(plain[item.id], make(item)) for item in items for make in makers]
            critic, context = ProgramCritic(mode), _Quiet()
            began = time.process_time()
            made = critic.examples(None, ledger, context, responses, len(responses))  # type: ignore[arg-type]
            seconds[mode] += time.process_time() - began
            out += made if mode == "with_correction" else []
    return seconds, out


class _Quiet:
    """A context without a run folder."""

    rng = np.random.default_rng(0)

    def log(self, row: dict[str, Any]) -> None:
        """Log nothing."""


def ours(checkpoint: Checkpoint, rows: list[Row], config: SftConfig, steps: int, folder: str, stack: ExitStack) -> Any:
    """Our trainer, ready to train; `stack` detaches the parameters."""
    encoded = [encode(checkpoint, row) for row in rows]
    plan = micro_batches([len(row.ids) for row in encoded], config.batch, steps, config.micro_rows, 0)
    model, parameters = copy_of(Policy(checkpoint)), parameters_of(config, 0)
    stack.enter_context(parameters.attached(model))
    options = arguments(config, steps, len(plan) // steps, 0, Path(folder), checkpoint.device)
    return PlannedTrainer(
        parameters, encoded, plan, model=model, processing_class=copy.deepcopy(checkpoint.tokenizer), args=options,
        data_collator=collator(checkpoint.pad_id, False),
    )  # fmt: skip


def stock(checkpoint: Checkpoint, rows: list[Row], config: SftConfig, steps: int, folder: str, stack: ExitStack) -> Any:
    """TRL's own trainer on prompt and completion columns, ready to train."""
    from datasets import Dataset
    from trl import SFTTrainer

    model = copy_of(Policy(checkpoint)).float().requires_grad_(True)
    stack.enter_context(torch_products(model))  # as TRL would have loaded it
    options = arguments(config, steps, config.batch // config.micro_rows, 0, Path(folder), checkpoint.device)
    data = Dataset.from_list([{"prompt": row.prompt, "completion": row.completion} for row in rows])
    tokenizer = copy.deepcopy(checkpoint.tokenizer)
    return SFTTrainer(model=model, args=options, train_dataset=data, processing_class=tokenizer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("critiques", 10_000), ("steps", 16), ("repeats", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    seconds, examples = critiques(args.critiques)
    checkpoint = load_checkpoint(CheckpointConfig(path="organism", device="cpu", dtype="float32", threads=args.threads))
    examples = [examples[i] for i in np.random.default_rng(0).permutation(len(examples))[:600]]
    sources = Sources(tokenise=lambda text: (), traces=lambda right: [])
    rows = build_rows(examples, Recipe(), sources, np.random.default_rng(0))
    config = SftConfig(steps=args.steps, batch=32, micro_rows=16, learning_rate=1e-4, save_every=0)
    mean = statistics.mean(encode(checkpoint, row).loss_tokens for row in rows)
    speeds: dict[str, list[float]] = {"ours": [], "stock SFTTrainer": []}
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    for repeat in range(args.repeats):
        arms = [("ours", ours), ("stock SFTTrainer", stock)]
        for name, make in arms if repeat % 2 == 0 else arms[::-1]:
            with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
                trainer = make(checkpoint, rows, config, args.steps, folder, stack)
                began = clock()
                trainer.train()
                speeds[name].append(mean * config.batch * args.steps / (clock() - began))
    facts = {f"seconds of {args.critiques:,} critiques, {mode}": seconds[mode] for mode in MODES}
    ratio = paired_ratio(speeds, "ours", "stock SFTTrainer")
    report("critiques and SFT steps, organism", speeds, {"ratio": ratio, **facts}, args.out)


if __name__ == "__main__":
    main()
