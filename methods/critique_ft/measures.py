"""What critique fine-tuning changes besides accuracy: its own measures, base against trained.

    verdict_balanced_accuracy   mean over right and wrong held-out responses of the share of greedy reviews whose
                                verdict is the example's (a review without a verdict is a miss)
    critique_leak               share of answers to plain questions that mention a proposed answer
    format_retention            share of plain answers with a readable answer, trained over base
    length_change               mean tokens of plain answers, trained over base

Plain answers: one per dev question, regime `compare`, no label read. A measure that can't be taken is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from elicit.policy.decoding import REGIMES
from elicit.records import FINISHED, Item
from elicit.sampling.sample import sample
from elicit.tasks.review import REVIEW, proposal, read_verdict
from methods.critique_ft.records import Example

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.policy import Policy

_LEAK = re.compile(r"\bproposed (?:answer|solution|response)\b|^\s*(?:review|critique)\b|\bconclusion:", re.I | re.M)


def balanced_accuracy(right: Sequence[bool], stated: Sequence[bool | None]) -> float | None:
    """Mean over right and wrong examples of the share whose verdict is stated; None without examples."""
    shares = []
    for side in (True, False):
        own = [verdict is side for truth, verdict in zip(right, stated, strict=True) if truth is side]
        shares += [sum(own) / len(own)] if own else []
    return sum(shares) / len(shares) if shares else None


def verdicts(policy: Policy, ledger: Ledger, examples: Sequence[Example]) -> list[bool | None]:
    """The verdict of the policy's greedy review of each example; None if it states none."""
    questions = [proposal(example.question, example.response) for example in examples]
    items = [Item(f"held-{i}", ledger.task_view.name, "train", q, None, q) for i, q in enumerate(questions)]
    drawn = sample(policy.with_prompt(REVIEW), items, [0], REGIMES["greedy"], ledger.task_view)
    ledger.rollouts(len(drawn), sum(len(outcome.path.token_ids) for _, _, outcome in drawn))
    return [read_verdict(outcome.path.text) for _, _, outcome in drawn]


def plain_answers(policy: Policy, ledger: Ledger, items: Sequence[Item]) -> dict[str, float]:
    """Leak, readable answers and mean tokens of one answer per item."""
    drawn = sample(policy, items, [0], REGIMES["compare"], ledger.task_view)
    paths = [outcome.path for _, _, outcome in drawn]
    tokens = sum(len(path.token_ids) for path in paths)
    ledger.rollouts(len(paths), tokens)
    task = ledger.task_view
    readable = [task.extract(path.text, path.finish in FINISHED).strict is not None for path in paths]
    leaks = [bool(_LEAK.search(path.text)) for path in paths]
    return {"leak": sum(leaks) / len(paths), "format": sum(readable) / len(paths), "length": tokens / len(paths)}


def measure(
    before: Policy, after: Policy, ledger: Ledger, held_out: Sequence[Example], items: Sequence[Item]
) -> dict[str, float]:
    """All measures of one fit."""
    row: dict[str, float] = {}
    for name, policy in (("base", before), ("trained", after)):
        truth = [example.right for example in held_out]
        accuracy = balanced_accuracy(truth, verdicts(policy, ledger, held_out)) if held_out else None
        if accuracy is not None:
            row[f"verdict_balanced_accuracy/{name}"] = accuracy
        if items:
            row |= {f"{key}/{name}": value for key, value in plain_answers(policy, ledger, items).items()}
    if items:
        row["critique_leak"] = row["leak/trained"]
        row["length_change"] = row["length/trained"] / max(1e-9, row["length/base"])
        if row["format/base"] > 0:
            row["format_retention"] = row["format/trained"] / row["format/base"]
    return row
