"""STaR on perturbed traces: which part of an own right trace does training need?

    text   opener | step_1 ... step_K | conclusion          y' = y with its steps changed, the answer stays
      wrong_step        one step before the last states another digit        RL-STaR's wrong steps (arXiv 2410.23912)
      numbers_changed   every digit of every step is another one             content (arXiv 2502.07374)
      steps_shuffled    the steps in another order                           structure (arXiv 2502.07374)

Changed are kept completions with at least two steps, each with probability `rate`; the rows, their number and nearly
their tokens stay. Steps are sentences, so traces of the formal families are meant. Class R, like the method.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from elicit.errors import ConfigError, MethodError, checked
from elicit.tasks.steps import another, reordered
from elicit.training.sft.rows import Row, own_row
from methods.star.method import Star

if TYPE_CHECKING:
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.sampling.own import Completion

Kind = Literal["wrong_step", "numbers_changed", "steps_shuffled"]
_SENTENCE = re.compile(r"\s*[^.]*\.")
_CONCLUSION = re.compile(r"\b(?:answer is|It is|I would say)\b")


@dataclass(frozen=True)
class PerturbedStar(Star):
    """Fine-tune on own verified completions whose steps were changed."""

    perturb: Kind = "wrong_step"
    """wrong_step | numbers_changed | steps_shuffled"""
    rate: float = 1.0
    """share of the kept traces that is changed, in [0, 1]"""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, at_least={"rate": 0}, one_of={"perturb": PERTURBATIONS}, label="star")
        if self.rate > 1:
            raise ConfigError(f"star: rate={self.rate}: a share, at most 1")

    def training_rows(self, policy: Policy, kept: Sequence[Completion], context: Context) -> list[Row]:
        """Rows of the kept completions. Raises MethodError if `rate` is above 0 and nothing could be changed."""
        rng = random.Random(int(context.rng.integers(2**31)))
        out, changed = [], 0
        for completion in kept:
            row = own_row(policy, completion)
            text = perturbed(completion.text, self.perturb, rng) if rng.random() < self.rate else completion.text
            if text != completion.text:
                row, changed = Row(row.prompt, text), changed + 1
            out.append(row)
        context.log({"star/perturbed": changed})
        if self.rate and not changed:
            raise MethodError(f"star.perturb={self.perturb}: none of {len(kept)} kept completions has two steps")
        return out


def perturbed(text: str, kind: Kind, rng: random.Random) -> str:
    """A completion with changed steps; the text itself if it has fewer than two steps.

    >>> perturbed(" Working. 3 + 4 = 7. 7 * 7 = 9. So the answer is 9.", "steps_shuffled", random.Random(0))
    ' Working. 7 * 7 = 9. 3 + 4 = 7. So the answer is 9.'
    """
    before, steps, after = split_steps(text)
    return text if len(steps) < 2 else "".join([before, *PERTURBATIONS[kind](steps, rng), after])


def split_steps(text: str) -> tuple[str, list[str], str]:
    """(opener, steps, conclusion and what follows): joined they are the text. Steps begin with the first digit.

    >>> split_steps(" Working. 3 + 4 = 7. 7 * 7 = 9. So the answer is 9.")
    (' Working.', [' 3 + 4 = 7.', ' 7 * 7 = 9.'], ' So the answer is 9.')
    """
    sentences = _SENTENCE.findall(text)
    concluding = next((k for k, one in enumerate(sentences) if _CONCLUSION.search(one)), len(sentences))
    first = next((k for k, one in enumerate(sentences[:concluding]) if re.search(r"\d", one)), concluding)
    end = sum(map(len, sentences[:concluding]))
    return "".join(sentences[:first]), sentences[first:concluding], text[end:]


def wrong_step(steps: list[str], rng: random.Random) -> list[str]:
    """The last digit of one step before the last is another digit."""
    at = rng.randrange(len(steps) - 1)
    digits = list(re.finditer(r"\d", steps[at]))
    if not digits:
        return steps
    last = digits[-1]
    wrong = steps[at][: last.start()] + another(last[0], string.digits, rng) + steps[at][last.end() :]
    return [*steps[:at], wrong, *steps[at + 1 :]]


def numbers_changed(steps: list[str], rng: random.Random) -> list[str]:
    """Every digit is another digit."""
    return [re.sub(r"\d", lambda digit: another(digit[0], string.digits, rng), step) for step in steps]


def steps_shuffled(steps: list[str], rng: random.Random) -> list[str]:
    """Another order; the same one only if all steps are equal."""
    return reordered(steps, rng)


PERTURBATIONS: dict[str, Callable[[list[str], random.Random], list[str]]] = {
    "wrong_step": wrong_step,
    "numbers_changed": numbers_changed,
    "steps_shuffled": steps_shuffled,
}
