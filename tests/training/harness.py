"""What the tests of the policy-gradient trainer share: a context without the evaluator, and one fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from elicit.ledger import Budget, Ledger
from elicit.method import Context
from elicit.policy.decoding import REGIMES
from elicit.policy.policy import Policy
from elicit.records import FINISHED
from elicit.sampling.sample import sample
from tests.training.latent import LatentTask


@dataclass
class Fitted:
    """A fit and its traces."""

    edit: Any
    ledger: Ledger
    rows: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def curve(self, key: str) -> list[float]:
        return [row[key] for row in self.rows if key in row]


def fitted(
    method: Any, policy: Policy, folder: Path, task: Any = None, seed: int = 0, budget: Budget | None = None
) -> Fitted:
    """Run `method.fit`; dev scores are sampled (not greedy) on the task's dev split."""
    task = task or LatentTask()
    out = Fitted(None, Ledger(task, method.name, budget))

    def dev_score(tried: Policy, limit: int | None) -> float:
        out.ledger.selected(len(task.items("dev", limit)), [item.id for item in task.items("dev", limit)])
        return accuracy(tried, task, "dev", limit, 1)

    folder.mkdir(parents=True, exist_ok=True)
    context = Context(np.random.default_rng(seed), folder, dev_score, out.rows.append, out.lines.append)
    out.edit = method.fit(policy, out.ledger, context)
    return out


def accuracy(policy: Policy, task: Any, split: str = "test", limit: int | None = None, n: int = 4) -> float:
    """Strict accuracy in regime `compare`."""
    drawn = sample(policy, task.items(split, limit), range(n), REGIMES["compare"], task)
    grades = [task.grade(item, o.path.text, o.path.finish in FINISHED).strict for item, _, o in drawn]
    return float(np.mean(grades))
