"""Supervised training on worked answers whose traces are right, absent, of another item, or without meaning: class T.

    right     the gold trace and answer        swapped   the trace of another item, the answer of this one
    none      the answer alone                 filler    "..." for a random number of words, then the answer

(arXiv 2505.13775, which trains transformers from scratch on A* searches: traces that are all invalid cost no accuracy
there, so traces would not be what the answer is computed from.) `scratch` starts from new random weights with the
checkpoint's shape, so that nothing of the base is left; the edit is then the difference of all weights. Fillers are as
long as the gold trace of a random item. Texts come through the ledger. Knows no task and no evaluation.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from elicit.errors import MethodError, checked
from elicit.method import MethodBase, Work
from elicit.policy.weights import WeightEdit, joined
from elicit.training.restore import own_randomness
from elicit.training.sft.rows import Row
from elicit.training.sft.sft import SftConfig, refuse_other_edits, train

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy

Kind = Literal["right", "none", "swapped", "filler"]
KINDS = ("right", "none", "swapped", "filler")
CONCLUSION = "So the answer is"


@dataclass(frozen=True)
class WorkedSft(MethodBase):
    """Train on gold answers with a kind of trace. Its controls are the kinds `none` and `filler`."""

    traces: Kind = "right"
    """right | none | swapped | filler"""
    scratch: bool = True
    """start from random weights instead of the base's"""
    items: int = 1000
    """train items, at most"""
    sft: SftConfig = field(default_factory=lambda: SftConfig(batch=32, epochs=4.0))
    name: str = "worked"

    def __post_init__(self) -> None:
        checked(self, at_least={"items": 2}, one_of={"traces": KINDS}, label=self.name)

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> WeightEdit:
        """The weights after training. Raises MethodError if the task's gold has no trace that ends in a conclusion."""
        refuse_other_edits(policy)
        items = ledger.items("train", "train", limit=self.items)
        rng = np.random.default_rng(int(context.rng.integers(2**31)))
        texts = with_traces(ledger.traces(items), self.traces, rng)
        rows = [Row(policy.prompt.render(item.question), text) for item, text in zip(items, texts, strict=True)]
        seed = int(context.rng.integers(2**31))
        start = random_weights(policy, seed) if self.scratch else WeightEdit()
        begun = policy.with_intervention(start) if self.scratch else policy
        learned = train(
            begun, rows, self.sft, seed, context.folder, context.say, context.log, progress=context.progress
        ).edit
        return joined(policy.checkpoint.model, start, learned) if self.scratch else learned

    def work(self, items: int, tokens: float) -> Work:
        """Nothing is sampled; every row is trained on `epochs` times."""
        rows = self.sft.steps * self.sft.batch if self.sft.steps else self.sft.epochs * self.items
        return Work(0, rows)


def with_traces(golds: Sequence[str], kind: Kind, rng: np.random.Generator) -> list[str]:
    """Gold completions with another kind of trace, each with a leading blank.

    >>> with_traces([" Working. 3 + 4 = 7. So the answer is 7."], "none", np.random.default_rng(0))
    [' So the answer is 7.']
    """
    parts = [gold.partition(CONCLUSION) for gold in golds]
    if bare := [gold for gold, (trace, found, _) in zip(golds, parts, strict=True) if not found or not trace.strip()]:
        raise MethodError(f"the gold completion {bare[0].strip()[:60]!r} has no trace before {CONCLUSION!r}")
    traces = [trace.strip() for trace, _, _ in parts]
    # a cycle through a random order: every trace is used once, and none by its own item
    order = rng.permutation(len(traces))
    donor = {int(order[k]): int(order[k - 1]) for k in range(len(order))}
    shown = {
        "right": lambda k: traces[k],
        "none": lambda k: "",
        "swapped": lambda k: traces[donor[k]],
        "filler": lambda k: " ".join(["..."] * len(traces[donor[k]].split())),
    }[kind]
    return [f" {f'{shown(k)} {CONCLUSION}'.strip()}{parts[k][2]}" for k in range(len(golds))]


def random_weights(policy: Policy, seed: int) -> WeightEdit:
    """The change from the checkpoint's weights to new random ones of its architecture."""
    model = policy.checkpoint.model
    with own_randomness(seed):
        fresh = type(model)(copy.deepcopy(model.config))
    new = {name: parameter.detach() for name, parameter in fresh.named_parameters()}
    old = {name: parameter.detach() for name, parameter in model.named_parameters()}
    return WeightEdit.between(old, new)
