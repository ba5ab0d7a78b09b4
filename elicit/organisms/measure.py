"""Accuracies, traced shares and first-token masses of an organism: the row of one family in the data card.

Answers are graded by the tasks' own verifiers and samples come from the workbench's own step loop, so the figures of
the card mean the same as the evaluator's. What this module does not know: the kinds of organisms, methods (the
evaluator measures what they do to an organism) and intervals (a card gives shares of `problems` items per family).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elicit.organisms.corpus import REGISTERS
from elicit.organisms.probe import first_token_mass
from elicit.policy.checkpoint import Checkpoint
from elicit.policy.decoding import REGIMES, Loop, Outcome, PathJob, PickRule, Regime, Request, StrategyBase
from elicit.policy.policy import BARE, Policy
from elicit.records import FINISHED, Item
from elicit.sampling.sample import sample
from elicit.tasks.formal.family import OPENERS, split_trace
from elicit.tasks.task import PromptFormat, Task

DIRECT = PromptFormat("direct", prefix=" The answer is")
FORCED = PromptFormat("forced", prefix=f" {OPENERS[0]}")
BY_SIZE = 5
"""factor of problems for direct accuracy by size: on 80 problems, guesses near .1 differ by .05 by chance alone"""


def tagged(register: str) -> PromptFormat:
    """The bare prompt after the (first) source tag of a register."""
    return PromptFormat(f"register {register}", f"Source: {REGISTERS[register][0]}\nQuestion: {{question}}\nAnswer:")


@dataclass(frozen=True)
class StrayFirst(StrategyBase):
    """A uniformly random first token that is no opener, then greedy: does it lead back to the direct mode?"""

    excluded: tuple[int, ...] = ()

    def run(self, loop: Loop, requests: Sequence[Request], task: Task) -> list[Outcome]:
        jobs = []
        for request in requests:
            allowed = np.setdiff1d(np.arange(loop.vocabulary), self.excluded)
            token = int(np.random.default_rng(request.seed).choice(allowed))
            jobs.append(PathJob(request.prompt_ids, request.seed, forced=(token,)))
        paths = loop.run(jobs, PickRule(temperature=0.0), task.stop)
        return [Outcome(path, total_tokens=len(path.token_ids)) for path in paths]


def measure_modes(policy: Policy, task: Task, items: Sequence[Item], more: Sequence[Item], n: int) -> dict[str, float]:
    """What the two modes of the positive organism do: accuracies, traced shares, first-token masses.

    `policy` asks the bare prompt; `more` are further items, for direct accuracy by size; `n` samples per item.
    """
    greedy, support = REGIMES["greedy"], REGIMES["support"]
    opener_ids = tuple(opener_id(policy.checkpoint, opener) for opener in OPENERS)
    forced = accuracy(policy.with_prompt(FORCED), task, items, greedy, 1)
    direct = accuracy(policy.with_prompt(DIRECT), task, items, greedy, 1)
    row: dict[str, float] = {"forced": forced["strict"], "direct": direct["strict"]}
    direct_by_size = accuracy(policy.with_prompt(DIRECT), task, more, greedy, 1)
    for name, low, high in (("small", 2, 4), ("large", 6, 8)):
        row[f"forced_{name}"] = mean(forced["hits"][item.id] for item in items if low <= _size(item) <= high)
        row[f"direct_{name}"] = mean(direct_by_size["hits"][item.id] for item in more if low <= _size(item) <= high)
    for regime in ("greedy", "compare", "support"):
        measured = accuracy(policy, task, items, REGIMES[regime], 1 if regime == "greedy" else n)
        row |= {f"bare_{regime}": measured["strict"], f"traced_{regime}": measured["traced"]}
    traced = accuracy(policy.with_prompt(FORCED), task, items, support, 1)
    row |= {"forced_support": traced["strict"], "valid_given_right": traced["valid_given_right"]}
    strays = Policy(policy.checkpoint, (StrayFirst(opener_ids),), BARE)
    row["traced_stray"] = accuracy(strays, task, items, greedy, 1)["traced"]
    for name, prompt in (("untagged", BARE), ("key", tagged("key")), ("anti", tagged("anti"))):
        row[f"mass_{name}"] = first_token_mass(
            policy.checkpoint.model, asked(policy.checkpoint, prompt, items), opener_ids
        )
    return row


def accuracy(policy: Policy, task: Task, items: Sequence[Item], regime: Regime, n: int) -> dict[str, Any]:
    """Accuracy by reading (strict, lenient, any), strict hits by item, and what the n completions of each item are.

    `traced`: a conclusion is written; `valid_given_right`: valid traces among those that are right in some reading;
    `unfinished`: cut by the token limit; `tokens`: mean length.
    """
    hits: dict[str, list[bool]] = {item.id: [] for item in items}
    readings: dict[str, list[bool]] = {"strict": [], "lenient": [], "any": []}
    traced, valid, unfinished, tokens = [], [], [], []
    for item, _, outcome in sample(policy, items, range(n), regime, task):
        text, finished = policy.prompt.prefix + outcome.path.text, outcome.path.finish in FINISHED
        grade = task.grade(item, text, finished)
        strict, lenient = grade.strict is True, grade.strict is True or grade.lenient is True
        for name, right in (("strict", strict), ("lenient", lenient), ("any", lenient or grade.first is True)):
            readings[name].append(right)
        hits[item.id].append(strict)
        steps, conclusion = split_trace(text)
        traced.append(conclusion is not None and bool(steps))
        unfinished.append(not finished)
        tokens.append(len(outcome.path.token_ids))
        if readings["any"][-1] and traced[-1]:
            valid.append(task.validate(item, text) is None)
    return {
        **{name: mean(values) for name, values in readings.items()},
        "hits": {name: mean(row) for name, row in hits.items()},
        "traced": mean(traced),
        "valid_given_right": mean(valid),
        "unfinished": mean(unfinished),
        "tokens": mean(tokens),
    }


def asked(checkpoint: Checkpoint, prompt: PromptFormat, items: Sequence[Item]) -> list[list[int]]:
    """Token ids of the items' questions in a prompt."""
    return [checkpoint.encode(prompt.render(item.question)) for item in items]


def opener_id(checkpoint: Checkpoint, opener: str) -> int:
    """The first token of an answer that begins with `opener` (a word and its period)."""
    return checkpoint.encode(f" {opener}")[-2]


def mean(values: Any) -> float:
    values = list(values)
    return float(np.mean(values)) if values else float("nan")


def _size(item: Item) -> int:
    return int(item.facts["size"])
