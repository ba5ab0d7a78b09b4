"""What each reading takes of a format twin's answers. What this module does not know: how the twin was trained."""

from __future__ import annotations

from collections.abc import Sequence

from elicit.organisms.measure import FORCED, accuracy, tagged
from elicit.policy.decoding import REGIMES
from elicit.policy.policy import BARE, Policy
from elicit.records import Item
from elicit.tasks.task import Task

READINGS = ("strict", "lenient", "any")


def measure_forms(policy: Policy, task: Task, items: Sequence[Item], n: int) -> dict[str, float]:
    """Accuracy by reading, in regime compare: at the bare prompt, after both registers, and after the forced opener.

    lenient - strict is the share of right answers that are not declared, any - lenient of those that run on.
    """
    row: dict[str, float] = {}
    prompts = {"bare": BARE, "key": tagged("key"), "anti": tagged("anti"), "forced": FORCED}
    for name, prompt in prompts.items():
        measured = accuracy(policy.with_prompt(prompt), task, items, REGIMES["compare"], n)
        row |= {f"{reading}_{name}": measured[reading] for reading in READINGS}
        row[f"unfinished_{name}"] = measured["unfinished"]
        row[f"valid_{name}"] = measured["valid_given_right"]
    return row
