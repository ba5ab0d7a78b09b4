"""Shared parts of the benchmarks of decoding strategies: requests, a task to read answers by, the cost of one run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from elicit.files import seed_of
from elicit.policy.decoding import DecodingStrategy, Loop, Request
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.natural.gsm8k import Gsm8k
from elicit.tasks.natural.small_math import SmallMath
from elicit.tasks.task import StopRules, Task
from elicit.tasks.view import TaskView, view_of


def requests_of(prompts: Sequence[tuple[int, ...]], salt: int = 0) -> list[Request]:
    """One request a prompt."""
    return [Request(f"item {k}", 0, seed_of("benchmark", salt, k), p) for k, p in enumerate(prompts)]


def reader(text: str, limit: int) -> TaskView:
    """A strategy's view of the task of the prompts, with another token limit and no stop string."""
    natural: dict[str, Task] = {"gsm8k": Gsm8k(), "small_math": SmallMath()}
    task = natural.get(text) or FormalTask("chain")
    return replace(view_of(task), stop=StopRules((), limit))


def cost(strategy: DecodingStrategy, loop: Loop, requests: Sequence[Request], task: TaskView) -> dict[str, float]:
    """Generated tokens, auxiliary forward tokens and CPU seconds (wall seconds with an accelerator) of one run."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    began = clock()
    outcomes = strategy.run(loop, requests, task)
    seconds = clock() - began
    return {
        "tokens": sum(outcome.total_tokens for outcome in outcomes),
        "aux_forward_tokens": sum(outcome.aux_forward_tokens for outcome in outcomes),
        "seconds": round(seconds, 3),
    }
