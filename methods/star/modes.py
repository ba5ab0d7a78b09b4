"""STaR on own traces in another mode: does training need one kind of step, and what does a mixture of kinds do?

    text   opener | step_1 ... step_K | conclusion          one step k of a kept completion is written in another way
      deduction     step_k                                  as it is
      reflection    step_k  Wait.  step_k                   looked at again and confirmed
      exploration   wrong   Instead.  step_k                another result first, given up

Long traces are described as bonds of deduction, reflection and exploration, and a mixture of traces with different
distributions of bonds ("isomers") is claimed to destabilise training (arXiv 2601.06002; its teachers are large models,
these modes are written into own traces). Rows and steps of training are equal. Class R, like the method.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from elicit.errors import ConfigError, near
from elicit.tasks.steps import another
from elicit.training.sft.rows import Row, own_row
from methods.star.method import Star
from methods.star.perturbed import split_steps

if TYPE_CHECKING:
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.sampling.own import Completion


@dataclass(frozen=True)
class ModalStar(Star):
    """Fine-tune on own verified completions, each in a mode that is drawn for it."""

    modes: Mapping[str, float] = field(default_factory=lambda: {"reflection": 1.0})
    """mode -> weight; names: deduction, reflection, exploration"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for mode, weight in self.modes.items():
            if mode not in MODES:
                raise ConfigError(f"star.modes.{mode}: {near(mode, MODES)}")
            if weight < 0:
                raise ConfigError(f"star.modes.{mode}={weight}: a weight, 0 or more")
        if not sum(self.modes.values()):
            raise ConfigError(f"star.modes={dict(self.modes)}: give one mode a weight above 0")

    def training_rows(self, policy: Policy, kept: Sequence[Completion], context: Context) -> list[Row]:
        """Rows of the kept completions; a direct answer has no step and stays as it is."""
        rng = random.Random(int(context.rng.integers(2**31)))
        names, weights = list(self.modes), list(self.modes.values())
        out, changed = [], 0
        for completion in kept:
            row, text = own_row(policy, completion), in_mode(completion.text, rng.choices(names, weights)[0], rng)
            if text != completion.text:
                row, changed = Row(row.prompt, text), changed + 1
            out.append(row)
        context.log({"star/in_another_mode": changed})
        return out


def in_mode(text: str, mode: str, rng: random.Random) -> str:
    """A completion with one of its steps in a mode; the text itself if it has no step.

    >>> in_mode(" Working. 3 + 4 = 7. So the answer is 7.", "reflection", random.Random(0))
    ' Working. 3 + 4 = 7. Wait. 3 + 4 = 7. So the answer is 7.'
    """
    before, steps, after = split_steps(text)
    if not steps:
        return text
    at = rng.randrange(len(steps))
    steps[at] = MODES[mode](steps[at], rng)
    return "".join([before, *steps, after])


def wrong(step: str, rng: random.Random) -> str:
    """The step with another last digit."""
    at = max((k for k, sign in enumerate(step) if sign.isdigit()), default=None)
    return step if at is None else step[:at] + another(step[at], string.digits, rng) + step[at + 1 :]


MODES: dict[str, Callable[[str, random.Random], str]] = {
    "deduction": lambda step, rng: step,
    "reflection": lambda step, rng: f"{step} Wait.{step}",
    "exploration": lambda step, rng: f"{wrong(step, rng)} Instead.{step}",
}
