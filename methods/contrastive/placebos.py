"""Controls of contrastive vectors; each goes through the same search with as many dev tries.

* labels permuted: the same samples and readings, sides shuffled inside each item. It still lives in
  the space in which first tokens differ, so on a model whose first token decides much it is the
  harder placebo: by chance its sign may be the right one.
* random direction: a uniformly random direction a layer at the same norm. It reads no samples (their
  cost is spared, the tries are not).
* rival, key pair: last prompt token of the key-tagged prompt minus that of the bare one; only where
  the task has a planted key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeVar

import torch

from elicit.errors import MethodError, near
from elicit.policy.layers import width
from elicit.sampling.own import last_prompt_residuals
from methods.contrastive.fitting import ContrastiveFit

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.records import Item

C = TypeVar("C", bound=ContrastiveFit)


@dataclass(frozen=True)
class PermutedLabels(ContrastiveFit):
    """Sides shuffled inside each item."""

    def permuted(self, sides: list[bool | None], items: Sequence[str], context: Context) -> list[bool | None]:
        for item in dict.fromkeys(items):
            own = [i for i, name in enumerate(items) if name == item and sides[i] is not None]
            shuffled = [sides[i] for i in context.rng.permutation(own)]
            for i, side in zip(own, shuffled, strict=True):
                sides[i] = side
        return sides


@dataclass(frozen=True)
class RandomDirection(ContrastiveFit):
    """A random direction a layer."""

    def directions(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], layers: Sequence[int]
    ) -> torch.Tensor:
        shape = (len(layers), width(policy.checkpoint.model))
        return torch.from_numpy(context.rng.standard_normal(shape)).float()


@dataclass(frozen=True)
class KeyPair(ContrastiveFit):
    """Key-tagged minus bare prompts, at the last prompt token: the planted key as a vector."""

    key: str | None = None
    """name among the task's keys; null: the first that is a tag (forces no text behind the prompt)"""

    def directions(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], layers: Sequence[int]
    ) -> torch.Tensor:
        keys = ledger.task_view.keys
        tags = [name for name, form in keys.items() if not form.prefix]
        name = next(iter(tags), None) if self.key is None else self.key
        if name is None or name not in keys:
            clause = near(str(name), keys) if keys else "it has none, so this rival does not exist for it"
            raise MethodError(f"key={name!r} of task {ledger.task_view.name}: {clause}")
        tagged = last_prompt_residuals(policy.with_prompt(keys[name]), ledger, items, layers)
        return (tagged - last_prompt_residuals(policy, ledger, items, layers)).mean(0)


def same_settings(method: ContrastiveFit, kind: type[C]) -> C:
    """`kind` with the settings of `method`."""
    return kind(**{each.name: getattr(method, each.name) for each in fields(ContrastiveFit)})
